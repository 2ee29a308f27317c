"""The 158 factors of pyqlib's Alpha158: a catalogue as data and one engine over a panel."""

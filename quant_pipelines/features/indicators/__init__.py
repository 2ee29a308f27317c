"""The technical indicators: a catalogue as data, computed by TA-Lib where it has them."""

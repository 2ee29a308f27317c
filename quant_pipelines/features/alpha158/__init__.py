"""The 158 factors of pyqlib's Alpha158: a catalogue as data and one engine over a panel.

The values are pyqlib 0.9.7's but for three rules: a missing value is never the highest or the lowest (IMAX, IMIN,
IMXD); what would be infinite is NaN; and no sum runs on, so nothing drifts after a spike and a window that does not
move has a deviation of exactly 0.
"""

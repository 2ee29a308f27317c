"""pyqlib's own models, fed with our examples and kept without its pickles."""

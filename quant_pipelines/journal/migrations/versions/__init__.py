"""One module per change, oldest first. A published one is never edited."""

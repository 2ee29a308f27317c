"""Compiled loops over rows: numpy in, numpy out, float64 inside, float32 out. Every one has a slow definition."""

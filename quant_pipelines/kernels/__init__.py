"""Compiled loops over rows: numpy in, numpy out, float64 inside, float32 out. Every one has a slow definition.

A net's recurrence is float32 throughout, as its products of matrices are.
"""

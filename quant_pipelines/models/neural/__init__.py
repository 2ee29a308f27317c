"""Nets: one training loop, one forecaster, and the nets themselves. Imported when a net is made, never before."""

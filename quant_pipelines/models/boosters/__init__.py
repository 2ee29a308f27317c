"""Boosted trees through the libraries of their makers."""

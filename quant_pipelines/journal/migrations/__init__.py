"""Migrations of the journal's tables; `env.py` runs those of every package that keeps tables beside them."""

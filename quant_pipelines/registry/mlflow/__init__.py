"""MLflow: the only importer of it. Everything else knows the protocols."""

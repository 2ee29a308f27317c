"""`qp`: what the Dagster UI does not do, in a terminal."""

from quant_pipelines.cli.app import main

__all__ = ["main"]

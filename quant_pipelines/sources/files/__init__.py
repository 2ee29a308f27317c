"""Bars from files: CSV, CSV.gz, zip and Parquet, in the dialects real vendors write."""

from quant_pipelines.sources.files.documents import Limits
from quant_pipelines.sources.files.refusals import (
    FileChanging,
    FileRefused,
    FilesMisconfigured,
    FilesMissing,
    FilesRefused,
)
from quant_pipelines.sources.files.rows import Dialect
from quant_pipelines.sources.files.source import FileBars, FileReport

__all__ = [
    "Dialect",
    "FileBars",
    "FileChanging",
    "FileRefused",
    "FileReport",
    "FilesMisconfigured",
    "FilesMissing",
    "FilesRefused",
    "Limits",
]

"""The examples of docs/api.md are what the API takes and gives."""

import re
from pathlib import Path

import pytest

from quant_pipelines.api import ProgressEvent, RolloutStateResponse, SchedulerAuditLogRequest
from quant_pipelines.training import ModelInfo

PAGE = (Path(__file__).parents[3] / "docs" / "api.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)


@pytest.mark.parametrize(
    ("example", "schema"),
    list(zip(EXAMPLES, (RolloutStateResponse, SchedulerAuditLogRequest, ModelInfo, ProgressEvent), strict=True)),
    ids=["state", "audit", "training", "event"],
)
def test_every_example_fits_its_schema_field_by_field(example, schema):
    """S1-04, S2-28, S2-47."""
    assert schema.model_validate_json(example).model_dump_json(exclude_unset=True)

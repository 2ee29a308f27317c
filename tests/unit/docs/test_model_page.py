"""The page on models says of every hyper-parameter what the zoo says (S2-83)."""

import re
from pathlib import Path

import pytest

from quant_pipelines.models import MODEL_KINDS

PAGE = (Path(__file__).parents[3] / "docs" / "models.md").read_text(encoding="utf-8")


def section(kind: str) -> str:
    """What stands below the title of a kind, up to the next title."""
    (found,) = re.findall(rf"^##+ {kind}\n(.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return found


def written(value: bool | float | str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f"{value:g}" if isinstance(value, float) else str(value)


@pytest.mark.parametrize("spec", MODEL_KINDS.values(), ids=lambda spec: spec.name)
def test_every_hyper_parameter_is_on_the_page_with_its_default(spec):
    rows = re.findall(r"^\| `(\w+)` \| (.+?) \| (.+) \|$", section(spec.name), re.MULTILINE)
    assert rows == [(each.name, written(each.default), each.description) for each in spec.parameters_known]

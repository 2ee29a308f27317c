"""What the page of the model store says of the life of a version is what the code does."""

import re
from pathlib import Path

from quant_pipelines.registry import MAX_VERSIONS, TRANSITIONS

PAGE = (Path(__file__).parents[3] / "docs" / "model-store.md").read_text(encoding="utf-8")


def test_the_life_cycle_is_that_of_the_table():
    _, _, life = PAGE.partition("## The life of a version")
    rows = re.findall(r"^\| `(\w+)` \| (.+) \|$", life, re.MULTILINE)
    assert {state: set(re.findall(r"`(\w+)`", ways)) for state, ways in rows} == {
        str(state): {str(way) for way in ways} for state, ways in TRANSITIONS.items()
    }


def test_the_retention_is_the_default():
    assert f"The newest {MAX_VERSIONS} stay" in PAGE

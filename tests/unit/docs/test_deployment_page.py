"""The deployment page says what the code does."""

import re
from pathlib import Path
from typing import get_args

from quant_pipelines.deployment import Verdict, decide
from quant_pipelines.deployment.ladder import Why
from quant_pipelines.strategies import Deployment
from tests.judged import evidence

PAGE = (Path(__file__).parents[3] / "docs" / "deployment.md").read_text(encoding="utf-8")


def rows(heading: str) -> dict[str, str]:
    """The second column by the first, of the tables under a heading."""
    part = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| ([^|]+?) \|", part, re.MULTILINE))


def test_the_policy_table_names_every_field_with_its_default():
    told = rows("The policy")
    assert set(told) == set(Deployment.model_fields)
    for name, value in Deployment().model_dump().items():
        written = "the model kind's" if value is None else f"{value}".lower()
        assert told[name].strip("`") in (written, written.removesuffix(".0")), name


def test_every_line_of_a_decision_is_explained():
    lines = [*decide(evidence(), Deployment()).lines, *decide(evidence(incremental=True), Deployment()).lines]
    assert {each.name for each in lines} <= set(re.findall(r"`(\w+)`", PAGE))


def test_every_verdict_and_every_reason_to_wait_is_named():
    assert set(rows("Verdicts")) == set(get_args(Verdict))
    silent = {"nothing_live", "soaked", "windows_failed", "by_hand"}
    assert set(get_args(Why)) - silent <= set(re.findall(r"`(\w+)`", PAGE))

"""The page on evaluation knows every number."""

import re
from pathlib import Path

import pytest

from quant_pipelines.evaluation import MEASURES, MONEY, MadeUpReturns, block_sessions
from quant_pipelines.evaluation.benchmarks import PORTFOLIOS, SCORES

PAGE = (Path(__file__).parents[3] / "docs" / "evaluation.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", [*MEASURES, *MONEY])
def test_every_measure_has_a_row(name):
    assert re.search(rf"^\| [^|]*`{name}`[^|]* \|", PAGE, re.MULTILINE)


@pytest.mark.parametrize("name", {*SCORES, *PORTFOLIOS})
def test_every_benchmark_is_named(name):
    assert f"`{name}`" in PAGE.partition("## Benchmarks")[2]


def test_its_blocks_are_as_long_as_it_says():
    assert f"66 sessions: {block_sessions(66, 1)} for\n  `direction3`, {block_sessions(66, 5)} for `dual`" in PAGE
    assert f"`{MadeUpReturns.code}`" in PAGE

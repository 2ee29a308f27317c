"""Decisions and rollouts in a real browser: one refused, one that climbs to everybody, one that is taken back."""

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import dagster as dg
import pytest
import yaml

from assets.keys import DECISION
from quant_pipelines.cli.servers import dagster_servers, running
from tests.end_to_end.screens import keep, see
from tests.governed import GATES_OFF, SYMBOLS, TREES, WITHOUT_GUARDS, Graph, made
from tests.installation import Installation, installed, synthetic_market

# The history comes before the browser, whose event loop would be in the way of the runs that make it.
pytestmark = [pytest.mark.browser, pytest.mark.timeout(600), pytest.mark.usefixtures("history")]

AT_ONCE = {**WITHOUT_GUARDS, "shadow_sessions": 0, "step_after_sessions": 1, "window_sessions": 2}
# Whoever is worse at all in two sessions has failed them, and one failure is enough.
IMPATIENT = {**AT_ONCE, "step_after_sessions": 9, "window_errors": 0.0, "rollback_after_failed_windows": 1}
ODD_TREES = {"kind": "lightgbm", "hyperparameters": {**TREES["hyperparameters"], "feature_fraction": 0.5}}
STRATEGIES = {
    "refused": made("refused", TREES, GATES_OFF),
    "climbs": made("climbs", TREES, AT_ONCE),
    "falls": made("falls", ODD_TREES, IMPATIENT),
}
FIRST, CANDIDATE = -35, -20
# Labels resolve two sessions later, so what was seen of one session moves a rollout at the next but one. Sessions that
# no move is made of are left out: each takes a second.
PREDICTED = (-19, -18, -16)
MOVED = {"climbs": {10: -19, 30: -17, 100: -14}, "falls": {0: -16}}
TOP = -13
MOVES = [*((place, name) for name, moved in MOVED.items() for place in moved.values()), (TOP, "climbs")]
STALE = """
query Stale($partition: String!) {
  assetNodeOrError(assetKey: {path: ["tiny", "rollout"]}) {
    ... on AssetNode { staleStatusByPartition(partitions: [$partition]) }
  }
}
"""


@dataclass(frozen=True)
class History:
    """A market whose decisions and moves were made by its assets, and the UI that shows them."""

    graph: Graph
    installation: Installation
    refusal: dict[str, Any]

    def page_of(self, asset: str, strategy: str, place: int) -> str:
        """The address of one partition of an asset."""
        partition = quote(f"{self.graph.at(place)}|{strategy}")
        return f"{self.installation.settings.dagster_address}/assets/tiny/{asset}?view=partitions&partition={partition}"


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory, governed_market: Path) -> Iterator[History]:
    home = tmp_path_factory.mktemp("governance")
    shutil.copytree(governed_market, home / "var")
    recipes = {
        name: each.model_dump(mode="json", exclude_unset=True, exclude={"name"}) for name, each in STRATEGIES.items()
    }
    (home / "strategies.yaml").write_text(yaml.safe_dump({"strategies": recipes}), encoding="utf-8")
    market = synthetic_market(first_session="2023-01-03", symbols=SYMBOLS, name="tiny")
    with installed(home, market, {"QP_STRATEGIES_FILE": str(home / "strategies.yaml")}) as ready:
        with dg.DagsterInstance.get() as instance:
            graph = Graph(home / "var", instance, STRATEGIES)
            refusal = live_through(graph)
        # Without the daemon: its sensors would go on with the history.
        code_and_page = dagster_servers(ready.settings)[:2]
        with running(code_and_page, ready.settings, tell=print):
            yield History(graph, ready, refusal)


def live_through(graph: Graph) -> dict[str, Any]:
    """First models, candidates, and the sessions after them; what the refusal says."""
    for name in STRATEGIES:
        assert graph.judge(name, FIRST)["verdict"] == "promoted"
    for name in ("climbs", "falls"):
        assert graph.judge(name, CANDIDATE, seed=1)["verdict"] == "promoted"
    refusal = graph.judge("refused", CANDIDATE, seed=1)
    for place in range(CANDIDATE + 1, TOP + 1):
        if place in PREDICTED:
            assert graph.run("predict", graph.at(place)).success
        for name in (name for at, name in MOVES if at == place):
            assert graph.run("move", f"{graph.at(place)}|{name}").success
    return refusal


def test_a_bad_candidate_is_refused_and_the_page_says_why_and_what_would_have_been_enough(page, history):
    assert history.refusal["verdict"] == "rejected"
    page.goto(history.page_of(DECISION, "refused", CANDIDATE))
    see(page, "rejected", "It is not enough better than the champion", "would have passed with F1 >=")
    keep(page, "decision-refused-partition")
    page.goto(f"file://{history.refusal['page']}")
    see(page, "Rejected: nothing changes", "f1_gain is", "It would have passed with F1 >=")
    keep(page, "decision-refused-page")


def test_the_holdouts_page_begins_with_what_was_judged_and_how_its_settings_were_chosen(page, history):
    page.goto(history.page_of("holdout_evaluation", "refused", CANDIDATE))
    see(page, "tiny.refused/2", "No search on this snapshot stands behind them", "times_read")
    keep(page, "holdout-evaluation")


@pytest.mark.parametrize("stage", [10, 30, 100])
def test_a_good_candidate_is_seen_at_each_stage(page, history, stage):
    place = MOVED["climbs"][stage]
    page.goto(history.page_of("rollout", "climbs", place))
    see(page, "hold" if stage == 10 else "step", "tiny.climbs/2", f"^{stage}$")
    keep(page, f"rollout-at-{stage}")


def test_a_move_at_a_session_without_a_decision_is_not_shown_as_stale(history):
    asked = {"partition": f"{history.graph.at(TOP)}|climbs"}
    assert history.installation.api.ask(STALE, asked)["assetNodeOrError"]["staleStatusByPartition"] == ["FRESH"]


def test_whoever_serves_everybody_has_no_step_above_it(page, history):
    page.goto(history.page_of("rollout", "climbs", TOP))
    see(page, "already_max_stage")
    keep(page, "rollout-at-the-top")


def test_a_degraded_candidate_is_taken_back_and_the_page_says_by_which_rule(page, history):
    page.goto(history.page_of("rollout", "falls", MOVED["falls"][0]))
    see(page, "roll_back", "tiny.falls/2", "windows_failed", "trigger_rule", "failed_windows")
    keep(page, "rollout-taken-back")

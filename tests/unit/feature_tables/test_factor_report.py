"""The factor report: what it says, what it may know, and when it is made again."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from quant_pipelines.feature_tables import FeaturePublisher
from quant_pipelines.feature_tables.report import STANDARD_REPORT, FactorReporter
from quant_pipelines.feature_tables.tear_sheet import strongest, tear_sheet
from quant_pipelines.features.custom import custom_set, expression
from quant_pipelines.features.registry import FeatureRegistry
from quant_pipelines.labels import forward_returns
from quant_pipelines.lake import Window, no_fence
from quant_pipelines.lake.tables import PRICES
from tests.unit.feature_tables.conftest import SESSIONS, WRITER, Scene, market

SINCE = datetime(2026, 1, 2, tzinfo=UTC)
REGISTRY = FeatureRegistry(
    [
        custom_set(
            expression("body", "$close / $open - 1", "The session's own move.", SINCE),
            expression("body_again", "2 * ($close / $open) - 7", "The same ranks in other numbers.", SINCE),
            expression("against_mean", "$close / Mean($close, 5) - 1", "Close against its mean.", SINCE),
        )
    ]
)
# Short, so that 140 sessions hold several spans of each.
SETTINGS = replace(STANDARD_REPORT, fewest_names=5, trailing_sessions=50, similarity_sessions=20)
LAST = SESSIONS - 1


class Reported(Scene):
    """A market whose features and reports follow its prices."""

    def reporter(self, threads: int = 1) -> FactorReporter:
        return FactorReporter(market=self.market, registry=REGISTRY, lake=self.lake, threads=threads, settings=SETTINGS)

    def report(self, first: int = 0, last: int = LAST):
        """Prices arrive, and everything follows."""
        self.arrive(first, last)
        return self.follow(first, last)

    def follow(self, first: int = 0, last: int = LAST):
        window = Window(self.sessions[first], self.sessions[last])
        for features in REGISTRY.sets:
            FeaturePublisher(market=self.market, features=features, lake=self.lake).publish(
                window, writer=WRITER, fence=no_fence
            )
        return self.reporter().publish(window, writer=WRITER, fence=no_fence)

    def table(self) -> pd.DataFrame:
        return self.reporter().table.read().to_pandas().set_index(["session", "factor"])


@pytest.fixture
def reported(tmp_path: Path):
    made = iter(range(100))

    def make(**changes) -> Reported:
        scene = Reported(tmp_path / str(next(made)), market("suspended"), **({"symbols": 12} | changes))
        scene.listed[:] = True
        return scene

    return make


def test_reports_made_as_prices_arrive_are_those_made_at_once(reported):
    """Nothing after a session's close is in its report: it was made before that came."""
    whole, pieces = reported(), reported()
    whole.report()
    for first, last in ((0, 59), (60, 60), (61, 97), (98, LAST)):
        pieces.report(first, last)
    pd.testing.assert_frame_equal(pieces.table(), whole.table(), check_exact=False, rtol=1e-9, atol=1e-12)


def test_the_rank_ic_is_the_mean_spearman_correlation_with_returns_that_had_closed(reported):
    scene = reported(seed=11)
    scene.report()
    bars = pd.DataFrame({name: each.ravel() for name, each in scene.bars.items()})
    close, opened = (bars[name].to_numpy().reshape(SESSIONS, -1) for name in ("close", "open"))
    adjusted = close * bars["factor"].to_numpy().reshape(SESSIONS, -1)
    factor, returns = (
        pd.DataFrame(close / opened - 1).astype("float32"),
        pd.DataFrame(forward_returns(adjusted, [1])[1]),
    )
    # A report of session 120 looks back on 50 sessions; the return from 119 to 120 is the last that had closed.
    fewest = SETTINGS.fewest_names
    daily = [factor.loc[at].corr(returns.loc[at], method="spearman", min_periods=fewest) for at in range(71, 120)]
    row = scene.table().loc[(scene.sessions[120], "body")]
    assert row["rank_ic"] == pytest.approx(np.nanmean(daily), abs=1e-9)
    assert row["sessions"] == np.isfinite(daily).sum()


def test_factors_of_equal_ranks_are_one_cluster_and_no_others(reported):
    scene = reported()
    scene.report()
    last = scene.table().loc[scene.sessions[LAST]]
    assert last["cluster"].fillna("").to_dict() == {"body": "body", "body_again": "body", "against_mean": ""}
    assert last.loc["body", "rank_ic"] == pytest.approx(last.loc["body_again", "rank_ic"])


def test_only_sessions_that_look_back_on_a_corrected_bar_are_reported_again(reported):
    scene = reported()
    scene.report()
    assert scene.follow().computed == []
    scene.bars["close"][70, 3] *= 1.001
    scene.arrive(70, 70)
    # The features of sessions 70 to 74 look back on it, and reports look back on those.
    assert scene.follow().computed == scene.sessions[70 : 74 + SETTINGS.reach_sessions + 1]


def test_a_session_is_reported_when_all_its_tables_have_it(reported):
    scene = reported()
    scene.report(0, 99)
    scene.arrive(100, LAST)
    window = Window(scene.sessions[100], scene.sessions[LAST])
    done = scene.reporter().publish(window, writer=WRITER, fence=no_fence)
    assert (done.computed, done.dossier) == ([], None)
    assert scene.lake.table("tiny", PRICES).session_ids(window)


def test_threads_change_no_bit(reported):
    scene, other = reported(), reported()
    scene.report()
    other.arrive()
    for features in REGISTRY.sets:
        other.publish(features)
    other.reporter(threads=3).publish(other.all, writer=WRITER, fence=no_fence)
    assert other.reporter().table.session_ids() == scene.reporter().table.session_ids()


def test_a_damaged_report_is_made_anew_and_said(reported):
    scene = reported()
    scene.report()
    before = scene.reporter().table.session_ids()
    damaged = next((scene.folder / "lake" / "tiny" / "factor_report").rglob("period=*/*.parquet"))
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    done = scene.follow()
    assert done.damaged is not None
    assert damaged.name in done.damaged
    assert scene.reporter().table.session_ids() == before
    assert scene.reporter().table.verify() == []


def test_the_page_shows_every_factor_once_strongest_first_and_is_the_same_each_time(reported):
    scene = reported()
    dossier = scene.report().dossier
    page = tear_sheet(dossier)
    t = np.abs(dossier.summary.rank_ic.t)
    order = strongest(dossier)
    assert sorted(order) == [0, 1, 2]
    assert np.all(np.diff(t[order]) <= 0)
    rows = [page.index(f"<td>{dossier.names[place]}</td>") for place in order]
    assert rows == sorted(rows)
    assert "nan" not in page[page.index("<table") :].split("</table>")[0].lower()
    assert tear_sheet(dossier) == page


def test_the_page_of_a_market_too_small_to_judge_says_so(reported):
    scene = reported(symbols=3)
    page = tear_sheet(scene.report().dossier)
    assert "No factor could be judged: too few names or sessions." in page

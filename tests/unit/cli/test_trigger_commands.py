"""`qp triggers`, as a person types it."""

from datetime import UTC, datetime

import pytest
from typer.testing import CliRunner

from quant_pipelines.cli.app import app
from quant_pipelines.cli.project import console
from quant_pipelines.clock import FixedClock
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.journal import open_journal
from quant_pipelines.settings import Settings
from quant_pipelines.triggers import scheduler_audits
from tests.installation import PROJECT


@pytest.fixture
def qp(tmp_path, monkeypatch):
    """Runs a command: what it printed, and the error of ours that it ended with."""
    for name, value in {"QP_PROJECT": PROJECT, "QP_HOME": tmp_path}.items():
        monkeypatch.setenv(name, str(value))
    # An installation of other tests may be open in this process.
    for name in ("QP_DATABASE_URL", "QP_MARKETS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(console, "width", 250)

    def run(*arguments):
        result = CliRunner().invoke(app, ["triggers", *arguments])
        if result.exception is not None and not isinstance(result.exception, QuantPipelinesError | SystemExit):
            raise result.exception
        return result.output, result.exception

    return run


def journal(folder):
    clock = FixedClock(datetime(2024, 3, 29, 12, tzinfo=UTC))
    return open_journal(Settings(project=PROJECT, home=folder), clock=clock)


def test_a_check_shows_window_thresholds_and_decision_and_changes_nothing(qp, tmp_path):
    """S1-42, S3-54."""
    text, error = qp("check", "--strategy", "demo_linear", "--session", "2024-03-29")
    assert error is None
    for part in ("demo.demo_linear", "2024-03-29", "0 sessions with errors", "factor 1.5", "quarterly full"):
        assert part in text
    assert "insufficient_observation" in text
    assert scheduler_audits(journal(tmp_path), last=5) == []


def test_every_strategy_of_a_market_is_checked(qp):
    text, _ = qp("check", "--market", "demo", "--session", "2024-03-28")
    assert text.count("no trigger is true") > 10
    assert "No strategy is meant" in qp("check", "--market", "crypto")[0]


def test_names_and_sessions_that_are_none_are_told(qp):
    assert "no strategy 'demo_lin'" in str(qp("check", "--strategy", "demo_lin")[1])
    assert "no market 'demos'" in str(qp("check", "--market", "demos")[1])
    error = qp("check", "--strategy", "demo_linear", "--session", "2024-03-30")[1]
    assert "not a session of" in str(error)


def test_the_audits_are_listed(qp, tmp_path):
    """S1-07."""
    from quant_pipelines.cli.project import all_markets, all_strategies
    from quant_pipelines.monitoring import SessionErrors
    from quant_pipelines.triggers import Checker, put_on_record

    assert "Nothing is on record yet" in qp("audit")[0]
    settings = Settings()
    checker = Checker(
        market=all_markets(settings)["demo"],
        journal=journal(tmp_path),
        retrain_of=lambda strategy: strategy.retrain,
        errors_of=lambda *_: SessionErrors.none(),
    )
    known = all_strategies(settings)
    for name in ("demo_linear", "demo_mlp"):
        put_on_record(checker.journal, checker.audit(known[name], datetime(2024, 3, 29)), actor="a test")
    text, error = qp("audit")
    assert error is None
    assert text.count("quarterly full") == 2
    assert "2024-03-29 12:00:00" in text
    assert "demo_mlp" not in qp("audit", "--market", "demo", "--strategy", "demo_linear")[0]
    assert qp("audit", "--last", "1")[0].count("quarterly full") == 1

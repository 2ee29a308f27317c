"""`qp experiment`, as a person types it."""

import pytest
from typer.testing import CliRunner

from quant_pipelines.cli.app import app
from quant_pipelines.cli.project import console
from quant_pipelines.clock import SystemClock
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.journal import open_journal
from quant_pipelines.registry import open_keys
from quant_pipelines.settings import Settings
from tests.installation import PROJECT
from tests.rollouts import Rollouts, day
from tests.stored import MODEL, Kept, migrated, place_in

STRATEGIES = """
strategies:
  candles:
    description: A test.
    market: demo
    features: [alpha158]
    label_set: qlib_return
    model: {kind: linear}
    training: {window: {years: 1}}
    normalisation: {kind: robust, missing: centre}
"""


@pytest.fixture
def qp(tmp_path, monkeypatch):
    """A home in which version 1 is live and version 2 may go live; runs a command there."""
    (tmp_path / "strategies.yaml").write_text(STRATEGIES)
    names = {"QP_PROJECT": PROJECT, "QP_HOME": tmp_path, "QP_STRATEGIES_FILE": tmp_path / "strategies.yaml"}
    for name, value in names.items():
        monkeypatch.setenv(name, str(value))
    # An installation of other tests may be open in this process.
    for name in ("QP_DATABASE_URL", "QP_MARKETS_FILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(console, "width", 250)
    migrated(tmp_path)
    settings = Settings(project=PROJECT, home=tmp_path)
    kept = Kept(place_in(tmp_path), keys=open_keys(settings))
    rollouts = Rollouts(open_journal(settings, clock=SystemClock()), kept.models)
    rollouts.switch.deploy(rollouts.candidate("one", run_id=kept.run()), session=day(0))
    rollouts.candidate("two", champion=rollouts.champion(), run_id=kept.run())
    kept.save("three")

    def run(*arguments):
        result = CliRunner().invoke(app, ["experiment", *arguments])
        if result.exception is not None and not isinstance(result.exception, QuantPipelinesError | SystemExit):
            raise result.exception
        return result.output, result.exception

    return run


def create(qp, name, *arms):
    given = [part for arm in arms for part in ("--arm", arm)]
    return qp("create", name, "--model", MODEL, "--since", "2024-03-01", *given)


def test_an_experiment_begins_is_listed_says_what_it_knows_and_ends(qp):
    text, error = create(qp, "halves", "old=1:0.5", "new=2:0.5")
    assert error is None
    assert "halves runs on demo.candles" in text
    assert "old 50%, new 50%" in qp("list")[0]
    text, error = qp("results", "halves")
    assert error is None
    assert "insufficient_observation" in text
    assert "0 sessions are too few" in text
    assert qp("stop", "halves", "--why", "enough", "--session", "2024-03-29")[1] is None
    assert "2024-03-29" in qp("list")[0]


def test_what_no_decision_lets_serve_is_in_no_experiment(qp):
    assert "No decision lets new" in str(create(qp, "wild", "old=1:0.5", "new=3:0.5")[1])
    assert "Begin with the champion" in str(create(qp, "wild", "new=2:0.5", "old=1:0.5")[1])


def test_arms_that_make_no_experiment_are_told(qp):
    assert "is no arm" in str(create(qp, "bad", "old")[1])
    assert "add up to" in str(create(qp, "bad", "old=1:0.5", "new=2:0.4")[1])
    assert "There is no experiment 'nobody'" in str(qp("results", "nobody")[1])

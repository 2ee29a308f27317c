"""The replay job: a past run is trained again, compared, and put on record under its own name."""

from dataclasses import dataclass

import dagster as dg
import pytest

from assets.checks.replay import REPLAY_CONSISTENCY, replay_checks
from assets.keys import MODEL, SNAPSHOT, key_of
from assets.makers import OF_STRATEGIES
from quant_pipelines.registry import pack
from quant_pipelines.reproduction import REPLAY, REPLAY_TOLERANCE, recorded_replays
from resources import project_resources
from sensors.jobs import replay_job_name, strategy_jobs, train_job_name
from tests.places import TREES, Place
from tests.stored import migrated
from tests.unit.snapshots.conftest import strategy

STRATEGIES = {"s": strategy()}


@dataclass
class Replays:
    """The job over a home in which versions were trained, on an instance of its own."""

    place: Place

    def __post_init__(self) -> None:
        market = self.place.scene.market
        self.definitions = dg.Definitions(
            assets=[each for make in OF_STRATEGIES for each in make(market, STRATEGIES)],
            asset_checks=list(replay_checks(market, STRATEGIES)),
            jobs=list(strategy_jobs(market, STRATEGIES)),
            resources=project_resources(self.place.home.settings),
        )

    def run(self, **config) -> dg.ExecuteInProcessResult:
        given = {"ops": {"tiny__model_replay_consistency": {"config": config}}} if config else {}
        with dg.DagsterInstance.ephemeral() as instance:
            return self.definitions.resolve_job_def("replay_tiny").execute_in_process(
                instance=instance, run_config=given, raise_on_error=False, tags={"user": "ann"}
            )

    def check(self, **config) -> dg.AssetCheckEvaluation:
        result = self.run(**config)
        assert result.success
        (evaluation,) = result.get_asset_check_evaluations()
        return evaluation


def forged(place, version):
    """A version whose record claims another measure than its training gave."""
    packed = place.home.models.load(version.model, version.number)
    metrics = {**packed.manifest.metrics, "validation_mse": packed.manifest.metrics["validation_mse"] * 1.01}
    manifest = packed.manifest.model_copy(update={"metrics": metrics, "model": "tiny.forged", "training_id": "forged"})
    run = place.home.trainer().tracker.start("tiny", "forged").id
    return place.home.models.save(pack(manifest, packed.files), run, actor="a forger")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = Place(tmp_path_factory.mktemp("replayed"), migrated(tmp_path_factory.mktemp("migrated")))
    made.old = made.trained(model=TREES, at=-3)
    made.forged = forged(made, made.old)
    made.new = made.trained(model=TREES)
    made.home.models.alias(made.new.model, "champion", made.new.number)
    return made


@pytest.fixture
def replays(place):
    return Replays(place)


def newest_record(place):
    return recorded_replays(place.home.journal, place.new.model)[-1]


def test_without_a_run_the_newest_version_is_replayed_and_compared_number_by_number(replays, place):
    """S1-30, S1-31."""
    told = replays.check()
    assert told.passed, told.description
    assert (told.metadata["outcome"].value, told.metadata["version"].value) == ("same", place.new.name)
    assert told.metadata["tolerance"].value == REPLAY_TOLERANCE, "other code may give other bits"
    assert "recorded was test" in told.metadata["not_as_it_was"].value
    compared = {each.data["what"]: each.data["result"] for each in told.metadata["compared"].records}
    assert compared["validation_mse"] == "same"
    row, found = newest_record(place)
    assert (row.actor, row.sequence) == ("ann", told.metadata["journal_row"].value)
    assert found.version == place.new.name


@pytest.mark.parametrize("named", ["run_id", "training_id"])
def test_the_record_names_the_version_whose_run_was_asked_for(replays, place, named):
    """S1-39: neither the newest nor the champion."""
    told = replays.check(backtest_run_id=getattr(place.old, named), tolerance=0.0)
    _, found = newest_record(place)
    loaded = place.home.models.load(place.old.model, place.old.number).manifest
    assert (found.version, found.version_id) == (place.old.name, place.old.id)
    assert (found.training_id, found.snapshot_id) == (loaded.training_id, loaded.snapshot_id)
    assert [told.metadata[each].value for each in ("version", "version_id", "backtest_run_id", "tolerance")] == [
        place.old.name,
        place.old.id,
        place.old.run_id,
        0.0,
    ]


def test_a_measure_outside_the_tolerance_fails_the_check_and_goes_on_record(replays, place):
    """S1-31: and a tolerance that is wide enough lets it pass."""
    told = replays.check(backtest_run_id=place.forged.run_id)
    assert not told.passed
    assert "validation_mse" in told.description
    assert [each.outcome for _, each in recorded_replays(place.home.journal, "tiny.forged")] == ["different"]
    compared = {
        each.data["what"]: each.data["result"]
        for each in replays.check(backtest_run_id=place.forged.run_id, tolerance=0.02).metadata["compared"].records
    }
    assert compared["validation_mse"] == "within"


@pytest.mark.parametrize(("config", "code"), [({"backtest_run_id": "nobody"}, "QP148"), ({"tolerance": -1.0}, "QP149")])
def test_what_cannot_be_replayed_is_told_and_leaves_no_record(replays, place, config, code):
    """S1-39: an unknown run is never replaced by the newest one."""
    before = place.home.journal.newest(1, kind=REPLAY.name)
    result = replays.run(**config)
    (failed,) = [each for each in result.all_events if each.is_step_failure]
    assert failed.event_specific_data.user_failure_data.metadata["code"].value == code
    assert place.home.journal.newest(1, kind=REPLAY.name) == before


def test_a_training_does_not_replay_itself_and_a_replay_makes_no_asset(replays, place):
    market = place.scene.market
    replaying, training = (
        replays.definitions.resolve_job_def(name(market)).asset_layer for name in (replay_job_name, train_job_name)
    )
    assert replaying.selected_asset_keys == set()
    assert {key_of(market, SNAPSHOT), key_of(market, MODEL)} <= training.selected_asset_keys
    ops = replays.definitions.resolve_job_def(train_job_name(market)).graph.node_dict
    assert not any(REPLAY_CONSISTENCY in name for name in ops)

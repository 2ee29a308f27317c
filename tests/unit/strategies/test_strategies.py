"""strategies.yaml: what it gives, and what it says when something is wrong."""

from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from custom_features import FEATURES
from quant_pipelines.calendars import calendar_named
from quant_pipelines.documents import BadDocument
from quant_pipelines.feature_tables import market_features
from quant_pipelines.labels import LABEL_SETS
from quant_pipelines.markets import load_markets
from quant_pipelines.models import MODEL_KINDS
from quant_pipelines.strategies import Known, Strategy, TrainingWindow, load_strategies

PROJECT = Path(__file__).parents[3]
MARKETS = load_markets(PROJECT / "markets.yaml")
REGISTRY = market_features(MARKETS["demo"], FEATURES)
KNOWN = Known(markets=MARKETS, features=lambda _market: REGISTRY, label_sets=LABEL_SETS)

ONE = """strategies:
  s:
    description: A test.
    market: demo
    features: [alpha158]
    label_set: qlib_return
    model: {kind: lightgbm}
    training: {window: {years: 2}}
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "strategies.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def loaded(folder: Path, text: str) -> dict[str, Strategy]:
    return load_strategies(written(folder, text), KNOWN)


def told(folder: Path, text: str) -> str:
    with pytest.raises(BadDocument) as refusal:
        loaded(folder, text)
    return str(refusal.value)


def test_every_kind_ships_with_a_strategy_on_the_demo_market():
    shipped = load_strategies(PROJECT / "strategies.yaml", KNOWN)
    assert {each.model.kind for each in shipped.values()} == set(MODEL_KINDS)
    assert {each.market for each in shipped.values()} == {"demo"}
    assert all(each.description and each.chosen(REGISTRY) for each in shipped.values())


def test_the_twelve_kinds_and_the_dual_head_are_known_with_their_defaults():
    """S2-55..S2-64, S1-84."""
    assert list(MODEL_KINDS) == [
        "lightgbm", "xgboost", "linear", "mlp", "lstm", "transformer", "informer", "timesnet", "patchtst", "tabnet",
        "tcn", "tft", "lstm_dual_head",
    ]  # fmt: skip
    assert MODEL_KINDS["patchtst"].defaults["seq_len"] == 96
    assert MODEL_KINDS["lightgbm"].defaults["num_leaves"] == 210
    assert MODEL_KINDS["xgboost"].defaults["n_estimators"] == 1000
    assert all(kind.description for kind in MODEL_KINDS.values())


def test_a_preset_stands_over_the_defaults_and_the_users_values_over_both(tmp_path):
    """S2-25, S2-76."""
    chosen = "{kind: lightgbm, preset: lightgbm_alpha158, hyperparameters: {num_leaves: 31}}"
    parameters = loaded(tmp_path, ONE.replace("{kind: lightgbm}", chosen))["s"].parameters
    assert (parameters["learning_rate"], parameters["num_leaves"], parameters["bagging_freq"]) == (0.0421, 31, 5)


def test_the_old_names_of_kinds_mean_the_same(tmp_path):
    """S2-81."""
    new, old = loaded(tmp_path, ONE), loaded(tmp_path, ONE.replace("lightgbm", "qlib_lightgbm"))
    assert old == new


@pytest.mark.parametrize(
    ("kind", "sessions"), [("lightgbm", 1), ("lstm", 20), ("informer", 60), ("patchtst", 96), ("tabnet", 1)]
)
def test_the_kind_says_how_many_sessions_a_prediction_sees(tmp_path, kind, sessions):
    assert loaded(tmp_path, ONE.replace("lightgbm", kind))["s"].sequence_sessions == sessions


def test_a_longer_look_back_is_a_hyper_parameter(tmp_path):
    text = ONE.replace("{kind: lightgbm}", "{kind: lstm, hyperparameters: {lookback: 33}}")
    assert loaded(tmp_path, text)["s"].sequence_sessions == 33


def test_one_entry_makes_a_strategy_for_each_symbol_and_number_of_years(tmp_path):
    """S3-03."""
    text = ONE.replace("training: {window: {years: 2}}", "for_each: {symbols: [A, B], years: [1, 3]}")
    made = loaded(tmp_path, text)
    assert list(made) == ["s_A_1y", "s_A_3y", "s_B_1y", "s_B_3y"]
    assert made["s_B_3y"].universe.symbols == ("B",)
    assert made["s_B_3y"].training.window == TrainingWindow(years=3)
    assert len({each.digest for each in made.values()}) == 4


def test_sets_and_single_features_are_taken_in_the_registrys_order(tmp_path):
    text = ONE.replace("[alpha158]", "[KMID, pull_back_20, rsi_14, KMID]")
    (indicators, rsi), (alpha, kmid), (custom, pull_back) = loaded(tmp_path, text)["s"].chosen(REGISTRY)
    assert (indicators.name, alpha.name, custom.name) == ("indicators", "alpha158", "custom_features")
    assert [each.name for each in (*rsi, *kmid, *pull_back)] == ["rsi_14", "KMID", "pull_back_20"]


@given(st.permutations(["KMID", "pull_back_20", "rsi_14"]), st.permutations(["A", "B", "C"]))
def test_the_order_in_which_names_are_written_is_no_other_configuration(features, symbols):
    def strategy(features, symbols):
        return Strategy(
            name="s", description="d", market="demo", universe={"symbols": symbols}, features=features,
            label_set="dual", model={"kind": "lstm"}, training={"window": {"years": 1}},
        )  # fmt: skip

    assert strategy(features, symbols).digest == strategy(["KMID", "pull_back_20", "rsi_14"], ["A", "B", "C"]).digest


def test_what_the_defaults_say_is_part_of_the_configuration(tmp_path):
    same = ONE.replace("{kind: lightgbm}", "{kind: lightgbm, hyperparameters: {num_leaves: 210}}")
    other = same.replace("210", "211")
    assert loaded(tmp_path, same)["s"].digest == loaded(tmp_path, ONE)["s"].digest
    assert loaded(tmp_path, other)["s"].digest != loaded(tmp_path, ONE)["s"].digest


@pytest.mark.parametrize(
    ("change", "line", "field", "text"),
    [
        (("market: demo", "market: dmo"), 4, "s.market", "unknown market 'dmo'; did you mean 'demo'?"),
        (("[alpha158]", "[alpha58]"), 5, "s.features[0]", "unknown feature 'alpha58'; did you mean 'alpha158'?"),
        (("[alpha158]", "[zzz]"), 5, "s.features[0]", "use a set (indicators, alpha158, custom_features) or a name"),
        (("qlib_return", "qlib"), 6, "s.label_set", "unknown label set 'qlib'; use one of direction3, dual"),
        (("kind: lightgbm", "kind: lightgbn"), 7, "s.model.kind", "unknown model kind 'lightgbn'; did you mean"),
        (
            ("kind: lightgbm", "kind: qlib.contrib.model.pytorch_nn.DNNModelPytorch"), 7, "s.model.kind",
            "is not allowed: it does not run on today's PyTorch; use mlp",
        ),
        (
            ("kind: lightgbm", "kind: qlib.contrib.model.pytorch_gru.GRU, hyperparameters: {hidden: 3}"), 7,
            "s.model.hyperparameters.hidden", "unknown hyper-parameter 'hidden' of qlib.contrib.model.pytorch_gru.GRU",
        ),
        (("kind: lightgbm", "kind: lightgbm, preset: x"), 7, "s.model.preset", "use one of default, lightgbm_alpha158"),
        (("kind: lightgbm", "kind: lstm_dual_head"), 6, "s.label_set", "lstm_dual_head learns 'dual' alone"),
        (
            ("kind: lightgbm", "kind: lightgbm, hyperparameters: {num_leafs: 3}"), 7,
            "s.model.hyperparameters.num_leafs",
            "unknown hyper-parameter 'num_leafs' of lightgbm; did you mean 'num_leaves'?",
        ),
        (
            ("kind: lightgbm", "kind: lightgbm, fallback: {kind: linar}"), 7, "s.model.fallback.kind",
            "unknown model kind 'linar'; did you mean 'linear'?",
        ),
        (
            ("kind: lightgbm", "kind: lightgbm, fallback: {kind: linear, hyperparameters: {alfa: 1}}"), 7,
            "s.model.fallback.hyperparameters.alfa", "did you mean 'alpha'?",
        ),
        (("kind: lightgbm", "kind: lightgbm, fallback: {kind: lstm}"), 7, "s.model", "the fallback sees 20 sessions"),
        (("{years: 2}", "{years: 2, months: 3}"), 8, "s.training.window", "found years and months; give one"),
        (("{years: 2}", "{years: 0}"), 8, "s.training.window.years", "greater than 0"),
        (("market: demo", "market: demo\n    colour: red"), 5, "s.colour", "unknown field 'colour'"),
        (("{years: 2}}", "{years: 2}, validation_shere: 1}"), 8, "s.training.validation_shere", "'validation_share'?"),
        (
            ("market: demo", "market: demo\n    deployment: {ladder: [30, 10]}"), 5, "s.deployment",
            "does not rise to 100",
        ),
        (("market: demo", "market: demo\n    for_each: {symbols: [A], years: [1]}"), 9, "s.training.window", "remove"),
        (("market: demo", "market: demo\n    normalisation: {missing: centre}"), 5, "s.normalisation", "that scales"),
    ],
)  # fmt: skip
def test_a_mistake_is_told_with_line_field_and_remedy(tmp_path, change, line, field, text):
    message = told(tmp_path, ONE.replace(*change))
    assert f"line {line}, strategies.{field}: " in message
    assert text in message


def test_a_fallback_is_part_of_the_configuration_and_without_one_nothing_changes(tmp_path):
    """S2-110."""
    (plain,) = loaded(tmp_path, ONE).values()
    assert "fallback" not in plain.configuration["model"]
    (careful,) = loaded(
        tmp_path, ONE.replace("kind: lightgbm", "kind: lightgbm, fallback: {kind: qlib_linear}")
    ).values()
    assert careful.configuration["model"]["fallback"]["kind"] == "linear"
    assert careful.configuration["model"]["fallback"]["hyperparameters"]["estimator"] == "ols"
    assert careful.digest != plain.digest
    assert Strategy.model_validate(careful.configuration).digest == careful.digest


def test_all_mistakes_are_told_at_once(tmp_path):
    message = told(tmp_path, ONE.replace("demo", "dmo").replace("years: 2", "weeks: 2").replace("description", "text"))
    assert message.count("  line ") == 4


def test_two_entries_cannot_make_strategies_of_one_name(tmp_path):
    entry = ONE.removeprefix("strategies:\n")
    generated = (
        entry.replace("  s:", "  s_A:")
        .replace("{window: {years: 2}}", "{}")
        .replace("market: demo", "market: demo\n    for_each: {symbols: [B], years: [1]}")
    )
    plain = entry.replace("  s:", "  s_A_B_1y:")
    assert "second strategy named 's_A_B_1y'" in told(tmp_path, f"strategies:\n{plain}{generated}")


def test_a_file_may_say_that_there_are_none(tmp_path):
    assert loaded(tmp_path, "strategies: {}\n") == {}


@pytest.mark.parametrize(
    ("window", "first"),
    [
        (TrainingWindow(sessions=3), datetime(2024, 2, 27)),
        (TrainingWindow(months=12), datetime(2023, 3, 1)),
        (TrainingWindow(years=1), datetime(2023, 3, 1)),
        (TrainingWindow(months=1), datetime(2024, 1, 30)),
    ],
)
def test_a_window_reaches_back_from_the_cutoff(window, first):
    """A year back from the 29th of February begins after the 28th of the year before."""
    sessions = window.of(datetime(2024, 2, 29), calendar_named("XSHG"), earliest=datetime(2020, 1, 2))
    assert (sessions[0], sessions[-1]) == (first, datetime(2024, 2, 29))


def test_a_window_begins_with_the_market():
    begins = datetime(2024, 2, 26)
    for window in (TrainingWindow(sessions=30), TrainingWindow(years=2)):
        assert window.of(datetime(2024, 2, 29), calendar_named("XSHG"), earliest=begins)[0] == begins

"""Settings: one reader of the environment, absolute paths, secrets by file."""

import ast
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from quant_pipelines.markets import load_markets
from quant_pipelines.settings import BadSetting, NotInAProject, Settings, child_environment, find_project

PROJECT = Path(__file__).parents[3]
SOURCES = [PROJECT / name for name in ("quant_pipelines", "assets", "resources", "sensors")]


@pytest.fixture(autouse=True)
def _project(monkeypatch: pytest.MonkeyPatch) -> None:
    # An installation of the end-to-end tests may live in this process until the last test.
    for name in [*(name for name in os.environ if name.startswith("QP_")), "LIQUID_SYMBOLS"]:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("QP_PROJECT", str(PROJECT))


def shipped(settings: Settings):
    """The markets as the graph and the command line load them."""
    return load_markets(settings.markets_path, liquid_symbols=settings.liquid_symbols)


def test_the_liquid_symbols_are_the_same_everywhere_by_default():
    """S1-65."""
    assert shipped(Settings())["crypto"].universe.symbols == ("BTC", "ETH", "SOL")


def test_the_environment_replaces_the_liquid_symbols(monkeypatch):
    """S1-65."""
    monkeypatch.setenv("LIQUID_SYMBOLS", "BTC,DOGE")
    assert shipped(Settings())["crypto"].universe.symbols == ("BTC", "DOGE")


def test_without_it_the_markets_file_decides(monkeypatch, tmp_path):
    text = (PROJECT / "markets.yaml").read_text(encoding="utf-8").replace("[BTC, ETH, SOL]", "[DOGE]")
    (tmp_path / "markets.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("QP_MARKETS_FILE", str(tmp_path / "markets.yaml"))
    assert shipped(Settings())["crypto"].universe.symbols == ("DOGE",)


@pytest.mark.parametrize(
    ("text", "symbols"), [("btc, eth", ("BTC", "ETH")), ("SOL", ("SOL",)), ("BTC,,ETH,", ("BTC", "ETH"))]
)
def test_liquid_symbols_are_a_list_with_commas(monkeypatch, text, symbols):
    """S1-65."""
    monkeypatch.setenv("LIQUID_SYMBOLS", text)
    assert Settings().liquid_symbols == symbols


def test_a_list_without_a_symbol_is_refused(monkeypatch):
    monkeypatch.setenv("LIQUID_SYMBOLS", " , ")
    with pytest.raises(ValidationError, match="names no symbol"):
        Settings()


def test_every_path_is_absolute_wherever_the_process_starts(monkeypatch, tmp_path):
    """S4-47: a log path must be absolute."""
    monkeypatch.chdir(tmp_path)
    settings = Settings()
    assert settings.home_path == PROJECT / "var"
    assert Path(settings.lake_root).is_absolute()
    assert settings.markets_path == PROJECT / "markets.yaml"


def test_the_database_url_names_its_driver(monkeypatch):
    monkeypatch.setenv("QP_DATABASE_URL", "postgresql://user@host/base")
    assert Settings().postgres_url == "postgresql+psycopg2://user@host/base"


@pytest.mark.parametrize("password", ["postgres", "Password", "changeme"])
def test_a_default_password_is_refused(monkeypatch, password):
    """S4-46; the control: a random one is taken."""
    monkeypatch.setenv("QP_DATABASE_URL", f"postgresql://user:{password}@host/base")
    with pytest.raises(BadSetting, match="default password"):
        Settings().postgres_url  # noqa: B018
    monkeypatch.setenv("QP_DATABASE_URL", "postgresql://user:J3n-qz8w_TTx@host/base")
    assert Settings().postgres_url


def test_without_a_url_there_is_no_postgresql():
    assert Settings().postgres_url is None


def test_secrets_come_from_files(monkeypatch, tmp_path):
    """S4-50: credentials do not stand in the environment."""
    secret = tmp_path / "url"
    secret.write_text("postgresql://user:word@host/base\n")
    monkeypatch.setenv("QP_DATABASE_URL_FILE", str(secret))
    assert Settings().postgres_url == "postgresql+psycopg2://user:word@host/base"
    assert "word" not in repr(Settings())


@pytest.mark.parametrize("content", ["", "  \n"])
def test_an_empty_secret_is_refused(monkeypatch, tmp_path, content):
    secret = tmp_path / "url"
    secret.write_text(content)
    monkeypatch.setenv("QP_DATABASE_URL_FILE", str(secret))
    with pytest.raises(BadSetting, match="is empty"):
        Settings().postgres_url  # noqa: B018


def test_a_missing_secret_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("QP_DATABASE_URL_FILE", str(tmp_path / "nowhere"))
    with pytest.raises(BadSetting, match="cannot be read"):
        Settings().postgres_url  # noqa: B018


def test_two_database_urls_are_one_too_many(monkeypatch, tmp_path):
    monkeypatch.setenv("QP_DATABASE_URL", "postgresql://host/base")
    monkeypatch.setenv("QP_DATABASE_URL_FILE", str(tmp_path))
    with pytest.raises(ValidationError, match="keep one"):
        Settings()


def test_mlflow_has_a_database_of_its_own(monkeypatch):
    """Both keep their migrations in a table of the same name."""
    monkeypatch.setenv("QP_DATABASE_URL", "postgresql://me:J3n-qz8w@host/base")
    monkeypatch.setenv("QP_MLFLOW_DATABASE_URL", "postgresql://other:J3n-qz8w@host:5432/base")
    with pytest.raises(BadSetting, match="the same database"):
        Settings().mlflow_postgres_url  # noqa: B018
    monkeypatch.setenv("QP_MLFLOW_DATABASE_URL", "postgresql://other:J3n-qz8w@host:5432/mlflow")
    assert Settings().mlflow_postgres_url == "postgresql+psycopg2://other:J3n-qz8w@host:5432/mlflow"


def test_two_mlflow_urls_are_one_too_many(monkeypatch, tmp_path):
    monkeypatch.setenv("QP_MLFLOW_DATABASE_URL", "postgresql://host/base")
    monkeypatch.setenv("QP_MLFLOW_DATABASE_URL_FILE", str(tmp_path))
    with pytest.raises(ValidationError, match="keep one"):
        Settings()


def test_the_apis_token_comes_from_the_environment_or_a_file_and_is_never_shown(monkeypatch, tmp_path):
    given, filed = "0123456789abcdef", "fedcba9876543210"
    monkeypatch.setenv("QP_API_TOKEN", given)
    assert Settings().api_secret == given
    assert given not in repr(Settings())
    monkeypatch.setenv("QP_API_TOKEN_FILE", str(tmp_path / "token"))
    with pytest.raises(ValidationError, match="both set"):
        Settings()
    monkeypatch.delenv("QP_API_TOKEN")
    (tmp_path / "token").write_text(f"{filed}\n")
    assert Settings().api_secret == filed


def test_a_token_that_can_be_guessed_is_refused(monkeypatch):
    monkeypatch.setenv("QP_API_TOKEN", "0123456789abcde")
    with pytest.raises(BadSetting, match="has 15 characters, 16 or more"):
        _ = Settings().api_secret


def test_the_key_that_signs_models_lies_apart_from_them(monkeypatch, tmp_path):
    assert Settings().model_key_path == PROJECT / "var" / "keys" / "model.key"
    monkeypatch.setenv("QP_MODEL_KEY_FILE", str(tmp_path / "key"))
    assert Settings().model_key_path == tmp_path / "key"


def test_another_database_than_postgresql_is_refused(monkeypatch):
    monkeypatch.setenv("QP_DATABASE_URL", "mysql://host/base")
    with pytest.raises(ValidationError, match="must start with postgresql"):
        Settings()


def test_outside_a_project_the_error_says_where_it_looked(tmp_path):
    with pytest.raises(NotInAProject, match="QP_PROJECT"):
        find_project(tmp_path)


def test_children_are_told_to_be_quiet():
    environment = child_environment(Settings())
    assert environment["DAGSTER_DISABLE_TELEMETRY"] == "yes"
    assert environment["MLFLOW_DISABLE_TELEMETRY"] == "true"
    assert environment["OMP_WAIT_POLICY"] == "PASSIVE"
    assert environment["DAGSTER_HOME"] == str(PROJECT)


def test_nobody_else_reads_the_environment():
    readers = [
        str(path.relative_to(PROJECT))
        for folder in SOURCES
        for path in folder.rglob("*.py")
        if any(
            isinstance(node, ast.Attribute) and node.attr in {"environ", "getenv"}
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        )
    ]
    assert readers == ["quant_pipelines/settings.py"]


def test_nobody_else_reads_the_clock():
    readers = {
        str(path.relative_to(PROJECT))
        for folder in SOURCES
        for path in folder.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Attribute)
        and (node.func.attr in {"now", "utcnow", "today"} and isinstance(node.func.value, ast.Name))
        and node.func.value.id in {"datetime", "date"}
    }
    assert readers == {"quant_pipelines/clock.py"}


@pytest.mark.parametrize(
    "url",
    [
        "hooks.example.org/TOPSECRET",
        "ftp://example.org/TOPSECRET",
        "http://hook:TOPSECRET@example.org/x",
        "http://example.org/TOP SECRET",
        "http://example.org:many/TOPSECRET",
        "http:///TOPSECRET",
    ],
)
def test_an_address_that_alerts_cannot_be_sent_to_is_refused_without_being_told(url, monkeypatch):
    monkeypatch.setenv("QP_ALERT_URL", url)
    with pytest.raises(ValidationError, match="QP_ALERT_URL must be http") as refused:
        Settings()
    assert "SECRET" not in str(refused.value)


def test_an_address_for_alerts_is_no_part_of_what_settings_tell(monkeypatch):
    monkeypatch.setenv("QP_ALERT_URL", "https://example.org/hooks/TOPSECRET")
    assert "TOPSECRET" not in repr(Settings())

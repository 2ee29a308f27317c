"""Settings: the only reader of the environment."""

import os
from functools import cached_property
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationInfo, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from quant_pipelines.errors import OperatorActionRequired

PROJECT_MARK = "workspace.yaml"
POSTGRES_SCHEMES = ("postgresql://", "postgresql+psycopg2://", "postgres://")
_POSTGRES_PORT = 5432
_SHORTEST_TOKEN = 16

_DEFAULT_PASSWORDS = frozenset({"", "admin", "changeme", "dagster", "password", "postgres", "root", "secret"})


class NotInAProject(OperatorActionRequired):
    """No project folder above the current one."""

    code = "QP101"


class BadSetting(OperatorActionRequired):
    """An environment variable that cannot mean anything."""

    code = "QP102"


class Settings(BaseSettings):
    """What the environment says. Every name is `QP_` plus the field's name, but for LIQUID_SYMBOLS (S1-65)."""

    model_config = SettingsConfigDict(
        # What was given may be a secret: an error names the setting.
        env_prefix="QP_",
        frozen=True,
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    project: Path = Field(default_factory=lambda: find_project(Path.cwd()), description="The project's folder.")
    home: Path = Field(default=Path("var"), description="Where everything written lives; relative to the project.")
    markets_file: Path = Field(default=Path("markets.yaml"), description="The markets; relative to the project.")
    strategies_file: Path = Field(
        default=Path("strategies.yaml"), description="The strategies; relative to the project."
    )
    lake_url: str | None = Field(default=None, description="A folder or s3:// URL for the tables; default HOME/lake.")
    lake_endpoint: str | None = Field(default=None, description="Endpoint of an S3-compatible store.")
    lake_key_id: str | None = Field(default=None, description="Access key of the store.")
    lake_secret_file: Path | None = Field(default=None, description="File that holds the store's secret key.")
    lake_region: str = Field(default="us-east-1", description="Region of the store.")
    database_url: str | None = Field(default=None, description="PostgreSQL URL; SQLite under HOME where empty.")
    database_url_file: Path | None = Field(default=None, description="File that holds QP_DATABASE_URL.")
    threads: int = Field(
        default_factory=lambda: os.cpu_count() or 1,
        ge=1,
        description="Threads of one computation; default: every core.",
    )
    mlflow_url: str | None = Field(default=None, description="MLflow's address where it runs elsewhere.")
    mlflow_database_url: str | None = Field(
        default=None, description="PostgreSQL URL of a database of MLflow's own; SQLite under HOME where empty."
    )
    mlflow_database_url_file: Path | None = Field(default=None, description="File that holds QP_MLFLOW_DATABASE_URL.")
    mlflow_artifacts: str | None = Field(
        default=None, description="A folder or s3:// URL for models and reports; default HOME/mlflow-artifacts."
    )
    model_key_file: Path | None = Field(
        default=None, description="File of the key that signs models; default HOME/keys/model.key, made at first use."
    )
    host: str = Field(default="127.0.0.1", description="Address the servers bind to; loopback unless you know why.")
    dagster_port: int = Field(default=3000, ge=1, le=65535, description="Port of the Dagster UI.")
    mlflow_port: int = Field(default=5000, ge=1, le=65535, description="Port of the MLflow UI.")
    api_port: int = Field(default=8000, ge=1, le=65535, description="Port of the HTTP API.")
    api_token: SecretStr | None = Field(default=None, description="Who knows it may send to the API; nobody without.")
    api_token_file: Path | None = Field(default=None, description="File that holds QP_API_TOKEN.")
    trigger_decay_sessions: int | None = Field(
        default=None, ge=1, description="Sessions whose prediction errors count as recent, for every strategy (S1-42)."
    )
    trigger_decay_factor: float | None = Field(
        default=None,
        gt=1,
        allow_inf_nan=False,
        description="Recent errors over earlier ones that are a decay, for every strategy (S1-42).",
    )
    trigger_decay_least_values: int | None = Field(
        default=None, ge=1, description="Sessions that must have errors for a decay, for every strategy (S1-42)."
    )
    trigger_decay_cooldown_sessions: int | None = Field(
        default=None, ge=1, description="Sessions between two trainings for a decay, for every strategy (S1-42)."
    )
    slo_p95_ms: float = Field(
        default=1000,
        gt=0,
        allow_inf_nan=False,
        description="19 of 20 versions that score a session answer within so many milliseconds (S1-44).",
    )
    slo_least_observations: int = Field(
        default=20, ge=1, description="Answers that there must be to be judged (S1-44)."
    )
    slo_sessions: int = Field(default=60, ge=1, description="How many of the last scorings are looked at (S1-44).")
    alert_accuracy_drop: float = Field(
        default=0.05,
        ge=0,
        allow_inf_nan=False,
        description="How much less often than in its holdout a champion may point the right way (S2-118).",
    )
    alert_latency_ms: float = Field(
        default=1000,
        gt=0,
        allow_inf_nan=False,
        description="How many milliseconds the slowest answer of a session may take (S2-118).",
    )
    alert_drift_score: float = Field(
        default=0.3,
        ge=0,
        le=1,
        description="How far what a champion is given may lie from what it was trained on, 0 to 1 (S2-118).",
    )
    alert_sessions: int = Field(
        default=20, ge=1, description="Over how many of the last sessions accuracy and drift are read."
    )
    alert_url: SecretStr | None = Field(
        default=None, description="Where alerts are sent, as Prometheus' Alertmanager takes them; nobody without."
    )
    liquid_symbols: Annotated[tuple[str, ...] | None, NoDecode] = Field(
        default=None,
        validation_alias="LIQUID_SYMBOLS",
        description="Universe of the crypto market, everywhere, in place of the one in markets.yaml (S1-65).",
    )

    @field_validator("liquid_symbols", mode="before")
    @classmethod
    def _split(cls, value: str | tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is None:
            return None
        parts = value.split(",") if isinstance(value, str) else value
        symbols = tuple(part.strip().upper() for part in parts if part.strip())
        if not symbols:
            raise ValueError("LIQUID_SYMBOLS names no symbol; write it as BTC,ETH,SOL or leave it away")
        return symbols

    @field_validator("alert_url")
    @classmethod
    def _only_http(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not _can_be_sent_to(value.get_secret_value()):
            raise ValueError(
                "QP_ALERT_URL must be http:// or https:// with a host, without a user, spaces or line breaks; leave it "
                "away to tell nobody"
            )
        return value

    @field_validator("database_url", "mlflow_database_url")
    @classmethod
    def _only_postgres(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and not value.startswith(POSTGRES_SCHEMES):
            name = f"QP_{str(info.field_name).upper()}"
            raise ValueError(f"{name} must start with postgresql://; leave it away to use SQLite")
        return value

    @model_validator(mode="after")
    def _one_of_each(self) -> "Settings":
        if self.api_token and self.api_token_file:
            raise ValueError("QP_API_TOKEN and QP_API_TOKEN_FILE are both set; keep one")
        if self.database_url and self.database_url_file:
            raise ValueError("QP_DATABASE_URL and QP_DATABASE_URL_FILE are both set; keep one")
        if self.mlflow_database_url and self.mlflow_database_url_file:
            raise ValueError("QP_MLFLOW_DATABASE_URL and QP_MLFLOW_DATABASE_URL_FILE are both set; keep one")
        return self

    @cached_property
    def home_path(self) -> Path:
        """Absolute, always: a relative log path depends on who starts the process (S4-47)."""
        return (self.project / self.home).resolve()

    @cached_property
    def markets_path(self) -> Path:
        return (self.project / self.markets_file).resolve()

    @cached_property
    def strategies_path(self) -> Path:
        return (self.project / self.strategies_file).resolve()

    @cached_property
    def lake_root(self) -> str:
        return self.lake_url or str(self.home_path / "lake")

    @cached_property
    def postgres_url(self) -> str | None:
        """The database, with the driver spelled out: plain postgresql:// means another one in SQLAlchemy 2.1."""
        return _postgres_url(self.database_url, self.database_url_file)

    @cached_property
    def mlflow_postgres_url(self) -> str | None:
        """MLflow's database. It keeps its migrations in a table that Dagster and Optuna have too, so none is shared."""
        url = _postgres_url(self.mlflow_database_url, self.mlflow_database_url_file)
        if url is not None and self.postgres_url is not None and _place(url) == _place(self.postgres_url):
            raise BadSetting(
                "QP_MLFLOW_DATABASE_URL names the same database as QP_DATABASE_URL; the two would ruin each other's "
                "tables. Create a database for MLflow alone."
            )
        return url

    @cached_property
    def model_key_path(self) -> Path:
        """The key that signs models. It never lies where the models do."""
        return (self.project / (self.model_key_file or self.home_path / "keys" / "model.key")).resolve()

    @cached_property
    def api_secret(self) -> str | None:
        """The token of the API, long enough not to be guessed."""
        given = None if self.api_token is None else self.api_token.get_secret_value()
        token = read_secret(self.api_token_file) if self.api_token_file else given
        if token is not None and len(token) < _SHORTEST_TOKEN:
            raise BadSetting(
                f"The API's token has {len(token)} characters, {_SHORTEST_TOKEN} or more are needed. Make one with "
                "`openssl rand -hex 32`."
            )
        return token

    @cached_property
    def lake_options(self) -> dict[str, str]:
        """What the lake's object store needs to know; empty for a local folder."""
        if not self.lake_root.startswith("s3://"):
            return {}
        options = {"region": self.lake_region}
        if self.lake_endpoint:
            options |= {
                "endpoint": self.lake_endpoint,
                "allow_http": str(self.lake_endpoint.startswith("http://")).lower(),
            }
        if self.lake_key_id and self.lake_secret_file:
            options |= {"access_key_id": self.lake_key_id, "secret_access_key": read_secret(self.lake_secret_file)}
        return options

    @cached_property
    def mlflow_address(self) -> str:
        return self.mlflow_url or f"http://{self.host}:{self.mlflow_port}"

    @cached_property
    def dagster_address(self) -> str:
        return f"http://{self.host}:{self.dagster_port}"


# Nobody here phones home, and OpenMP threads that spin while they wait cost ten times the work on two shared cores.
_QUIET = {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
}
# Dagster hands over events of many partitions together only where this is set; resources/events.py writes them so.
_TOGETHER = {"DAGSTER_EVENT_BATCH_SIZE": "1000"}


def hush() -> None:
    """Make this process as quiet as our children are, for libraries that look when they are imported."""
    for name, value in _QUIET.items():
        os.environ.setdefault(name, value)


def child_environment(settings: Settings) -> dict[str, str]:
    """The environment of every process that the project starts."""
    inherited = os.environ.get("PYTHONPATH")
    path = os.pathsep.join([str(settings.project), *([inherited] if inherited else [])])
    return {
        **os.environ,
        **_QUIET,
        **_TOGETHER,
        "PYTHONPATH": path,
        "DAGSTER_HOME": str(settings.project),
        "QP_PROJECT": str(settings.project),
    }


def find_project(start: Path) -> Path:
    """The nearest folder, from here upwards, that is a quant_pipelines project."""
    for folder in (start, *start.parents):
        if (folder / PROJECT_MARK).is_file():
            return folder
    raise NotInAProject(
        f"No {PROJECT_MARK} in {start} or above it. Change into the project's folder or set QP_PROJECT to it."
    )


def _postgres_url(given: str | None, file: Path | None) -> str | None:
    url = read_secret(file) if file else given
    if url is None:
        return None
    if not url.startswith(POSTGRES_SCHEMES):
        raise BadSetting(f"{file} holds no postgresql:// URL. Write one line with the URL.")
    _require_no_default_password(url)
    return "postgresql+psycopg2://" + url.split("://", 1)[1]


def _can_be_sent_to(url: str) -> bool:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    whole = url.isprintable() and " " not in url and "@" not in parts.netloc and port != 0
    return whole and parts.scheme in {"http", "https"} and bool(parts.hostname)


def _place(url: str) -> tuple[str | None, int, str]:
    parts = urlsplit(url)
    return parts.hostname, parts.port or _POSTGRES_PORT, parts.path


def _require_no_default_password(url: str) -> None:
    """The first password that anybody would try opens no database of ours (S4-46)."""
    password = urlsplit(url).password
    if password is not None and password.lower() in _DEFAULT_PASSWORDS:
        raise BadSetting(
            "The database URL has a default password. Set a strong, random one on the server and in the URL."
        )


def read_secret(path: Path) -> str:
    """A secret from a file, so that it stands in no environment and no process list (S4-50)."""
    try:
        secret = path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise BadSetting(
            f"The secret file {path} cannot be read: {error.strerror}. Check the path and its rights."
        ) from error
    if not secret:
        raise BadSetting(f"The secret file {path} is empty. Write the secret into it.")
    return secret

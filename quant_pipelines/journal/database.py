"""A database of append-only tables, SQLite or PostgreSQL, through one code path (X-27)."""

from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import URL, Connection, MetaData, column, inspect, make_url, select, table
from sqlalchemy.exc import DatabaseError, DBAPIError, IntegrityError, InterfaceError, OperationalError, ProgrammingError

from quant_pipelines.journal.dialects import DIALECTS, for_writing
from quant_pipelines.journal.failures import DatabaseDamaged, DatabaseFailed, DatabaseIsNewer

_MIGRATIONS = Path(__file__).parent / "migrations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """The tables of one package: what they are, and the migrations that make them, in a folder and a count of its own.

    Dagster keeps its `alembic_version` in the same PostgreSQL database; a name of our own keeps the two apart.
    """

    tables: MetaData
    migrations: Path
    version_table: str
    revision: str


class Database:
    """Opens the database and brings its tables up to date; safe when many processes do so at once."""

    def __init__(self, url: str | URL, schema: Schema) -> None:
        self._dialect = DIALECTS[make_url(url).get_backend_name()]
        self._engine = self._dialect.engine(url)
        self._schema = schema
        self.name = self._engine.url.render_as_string(hide_password=True)
        with self._in_our_words():
            self._bring_up_to_date()

    @contextmanager
    def reading(self) -> Generator[Connection]:
        with self._in_our_words(), self._engine.connect() as connection, connection.begin():
            yield connection

    @contextmanager
    def writing(self, lock: str) -> Generator[Connection]:
        """One transaction that no other writer under this lock overlaps; committed at the end."""
        with self._in_our_words(), for_writing(self._engine.connect()) as connection, connection.begin():
            self._dialect.lock(connection, lock)
            yield connection

    def _bring_up_to_date(self) -> None:
        path = self._engine.url.database
        is_new_file = self._engine.dialect.name == "sqlite" and not Path(str(path)).exists()
        if not is_new_file:
            with self.reading() as connection:
                if self._found(connection) == self._schema.revision:
                    return
        with self._dialect.alone(self._engine), self.writing(self._schema.version_table) as connection:
            if self._found(connection) != self._schema.revision:
                self._migrate(connection)

    def _found(self, connection: Connection) -> str | None:
        name = self._schema.version_table
        if not inspect(connection).has_table(name):
            return None
        return connection.execute(select(column("version_num")).select_from(table(name))).scalar()

    def _migrate(self, connection: Connection) -> None:
        # Alembic takes a tenth of a second to import; only the process that migrates pays for it.
        from alembic import command
        from alembic.config import Config
        from alembic.util import CommandError

        config = Config()
        options = {
            "script_location": str(_MIGRATIONS),
            "version_locations": str(self._schema.migrations),
            "path_separator": "newline",
        }
        for option, value in options.items():
            config.set_main_option(option, value.replace("%", "%%"))
        config.attributes |= {"connection": connection, "version_table": self._schema.version_table}
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise DatabaseIsNewer(self.name, str(self._found(connection)), self._schema.revision) from error

    @contextmanager
    def _in_our_words(self) -> Generator[None]:
        try:
            yield
        except (IntegrityError, ProgrammingError):
            raise  # a mistake of ours: it needs its trace, not a remedy
        except (OperationalError, InterfaceError) as error:
            raise DatabaseFailed(self.name, _first_line(error)) from error
        except DatabaseError as error:
            raise DatabaseDamaged(self.name, _first_line(error)) from error


def _first_line(error: DBAPIError) -> str:
    return (str(error.orig).strip().splitlines() or [type(error.orig).__name__])[0]

"""What both databases do against changed and removed rows, whoever asks for them."""

from alembic import op

_SQLITE = (
    (
        "CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} "
        "BEGIN SELECT RAISE(ABORT, '{table} is append-only: UPDATE is refused'); END"
    ),
    (
        "CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} "
        "BEGIN SELECT RAISE(ABORT, '{table} is append-only: DELETE is refused'); END"
    ),
)
# For each statement, not each row: TRUNCATE has no rows. ALWAYS: replication roles do not switch it off.
_POSTGRES = (
    (
        "CREATE OR REPLACE FUNCTION qp_append_only() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN RAISE EXCEPTION '% is append-only: % is refused', TG_TABLE_NAME, TG_OP; END $$"
    ),
    (
        "CREATE TRIGGER {table}_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON {table} "
        "FOR EACH STATEMENT EXECUTE FUNCTION qp_append_only()"
    ),
    "ALTER TABLE {table} ENABLE ALWAYS TRIGGER {table}_append_only",
)
# INSERT OR REPLACE removes rows without asking the trigger for DELETE.
_SQLITE_NO_REPLACE = (
    "CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) "
    "BEGIN SELECT RAISE(ABORT, '{table} is append-only: REPLACE is refused'); END"
)


def refuse_changes(table: str, *, unique: tuple[tuple[str, ...], ...]) -> None:
    """Make the database refuse UPDATE, DELETE, TRUNCATE and REPLACE. `unique`: the table's unique columns."""
    if op.get_bind().dialect.name == "postgresql":
        for statement in _POSTGRES:
            op.execute(statement.format(table=table))
        return
    same = " OR ".join("(" + " AND ".join(f"{name} = NEW.{name}" for name in names) + ")" for names in unique)
    for statement in (*_SQLITE, _SQLITE_NO_REPLACE):
        op.execute(statement.format(table=table, same=same))

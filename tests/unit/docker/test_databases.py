"""The secrets, and the databases made from them."""

import os
import shutil
import stat
import subprocess
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import psycopg2
import pytest

FOLDER = Path(__file__).parents[3] / "docker"
SECRETS = ("postgres_password", "dagster_database_url", "mlflow_database_url")


def make_secrets(folder):
    subprocess.run([str(FOLDER / "secrets.sh"), str(folder)], check=True, capture_output=True)
    return {name: (folder / name).read_text(encoding="utf-8").strip() for name in SECRETS}


def test_secrets_are_random_and_made_once(tmp_path):
    first = make_secrets(tmp_path / "one")
    assert make_secrets(tmp_path / "one") == first
    second = make_secrets(tmp_path / "two")
    assert [name for name in SECRETS if first[name] == second[name]] == []
    assert len(first["postgres_password"]) >= 32


def test_only_the_owner_reaches_the_secrets(tmp_path):
    make_secrets(tmp_path / "one")
    assert stat.S_IMODE((tmp_path / "one").stat().st_mode) == 0o700


@pytest.fixture
def administer(postgres_url):
    def run(statement):
        connection = psycopg2.connect(postgres_url)
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
        finally:
            connection.close()

    return run


@pytest.fixture
def made(tmp_path, postgres_url, administer):
    """Two databases, made by the script of the postgres container from URLs with names of this test alone."""
    server = urlsplit(postgres_url)
    place = f"{server.hostname}:{server.port or 5432}"
    names = [f"qp_test_{uuid.uuid4().hex}" for _ in range(2)]
    urls = [f"postgresql://{name}:{uuid.uuid4().hex}@{place}/{name}" for name in names]
    for name, url in zip(names, urls, strict=True):
        (tmp_path / f"{name}_database_url").write_text(url + "\n", encoding="utf-8")
    environment = {
        **os.environ,
        "QP_SECRETS": str(tmp_path),
        "PGHOST": server.hostname or "",
        "PGPORT": str(server.port or 5432),
        "POSTGRES_USER": server.username or "postgres",
    }
    if server.password:
        environment["PGPASSWORD"] = server.password
    if shutil.which("psql") is None:
        pytest.fail("There is no psql here, PostgreSQL's client. Install postgresql-client.")
    subprocess.run([str(FOLDER / "databases.sh")], env=environment, check=True, capture_output=True)
    yield urls
    for name in names:
        administer(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        administer(f'DROP ROLE IF EXISTS "{name}"')


@pytest.mark.postgres
def test_each_url_opens_its_own_database_and_no_other(made):
    for url in made:
        connection = psycopg2.connect(url)
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE mine (n int)")
        connection.close()
    first, second = made
    with pytest.raises(psycopg2.OperationalError, match="permission denied for database"):
        psycopg2.connect(f"{first.rpartition('/')[0]}/{second.rpartition('/')[2]}")

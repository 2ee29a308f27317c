"""The same laws in an S3-compatible store, where a commit is a conditional put."""

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from typing import Any

import boto3
import pytest

from quant_pipelines.clock import SystemClock
from quant_pipelines.lake import (
    Fence,
    FileDamaged,
    Lake,
    SessionConflict,
    StorageFailed,
    Table,
    Window,
    Writer,
    no_fence,
)
from quant_pipelines.lake.schemas import TableSchema

Days = Callable[..., Window]
REGION = "us-east-1"
BUCKET = "lake"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """A store in a process of its own: the table format keeps Python's lock during some of its requests."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        wait_for(port, server)
        with client_of(address) as client:
            client.create_bucket(Bucket=BUCKET)
        yield address
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(300):
        assert server.poll() is None, "the store ended at once"
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.1)
    raise TimeoutError(f"no store at port {port}")


@contextmanager
def client_of(address: str) -> Iterator[Any]:
    keys = {"aws_access_key_id": "key", "aws_secret_access_key": "secret"}
    client = boto3.client("s3", endpoint_url=address, region_name=REGION, **keys)
    try:
        yield client
    finally:
        client.close()


@pytest.fixture
def options(endpoint: str) -> dict[str, str]:
    return {
        "region": REGION,
        "endpoint": endpoint,
        "allow_http": "true",
        "access_key_id": "key",
        "secret_access_key": "secret",
    }


@pytest.fixture
def lake(options: dict[str, str], request: pytest.FixtureRequest) -> Lake:
    return Lake(f"s3://{BUCKET}/{request.node.name}", clock=SystemClock(), storage_options=options)


@pytest.fixture
def table(lake: Lake, schema: TableSchema) -> Table:
    return lake.table("demo", schema)


def test_versions_ids_and_merges_are_as_in_a_folder(
    *, table: Table, lake: Lake, schema: TableSchema, rows, days: Days, writer: Writer
):
    local = lake.table("demo", schema)
    for store in (table, local):
        store.replace(rows(range(40)), window=days(0, 39), writer=writer)
        store.replace(rows([3], level=2.0), window=days(3), writer=writer)
        store.replace(rows([40]), window=days(40), writer=writer)
        store.compact()
    assert table.session_ids() == local.session_ids()
    assert [file.path for file in table._log.current().files] == [file.path for file in local._log.current().files]
    assert table.read().equals(local.read())
    assert table.read(as_of=1).equals(rows(range(40)))
    assert table.verify() == []
    assert table.replace(rows([40]), window=days(40), writer=writer).changed == ()


def test_a_stored_table_is_found_by_its_name(options: dict[str, str], table: Table, rows, days: Days, writer: Writer):
    table.replace(rows([0]), window=days(0), writer=writer)
    lake = Lake(f"s3://{BUCKET}/test_a_stored_table_is_found_by_its_name", clock=SystemClock(), storage_options=options)
    stored = lake.stored("demo", "bars")
    assert stored is not None
    assert stored.read().equals(table.read())
    assert (lake.names("demo"), lake.names("elsewhere")) == (["bars"], [])


def first_time(barrier: threading.Barrier) -> Fence:
    """A fence at which both writers wait for each other once: both have then planned on the same version."""
    met: list[int] = []

    def fence() -> AbstractContextManager[None]:
        if not met:
            met.append(barrier.wait())
        return no_fence()

    return fence


def run_together(*work: Callable[[], object]) -> list[object]:
    """Each in its own thread; what it returned or raised."""
    results: list[object] = [None] * len(work)

    def run(position: int) -> None:
        try:
            results[position] = work[position]()
        except SessionConflict as error:
            results[position] = error

    threads = [threading.Thread(target=run, args=(position,)) for position in range(len(work))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_two_writers_of_different_sessions_both_succeed(table: Table, rows, days: Days, writer: Writer):
    barrier = threading.Barrier(2, timeout=60)
    for turn in range(4):

        def write(day: int) -> Callable[[], object]:
            return lambda: table.replace(rows([day]), window=days(day), writer=writer, fence=first_time(barrier))

        results = run_together(write(2 * turn), write(2 * turn + 1))
        assert not any(isinstance(result, SessionConflict) for result in results)
    assert table.read().equals(rows(range(8)))


def test_leftovers_are_found_and_swept_and_no_version_misses_them(lake: Lake, table: Table, rows, days, writer: Writer):
    def refused() -> AbstractContextManager[None]:
        raise InterruptedError("the writer dies here")

    for level in (1.0, 2.0):
        table.replace(rows([0], level=level), window=days(0), writer=writer)
    with pytest.raises(InterruptedError):
        table.replace(rows([0], level=3.0), window=days(0), writer=writer, fence=refused)
    assert lake.stored_tables() == [table.name]
    assert lake.sweep(table.name) == [], "it is younger than a day"
    (listed,) = lake.leftovers(table.name, age=timedelta(0))
    assert (listed.reason, listed.path.startswith("period=2024-01/")) == ("never committed", True)
    assert lake.sweep(table.name, age=timedelta(0)) == [listed]
    assert lake.leftovers(table.name, age=timedelta(0)) == []
    assert [table.read(as_of=version).equals(rows([0], level=float(version))) for version in (1, 2)] == [True, True]
    assert table.verify() == []


def test_two_writers_of_one_session_end_in_one_commit_and_one_conflict(table: Table, rows, days: Days, writer: Writer):
    """Target R6, in an object store."""
    barrier = threading.Barrier(2, timeout=60)

    def write(level: float) -> Callable[[], object]:
        fence = first_time(barrier)
        return lambda: table.replace(rows([0], level=level), window=days(0), writer=writer, fence=fence)

    table.replace(rows([0]), window=days(0), writer=writer)
    results = run_together(write(2.0), write(3.0))
    assert sum(isinstance(result, SessionConflict) for result in results) == 1
    assert table.version() == 2


def test_damage_is_named_and_healed(table: Table, rows, days: Days, writer: Writer, options: dict[str, str]):
    table.replace(rows(range(5)), window=days(0, 4), writer=writer)
    (entry,) = table._log.current().files
    key = f"{table._log.store.url.removeprefix(f's3://{BUCKET}/')}/{entry.path}"
    with client_of(options["endpoint"]) as client:
        content = bytearray(client.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        content[100] ^= 1
        client.put_object(Bucket=BUCKET, Key=key, Body=bytes(content))
    with pytest.raises(FileDamaged, match="sessions 2024-01-01, 2024-01-02"):
        table.read()
    assert len(table.replace(rows(range(5)), window=days(0, 4), writer=writer).healed) == 5
    assert table.read().equals(rows(range(5)))


def test_a_store_that_does_not_answer_is_named(schema: TableSchema, options: dict[str, str]):
    impatient = {**options, "endpoint": "http://127.0.0.1:9", "connect_timeout": "1s", "timeout": "1s"}
    impatient |= {"max_retries": "0", "retry_timeout": "1s"}
    lake = Lake(f"s3://{BUCKET}/nobody", clock=SystemClock(), storage_options=impatient)
    with pytest.raises(StorageFailed, match="s3://lake/nobody"):
        lake.table("demo", schema).read()

"""The same store with artifacts on S3, and behind a tracking server."""

import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from contextlib import suppress
from dataclasses import replace

import boto3
import pytest
from moto.server import ThreadedMotoServer

from quant_pipelines.registry import CHAMPION, State
from quant_pipelines.registry.failures import FilesDiffer, HashMismatch, StoreUnreachable, TooLarge
from quant_pipelines.registry.mlflow.place import Place
from tests.stored import MODEL, Kept, packed, place_in

BUCKET = "models"


@pytest.fixture
def s3(monkeypatch):
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    for name, value in {
        "AWS_ACCESS_KEY_ID": "me",
        "AWS_SECRET_ACCESS_KEY": "word",
        "AWS_DEFAULT_REGION": "us-east-1",
        "MLFLOW_S3_ENDPOINT_URL": address,
    }.items():
        monkeypatch.setenv(name, value)
    client = boto3.client("s3", endpoint_url=address)
    client.create_bucket(Bucket=BUCKET)
    yield client
    client.close()
    server.stop()


def test_a_version_on_s3_is_whole_or_refused(s3, empty_sqlite, tmp_path):
    shutil.copyfile(empty_sqlite, tmp_path / "mlflow.db")
    kept = Kept(replace(place_in(tmp_path), artifacts=f"s3://{BUCKET}/mlflow"))
    version = kept.save()
    assert version.uri.startswith(f"s3://{BUCKET}/mlflow/demo/")
    assert kept.models.load(MODEL, 1) == packed()
    folder = version.uri.removeprefix(f"s3://{BUCKET}/")
    name = f"{folder}/data/coefficients.safetensors"
    whole = s3.get_object(Bucket=BUCKET, Key=name)["Body"].read()

    s3.put_object(Bucket=BUCKET, Key=name, Body=whole[:-1])
    with pytest.raises(HashMismatch):
        kept.models.load(MODEL, 1)
    s3.put_object(Bucket=BUCKET, Key=name, Body=whole)
    s3.put_object(Bucket=BUCKET, Key=f"{folder}/data/more.json", Body=b"{}")
    with pytest.raises(FilesDiffer):
        kept.models.load(MODEL, 1)
    for number in range(64):
        s3.put_object(Bucket=BUCKET, Key=f"{folder}/data/{number}.json", Body=b"{}")
    with pytest.raises(TooLarge):
        kept.models.load(MODEL, 1)
    s3.delete_object(Bucket=BUCKET, Key=f"{folder}/data/manifest.json")


@pytest.fixture
def server(empty_sqlite, tmp_path):
    """MLflow's own server, as `qp up` starts it."""
    shutil.copyfile(empty_sqlite, tmp_path / "mlflow.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{tmp_path / 'mlflow.db'}",
        "--artifacts-destination", (tmp_path / "artifacts").as_uri(),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        deadline = time.monotonic() + 200
        while not _answers(address):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.2)
        yield address, process
    finally:
        process.terminate()
        process.wait()


def _answers(address: str) -> bool:
    with suppress(urllib.error.URLError, OSError):
        urllib.request.urlopen(f"{address}/health", timeout=2).close()  # noqa: S310 - an address of our own making
        return True
    return False


@pytest.mark.nightly
def test_behind_a_server_everything_is_the_same_until_it_goes_away(server, tmp_path):
    address, process = server
    kept = Kept(Place(uri=address, page=address, artifacts=None, lock=tmp_path / "lock"))
    run = kept.runs.start("demo", "a training", params={"lr": 0.1})
    run.log_metrics({"loss": 1.0}, step=1)
    version = kept.models.save(packed(), run.id, actor="a test")
    run.end()
    assert kept.save() == version
    assert kept.models.load(MODEL, 1) == packed()
    kept.models.alias(MODEL, CHAMPION, 1)
    assert kept.models.move(MODEL, 1, State.VALIDATED, actor="a test").aliases == (CHAMPION,)
    assert [each.number for each in kept.models.search("champion")] == [1]
    for training in ("two", "three", "four"):
        number = kept.save(training).number
        kept.models.move(MODEL, number, State.REJECTED, actor="a test")
    assert [each.number for each in kept.models.trim(MODEL, keep=2)] == [2]

    left = kept.runs.start("demo", "cut off")
    process.terminate()
    process.wait()
    left.log_metrics({"loss": 1.0}, step=1)
    begin = time.monotonic()
    with pytest.raises(StoreUnreachable):
        kept.models.load(MODEL, 1)
    assert time.monotonic() - begin < 60

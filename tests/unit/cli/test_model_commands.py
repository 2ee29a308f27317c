"""`qp models`, as a person types it. In this process: loading MLflow takes seconds each time."""

import shutil
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from quant_pipelines.cli.app import app
from quant_pipelines.cli.project import console
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.registry import open_keys
from quant_pipelines.settings import Settings, child_environment
from tests.installation import PROJECT
from tests.stored import MODEL, Kept, migrated, place_in

QP = [sys.executable, "-c", "from quant_pipelines.cli import main; main()", "models"]


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Two versions in a home."""
    home = tmp_path_factory.mktemp("home")
    migrated(home)
    place = place_in(home)
    kept = Kept(place, keys=open_keys(Settings(project=PROJECT, home=home)))
    for training in ("one", "two"):
        kept.save(training)
    kept.models.alias(MODEL, "champion", 1)
    return home


@pytest.fixture
def qp(stored, monkeypatch):
    """Runs a command: what it printed, and the error of ours that it ended with."""
    for name, value in {"QP_PROJECT": PROJECT, "QP_HOME": stored}.items():
        monkeypatch.setenv(name, str(value))
    # Whoever imported it first may have had a narrow terminal.
    monkeypatch.setattr(console, "width", 250)

    def run(*arguments):
        result = CliRunner().invoke(app, ["models", *arguments])
        if result.exception is not None and not isinstance(result.exception, QuantPipelinesError | SystemExit):
            raise result.exception
        return result.output, result.exception

    return run


def test_versions_are_listed(qp):
    text, error = qp("list")
    assert error is None
    assert f"{MODEL}/1" in text
    assert f"{MODEL}/2" in text
    assert "champion" in text
    assert "No such version" in qp("list", "demo.nobody")[0]


@pytest.mark.parametrize("which", ["1", "champion"])
def test_a_version_is_shown_with_what_it_was_made_of_and_its_life(qp, which):
    text, error = qp("show", MODEL, which)
    assert error is None
    for told in (
        f"{MODEL}/1",
        "5" * 64,
        "strong, weak, noise_a",
        "coefficients.safetensors",
        "validation_mse=0.5",
        "created",
    ):
        assert told in text


def test_tags_are_put_and_found(qp):
    assert "has the tag reviewed=yes" in qp("tag", MODEL, "2", "reviewed=yes")[0]
    assert f"{MODEL}/2" in qp("search", "--tag", "reviewed=yes")[0]
    assert "No such version" in qp("search", "--tag", "reviewed=no")[0]
    assert f"{MODEL}/1" in qp("search", "CHAMP")[0]


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("show", MODEL, "9"), "QP170"),
        (("show", MODEL, "nobody"), "QP170"),
        (("tag", MODEL, "1", "reviewed"), "QP174"),
        (("tag", MODEL, "1", "qp.state=deployed"), "QP175"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(qp, arguments, code):
    assert qp(*arguments)[1].code == code


def test_damage_is_named_and_sets_the_exit_code(stored, qp, tmp_path):
    assert "2 versions: every byte is what was written" in qp("verify")[0]
    (path, _) = Kept(place_in(stored)).files("coefficients.safetensors")
    before = path.read_bytes()
    path.write_bytes(before[:-1])
    try:
        done = subprocess.run(
            [*QP, "verify"],
            env=child_environment(Settings(project=PROJECT)) | {"QP_HOME": str(stored), "COLUMNS": "200"},
            capture_output=True,
            text=True,
            check=False,
        )
    finally:
        path.write_bytes(before)
    assert done.returncode == 1
    assert "QP553" in done.stdout
    assert "QP572 1 of 2 versions are not what was written" in done.stderr
    assert "Traceback" not in done.stderr
    assert "1 versions: every byte" in qp("verify", MODEL, "champion")[0]


def test_without_the_key_nothing_is_trusted(stored, qp, tmp_path, monkeypatch):
    shutil.copytree(stored / "keys", tmp_path / "keys")
    (tmp_path / "keys" / "model.key").write_text("ab" * 32)
    monkeypatch.setenv("QP_MODEL_KEY_FILE", str(tmp_path / "keys" / "model.key"))
    text, error = qp("verify")
    assert error.code == "QP572"
    assert "QP554" in text

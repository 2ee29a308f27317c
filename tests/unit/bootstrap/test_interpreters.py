"""Which Python makes the environment, and what is said where none does."""

import ast
import sys
from pathlib import Path

import pytest

import bootstrap

ROOT = Path(__file__).parents[3]
OLDEST = (3, 6)


@pytest.fixture
def fake(tmp_path):
    """Make a program that looks like a Python."""

    def make(name, body):
        path = tmp_path / name
        path.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        path.chmod(0o755)
        return str(path)

    return make


@pytest.fixture
def unfit(fake):
    return [fake("old", "echo 3.9.1"), fake("new", "echo 3.13.0"), fake("shim", "exit 127"), "no-such-python"]


def test_every_python_from_3_6_on_can_read_it():
    ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"), feature_version=OLDEST)


def test_its_annotations_mean_something_to_old_pythons():
    tree = ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"))
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)]
    written = [node.returns for node in functions] + [each.annotation for node in functions for each in node.args.args]
    modern = [node for node in written if isinstance(node, ast.BinOp | ast.Subscript)]
    assert [ast.unparse(node) for node in modern] == []


def test_it_imports_the_standard_library_alone():
    tree = ast.parse((ROOT / "bootstrap.py").read_text(encoding="utf-8"))
    names = {name.name for node in ast.walk(tree) if isinstance(node, ast.Import) for name in node.names}
    names |= {str(node.module) for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert names <= sys.stdlib_module_names


def test_without_a_fitting_python_it_says_what_it_found_and_what_to_install(tmp_path, unfit):
    with pytest.raises(bootstrap.SetupFailed) as refusal:
        bootstrap.choose_interpreter(tmp_path, unfit)
    said = str(refusal.value)
    for part in ("is 3.9.1", "is 3.13.0", "does not run", "no-such-python is not there", "3.11 or 3.12 is needed"):
        assert part in said


def test_the_first_fitting_python_is_taken_however_many_others_there_are(tmp_path, unfit):
    assert bootstrap.choose_interpreter(tmp_path, [*unfit, sys.executable]).command == sys.executable


def test_a_python_that_cannot_make_environments_does_not_fit(fake):
    found = bootstrap.probe(fake("bare", "echo 3.11.2; exit 1"))
    assert not found.fits
    assert "python3-venv is missing" in found.problem


def test_the_environment_is_never_made_by_the_python_inside_it(tmp_path, fake):
    (tmp_path / ".venv").mkdir()
    inside = fake(".venv/python", "echo 3.11.2")
    assert bootstrap.probe(inside).fits
    assert bootstrap.choose_interpreter(tmp_path, [inside, sys.executable]).command == sys.executable


def test_the_callers_choice_is_final(project, fake):
    code, said = project.run(PYTHON=fake("old", "echo 3.9.1"))
    assert code == 1
    assert "is 3.9.1" in said
    assert "Traceback" not in said
    assert not project.venv.exists()

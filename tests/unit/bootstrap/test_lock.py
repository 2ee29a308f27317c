"""requirements.lock, and what the installed project exposes."""

import re
import shutil
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import bootstrap

ROOT = Path(__file__).parents[3]
LINES = [line for line in bootstrap.lock_lines(ROOT) if not line.startswith("#")]
PINNED = {
    canonicalize_name(name): Version(version.partition(";")[0])
    for name, version in (line.split("==", 1) for line in LINES)
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_every_line_pins_one_version_of_one_package():
    assert [
        line
        for line in LINES
        if not re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.]+(; sys_platform [=!]= \"darwin\")?", line)
    ] == []
    assert len(PINNED) == len(LINES)


def test_nothing_in_it_belongs_to_one_machine():
    assert [name for name in PINNED if re.match(r"nvidia|triton|cuda|pip$|quant-pipelines", name)] == []


def test_it_holds_what_the_project_declares():
    declared = [*PROJECT["dependencies"], *PROJECT["optional-dependencies"]["dev"]]
    wanted = [Requirement(text) for text in declared]
    missing = [
        str(each)
        for each in wanted
        if (found := PINNED.get(canonicalize_name(each.name))) is None or not each.specifier.contains(found)
    ]
    assert missing == []


def test_a_frozen_environment_becomes_portable():
    frozen = ["torch==2.13.0+cpu", "nvidia-nccl-cu13==2.29.7", "cuda-toolkit==13.0", "triton==3.7.1", "pip==23.2.1"]
    assert bootstrap.portable([*frozen, "quant-pipelines @ file:///x", "numpy==2.4.6"]) == [
        "torch==2.13.0",
        "numpy==2.4.6",
    ]


def test_the_editable_install_exposes_the_library_alone(tmp_path):
    """A root folder in site-packages would put names like `assets` into every program of the environment."""
    copy = tmp_path / "project"
    for package in ("quant_pipelines", "assets", "resources", "sensors"):
        (copy / package).mkdir(parents=True)
        (copy / package / "__init__.py").touch()
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy)
    build = f"import setuptools.build_meta as b; b.build_editable({str(tmp_path)!r})"
    subprocess.run([sys.executable, "-c", build], cwd=copy, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as opened:
        finder = next(name for name in opened.namelist() if name.endswith("_finder.py"))
        exposed = opened.read(finder).decode()
    mapping = next(line for line in exposed.splitlines() if line.startswith("MAPPING"))
    assert "'quant_pipelines'" in mapping
    assert [name for name in ("assets", "resources", "sensors") if f"'{name}'" in mapping] == []

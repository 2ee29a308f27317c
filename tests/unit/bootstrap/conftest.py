"""A tiny project that bootstrap.py can set up in seconds and without a network."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]

# An in-tree build backend: an editable wheel is a zip file. Its `qp` only says what it was asked.
BACKEND = """
import pathlib, time, zipfile
def build_editable(folder, config_settings=None, metadata_directory=None):
    if pathlib.Path("slow").exists():
        pathlib.Path("building").touch()
        time.sleep(3)
    name = "quant_pipelines-0.1.0-py3-none-any.whl"
    with zipfile.ZipFile(pathlib.Path(folder) / name, "w") as wheel:
        info = "quant_pipelines-0.1.0.dist-info/"
        wheel.writestr(info + "METADATA", "Metadata-Version: 2.1\\nName: quant_pipelines\\nVersion: 0.1.0\\n")
        wheel.writestr(info + "WHEEL", "Wheel-Version: 1.0\\nRoot-Is-Purelib: true\\nTag: py3-none-any\\n")
        wheel.writestr(info + "entry_points.txt", "[console_scripts]\\nqp = asked:main\\n")
        wheel.writestr("asked.py", "import sys\\ndef main():\\n    print('qp', *sys.argv[1:])\\n")
        wheel.writestr(info + "RECORD", "")
    return name
"""
PYPROJECT = '[build-system]\nrequires = []\nbuild-backend = "backend"\nbackend-path = ["."]\n'


@dataclass(frozen=True)
class Project:
    """The tiny project's folder, and how its commands are run."""

    root: Path

    @property
    def venv(self) -> Path:
        return self.root / ".venv"

    def environment(self, **more: str) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("PIP_") and name != "PYTHON"}
        offline = {"PIP_CONFIG_FILE": os.devnull, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(self.root / "wheels")}
        return {**kept, **offline, "PYTHON": sys.executable, **more}

    def start(self, command: str = "install", **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "bootstrap.py", command],
            cwd=self.root,
            env=self.environment(**more),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, command: str = "install", **more: str) -> tuple[int, str]:
        """Exit code and all that was printed."""
        process = self.start(command, **more)
        said, _ = process.communicate(timeout=120)
        return process.returncode, said

    def lock(self, *requirements: str) -> None:
        (self.root / "requirements.lock").write_text("\n".join(requirements) + "\n", encoding="utf-8")

    def has(self, package: str) -> bool:
        return bool(list(self.venv.glob(f"lib/python*/site-packages/{package}.py")))


@pytest.fixture
def project(tmp_path: Path) -> Project:
    root = tmp_path / "project"
    (root / "wheels").mkdir(parents=True)
    shutil.copy(ROOT / "bootstrap.py", root)
    (root / "backend.py").write_text(BACKEND, encoding="utf-8")
    (root / "pyproject.toml").write_text(PYPROJECT, encoding="utf-8")
    for name in ("first", "second"):
        _write_wheel(root / "wheels" / f"{name}-1.0-py3-none-any.whl", name)
    made = Project(root)
    made.lock("first==1.0")
    return made


def _write_wheel(path: Path, name: str) -> None:
    info = f"{name}-1.0.dist-info"
    with zipfile.ZipFile(path, "w") as wheel:
        wheel.writestr(f"{name}.py", "")
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", f"{name}.py,,\n{info}/METADATA,,\n{info}/WHEEL,,\n{info}/RECORD,,\n")

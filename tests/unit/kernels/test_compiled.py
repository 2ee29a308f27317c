"""Compiled once, safely, and never stale."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from numba.core.caching import NullCache
from numba.core.dispatcher import Dispatcher

import quant_pipelines
from quant_pipelines.kernels import (
    correlation,
    cross_section,
    extremes,
    moments,
    moving,
    order,
    placing,
    ratios,
    recurrence,
    rolling,
    scaling,
    sums,
)
from quant_pipelines.kernels.warmup import compile_kernels

PACKAGE = Path(quant_pipelines.__file__).parent
MODULES = (
    correlation, cross_section, extremes, moments, moving, order, placing, ratios, recurrence, rolling, scaling, sums
)  # fmt: skip
SCRIPT = """
import numpy as np
from quant_pipelines.kernels import sums
out = np.zeros((15, 3), np.float32)
spans = np.array([[0, 0, 3, 0]], np.int64)
sums.shares_by_size(np.array([1, np.nan, -3], np.float32), spans, out)
sums.shares_by_number(np.array([1, np.nan, -3], np.float32), spans, out[:15].copy())
hits = sum(sums.shares_by_size.stats.cache_hits.values()) + sum(sums.shares_by_number.stats.cache_hits.values())
print(hits, *out[:, 2].tolist())
"""


def library_in(folder):
    """A copy of what the kernels need, so that the test may edit it."""
    target = folder / "quant_pipelines"
    shutil.copytree(PACKAGE / "kernels", target / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("__init__.py", "digest.py"):
        shutil.copy(PACKAGE / name, target / name)
    return target


def start(folder, **variables):
    environment = {"NUMBA_CACHE_DIR": str(folder / "cache"), "PYTHONPATH": str(folder), "PATH": "", **variables}
    return subprocess.Popen(
        [sys.executable, "-c", SCRIPT], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True
    )


def answer(process):
    printed, _errors = process.communicate(timeout=120)
    assert process.returncode == 0
    hits, *values = printed.split()
    return int(hits), values


def test_two_processes_may_fill_an_empty_cache_at_once_and_a_changed_helper_is_compiled_again(tmp_path):
    """The helper stands in another file than its callers, where numba by itself would not look."""
    library = library_in(tmp_path)
    together = [start(tmp_path), start(tmp_path)]
    (_, first), (_, second) = (answer(process) for process in together)
    hits, third = answer(start(tmp_path))
    assert first == second == third
    assert hits == 2

    tile = library / "kernels" / "tile.py"
    text = tile.read_text()
    changed = text.replace("return 0.0 if np.isnan(value) else value", "return 9.0 if np.isnan(value) else value")
    assert changed != text
    tile.write_text(changed)
    hits, fourth = answer(start(tmp_path))
    assert hits == 0
    assert fourth != first


def test_without_a_place_for_machine_code_the_kernels_work_all_the_same(tmp_path):
    library_in(tmp_path)
    nowhere = {"NUMBA_CACHE_LOCATOR_CLASSES": "UserProvidedCacheLocator", "NUMBA_CACHE_DIR": "/proc/nowhere"}
    homeless, usual = start(tmp_path, **nowhere), start(tmp_path)
    assert answer(homeless) == answer(usual)


def test_every_kernel_is_compiled_for_one_set_of_types_and_progress_is_told():
    told = []
    compile_kernels(lambda name, done, total: told.append((name, done, total)))
    assert told[-1] == ("done", len(told) - 1, len(told) - 1)
    assert [done for _name, done, _total in told] == list(range(len(told)))
    entries = [each for module in MODULES for each in entries_of(module)]
    assert len(entries) == len(told) - 1
    for entry in entries:
        assert len(entry.signatures) == 1, entry.__name__


def entries_of(module):
    """The functions that are kept on disk."""
    found = [
        each for each in vars(module).values() if isinstance(each, Dispatcher) and each.__module__ == module.__name__
    ]
    return [each for each in found if not isinstance(each._cache, NullCache)]


@pytest.mark.nightly  # compiles everything, which is half a minute
def test_several_processes_fill_the_cache_that_one_then_loads(tmp_path):
    """Each compiles some of the kernels; nobody compiles any again."""
    script = (
        "from quant_pipelines.kernels import sums\n"
        "from quant_pipelines.kernels.warmup import compile_kernels\n"
        "if __name__ == '__main__':\n"
        "    told = []\n"
        "    compile_kernels(lambda name, done, total: told.append(name), processes=2)\n"
        "    print(len(told), sum(sums.shares_by_size.stats.cache_hits.values()))\n"
    )
    file = tmp_path / "compile.py"
    file.write_text(script)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache"), "PYTHONPATH": str(PACKAGE.parent)}
    done = subprocess.run([sys.executable, str(file)], env=environment, capture_output=True, text=True, check=True)
    told, hits = map(int, done.stdout.split())
    assert hits == 1
    assert told > 43

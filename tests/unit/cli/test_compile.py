"""`qp compile`: what set-up waits for, so that nobody waits later."""

import os
import re
import subprocess
import sys
import time

import pytest

QP = [sys.executable, "-c", "from quant_pipelines.cli import main; main()", "compile"]
ALL_OF_THEM = re.compile(r"\b(\d+)/\1\b")
FIRST_KERNEL = """
import time
begin = time.perf_counter()
import numpy as np
from quant_pipelines.features.alpha158 import engine
from quant_pipelines.features.panel import BarPanel
bars = np.full((6, 70), 10.0, np.float32)
engine.compute(BarPanel(bars, np.array([0, 70]), ("A",), np.arange(70).astype("datetime64[us]")))
print(time.perf_counter() - begin)
"""


@pytest.mark.nightly
@pytest.mark.timeout(600)
def test_two_that_compile_at_once_leave_one_cache_that_starts_the_engine_at_once(tmp_path):
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    both = [subprocess.Popen(QP, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for each in both:
        said, _ = each.communicate()
        assert (each.returncode, bool(ALL_OF_THEM.search(said))) == (0, True), said
    begin = time.perf_counter()
    again = subprocess.run(QP, env=environment, capture_output=True, text=True, check=True)
    assert ALL_OF_THEM.search(again.stdout)
    loaded = time.perf_counter() - begin
    engine = subprocess.run(
        [sys.executable, "-c", FIRST_KERNEL], env=environment, capture_output=True, text=True, check=True
    )
    # Compiling takes some twenty seconds; loading, most of it imports, is far from that on any machine.
    assert loaded < 10
    assert float(engine.stdout) < 5

"""A lease is held while its process lives, whatever ends it."""

import signal
import subprocess
import sys

import pytest

from resources.lease import RunIsHeldElsewhere, held_lease, lease_is_free

# Deafness to a signal is inherited: it must not depend on who has started the tests.
_HOLD = """
import signal, sys, time
from pathlib import Path
from resources.lease import held_lease
signal.signal(signal.SIGTERM, signal.SIG_DFL)
signal.pthread_sigmask(signal.SIG_SETMASK, [])
with held_lease(Path(sys.argv[1]), "run"):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_lease_is_free_before_and_after_and_held_in_between(tmp_path):
    assert lease_is_free(tmp_path, "run")
    with held_lease(tmp_path, "run"):
        assert not lease_is_free(tmp_path, "run")
    assert lease_is_free(tmp_path, "run")
    assert list(tmp_path.iterdir()) == []


def test_a_run_that_fails_gives_its_lease_back(tmp_path):
    with pytest.raises(RuntimeError, match="on purpose"), held_lease(tmp_path, "run"):
        raise RuntimeError("on purpose")
    assert lease_is_free(tmp_path, "run")


def test_two_processes_cannot_execute_one_run(tmp_path):
    refused = pytest.raises(RunIsHeldElsewhere, match="already executed")
    with held_lease(tmp_path, "run"), refused, held_lease(tmp_path, "run"):
        pass


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM])
def test_a_killed_process_frees_its_lease(tmp_path, how):
    """R3: nobody has to notice the death for the lease to be free."""
    child = subprocess.Popen([sys.executable, "-c", _HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "held\n"
    assert not lease_is_free(tmp_path, "run")
    child.send_signal(how)
    assert child.wait() == -how
    child.stdout.close()
    assert lease_is_free(tmp_path, "run")

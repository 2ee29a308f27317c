"""Setting up: idempotent, healing, alone, and in sentences."""

import os
import shutil
import signal
import time

import pytest

import bootstrap

FAR_TOO_MUCH = 10**18


def test_the_life_of_an_environment(project):
    code, said = project.run()
    assert (code, said.count("[")) == (0, 4), said
    assert project.has("first")

    stamped = (project.venv / "qp-stamp.json").stat().st_mtime_ns
    assert project.run() == (0, "qp compile\n")
    assert (project.venv / "qp-stamp.json").stat().st_mtime_ns == stamped

    project.lock("first==1.0", "second==1.0")
    code, said = project.run()
    assert (code, "keep .venv" in said) == (0, True), said
    assert project.has("second")

    # Half an installation: no stamp, and debris that a second pip would trip over.
    (project.venv / "qp-stamp.json").rename(project.venv / "qp-incomplete")
    (project.venv / "debris").touch()
    code, said = project.run()
    assert (code, "make .venv" in said) == (0, True), said
    assert not (project.venv / "debris").exists()


def test_a_killed_set_up_is_waited_for_and_then_made_anew(project):
    (project.root / "slow").touch()
    first = project.start()
    while not (project.root / "building").exists():
        assert first.poll() is None, first.communicate()
        time.sleep(0.05)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    assert not (project.venv / "qp-stamp.json").exists()
    (project.root / "slow").unlink()

    code, said = project.run()
    assert (code, "make .venv" in said) == (0, True), said
    assert (project.venv / "qp-stamp.json").exists()


def test_of_two_at_once_one_works_and_the_other_finds_it_done(project):
    both = [project.start(), project.start()]
    said = [process.communicate(timeout=120)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert sorted("[4/4]" in text for text in said) == [False, True]


def test_a_moved_folder_gets_a_new_environment_and_the_command_becomes_the_process(project, tmp_path):
    assert project.run()[0] == 0
    moved = type(project)(tmp_path / "elsewhere")
    shutil.move(project.root, moved.root)
    code, said = moved.run()
    assert (code, "make .venv" in said) == (0, True), said

    program = moved.venv / "bin" / "pyright"
    program.write_text('#!/bin/sh\necho "$OMP_WAIT_POLICY $VIRTUAL_ENV"\nexit 7\n', encoding="utf-8")
    program.chmod(0o755)
    assert moved.run("types") == (7, f"PASSIVE {moved.venv}\n")


def test_an_environment_made_by_hand_is_never_deleted(project):
    project.venv.mkdir()
    (project.venv / "mine").touch()
    code, said = project.run()
    assert (code, "Move it away" in said) == (1, True), said
    assert (project.venv / "mine").exists()


def test_too_little_disk_is_found_before_anything_is_made(project):
    with pytest.raises(bootstrap.SetupFailed, match="GB are free"):
        bootstrap.set_up(project.root, needed_bytes=FAR_TOO_MUCH)
    assert not project.venv.exists()
    bootstrap.require_disk(project.root, needed_bytes=1)


def test_an_unreachable_registry_is_named(project):
    nowhere = {
        "PIP_NO_INDEX": "0",
        "PIP_FIND_LINKS": "",
        "PIP_INDEX_URL": "http://127.0.0.1:1/simple",
        "PIP_RETRIES": "1",
    }
    code, said = project.run(**nowhere)
    assert code == 1
    assert "registry cannot be reached" in said
    assert str(project.root / "var" / "bootstrap.log") in said
    assert "Traceback" not in said


def test_a_missing_package_is_named(project):
    project.lock("third==1.0")
    code, said = project.run()
    assert (code, "The registry has no third==1.0" in said) == (1, True), said


@pytest.mark.parametrize(
    ("pip_says", "advice"),
    [
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "disk is full"),
        ("SSLError(SSLCertVerificationError(1, '[SSL: CERTIFICATE_VERIFY_FAILED]", "PIP_CERT"),
        (
            "NameResolutionError: Temporary failure in name resolution\nERROR: No matching distribution found for a",
            "reached",
        ),
        ("ERROR: No matching distribution found for torch==2.13.0", "no torch==2.13.0"),
        ("ERROR: ResolutionImpossible: for help visit", "contradicts itself"),
        ("PermissionError: [Errno 13] Permission denied: '/x'", "may not be written"),
        ("error: something new", "error: something new"),
    ],
)
def test_what_pip_says_becomes_what_a_person_can_do(tmp_path, pip_says, advice):
    said = bootstrap.explain(pip_says, tmp_path / "bootstrap.log")
    assert advice in said
    assert "bootstrap.log" in said


def test_tests_see_utc_and_nothing_phones_home(tmp_path):
    environment = bootstrap.child_environment(tmp_path, "test")
    assert environment["TZ"] == "UTC"
    assert environment["DO_NOT_TRACK"] == "1"
    assert environment["PATH"].split(os.pathsep)[0] == str(tmp_path / ".venv" / "bin")


def test_an_unknown_command_gets_the_list_of_known_ones(project):
    code, said = project.run("tset")
    assert (code, " test " in said) == (2, True)

"""Make .venv from requirements.lock, then run one of the project's commands in it.

Standard library only, and readable by every Python from 3.6 on: whoever has no fitting Python must get a sentence,
not a syntax error. That is why annotations newer than 3.6 are quoted and why nothing of the project is imported.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Callable, Iterator, NamedTuple  # noqa: UP035 - see the docstring

ROOT = Path(__file__).resolve().parent
FITTING = ((3, 11), (3, 12))
NEEDED_BYTES = 5 * 10**9
GIGABYTE = 10**9
WORKERS_AT_MOST = 4
HEARTBEAT_SECONDS = 15.0
INTERRUPTED = 130

# Set for every command: idle OpenMP threads must not spin on small machines, and nothing phones home.
QUIET = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "GX_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
}
# These make pip install somewhere else, or Python find somebody else's packages.
MISLEADING = ("PYTHONHOME", "PYTHONPATH", "PIP_USER", "PIP_TARGET", "PIP_PREFIX")

PYTEST = ("python", "-m", "pytest")
WORKERS = ("-n", str(min(os.cpu_count() or 1, WORKERS_AT_MOST)), "--dist", "worksteal")
NEW_EXAMPLES = ("--hypothesis-profile", "nightly", "--randomly-seed", "default")
# The first time it takes half a minute; afterwards it finds everything compiled.
COMPILE = ("qp", "compile")
# Each command is one or more programs of .venv/bin; what the caller adds goes to the last one.
COMMANDS = {
    "demo": (COMPILE, ("qp", "demo")),
    "up": (COMPILE, ("qp", "up")),
    "test": (COMPILE, (*PYTEST, *WORKERS)),
    "nightly": (COMPILE, (*PYTEST, *WORKERS, "-m", "nightly", *NEW_EXAMPLES)),
    "bench": (COMPILE, *(("python", str(path)) for path in sorted(ROOT.glob("benchmarks/bench_*.py")))),
    "lint": (("ruff", "check", "."), ("ruff", "format", "--check", ".")),
    "types": (("pyright",),),
    "contracts": (("lint-imports",),),
    "definitions": (("dagster", "definitions", "validate", "-w", "workspace.yaml"),),
    "install": (COMPILE,),
}

DISK_FULL = "The disk is full. Free some space (the installation takes about 5 GB) and run the same command again."
# What pip says, and what a person can do about it; the first match wins. A registry that cannot be reached also
# ends in "No matching distribution", so the connection comes first.
PIP_FAILURES = {
    r"No space left on device|Errno 28|Disk quota exceeded": DISK_FULL,
    r"CERTIFICATE_VERIFY_FAILED|SSLCertVerificationError": (
        "The package registry's certificate is not trusted here. Set PIP_CERT to your organisation's certificates."
    ),
    r"NewConnectionError|Failed to establish a new connection|NameResolutionError|name resolution|not known|nodename"
    r"|ConnectTimeout|ReadTimeout|Read timed out|ProxyError|ProtocolError|Connection (refused|reset|aborted)": (
        "The package registry cannot be reached. Check the network, the proxy (HTTPS_PROXY) and pip's index"
        " (PIP_INDEX_URL or pip.conf), then run the same command again."
    ),
    r"No matching distribution found for (?P<what>\S+)": (
        "The registry has no {what} for this Python and machine. Supported are CPython 3.11 and 3.12 on Linux (glibc)"
        " and macOS; a mirror may lack the package."
    ),
    r"ResolutionImpossible|conflicting dependencies": (
        "requirements.lock contradicts itself. Undo changes to it, or make it anew with `make lock`."
    ),
    r"Permission denied|Errno 13": "A file may not be written. Check who owns the project's folder and pip's cache.",
    r"Cannot allocate memory|MemoryError": "The machine ran out of memory. Close other programs and try again.",
}


class SetupFailed(Exception):
    """Setting up cannot go on; the message says what was found and what to do."""


class Interpreter(NamedTuple):
    """A Python that could make .venv, or the reason why it cannot."""

    command: str
    version: str
    problem: str

    @property
    def fits(self) -> bool:
        return not self.problem


class Progress:
    """One line per phase, with the time since the start; a terminal also sees a live line."""

    def __init__(self, phases: int) -> None:
        self._phases = phases
        self._phase = 0
        self._begin = self._beat = time.monotonic()

    def phase(self, text: str) -> None:
        self._phase += 1
        self._beat = time.monotonic()
        print(f"[{self._phase}/{self._phases}] {self.elapsed:>6} {text}", flush=True)

    def alive(self, text: str) -> None:
        """Show that a long phase goes on: each second on a terminal, now and then in a log."""
        if sys.stdout.isatty():
            width = shutil.get_terminal_size().columns - 1
            print("\r\x1b[K" + f"      {self.elapsed:>6} {text}"[:width], end="", flush=True)
        elif time.monotonic() - self._beat >= HEARTBEAT_SECONDS:
            self._beat = time.monotonic()
            print(f"      {self.elapsed:>6} {text}", flush=True)

    def settle(self) -> None:
        if sys.stdout.isatty():
            print("\r\x1b[K", end="", flush=True)

    @property
    def elapsed(self) -> str:
        return f"{time.monotonic() - self._begin:.0f} s"


def main(arguments: "list[str]") -> int:
    """Set up, then become the command's last program."""
    name = arguments[0] if arguments else ""
    if name not in COMMANDS and name != "lock":
        print(f"Usage: python3 bootstrap.py {' | '.join([*COMMANDS, 'lock'])} [arguments]", file=sys.stderr)
        return 2
    try:
        if name == "lock":
            make_lock(ROOT)
            return 0
        set_up(ROOT)
        return run(COMMANDS[name], arguments[1:], child_environment(ROOT, name))
    except SetupFailed as error:
        print(f"\nSet-up stopped: {error}", file=sys.stderr)
    except OSError as error:
        advice = DISK_FULL if error.errno == errno.ENOSPC else "Check who owns the project's folder."
        print(f"\nSet-up stopped: {error.filename or ROOT}: {error.strerror}. {advice}", file=sys.stderr)
    except KeyboardInterrupt:
        print("\nStopped. Run the same command again: what is half installed is made anew.", file=sys.stderr)
        return INTERRUPTED
    return 1


def set_up(root: Path, needed_bytes: int = NEEDED_BYTES) -> None:
    """Make or heal root/.venv. Does nothing, and says nothing, where it is complete."""
    if os.name != "posix":
        raise SetupFailed("This machine runs neither Linux nor macOS. On Windows, work inside WSL.")
    if is_complete(root):
        return
    with only_one(root) as lock:
        if not is_complete(root):  # whoever held the lock before may have done it
            install(root, lock, needed_bytes)


def install(root: Path, lock: int, needed_bytes: int) -> None:
    """Four phases. The stamp is written last, so whatever is interrupted is made anew."""
    log, venv, progress = new_log(root), root / ".venv", Progress(phases=4)
    python = str(venv / "bin" / "python")
    progress.phase("look at Python and the disk")
    reusable = is_reusable(root)
    maker = (
        [python, "-m", "ensurepip"]
        if reusable
        else [choose_interpreter(root, candidates()).command, "-m", "venv", str(venv)]
    )
    require_disk(root, needed_bytes)
    if not reusable:
        remove_ours(venv)
    begin_changes(venv)
    progress.phase("keep .venv" if reusable else "make .venv with " + maker[0])
    if not (venv / "bin" / "pip").exists():
        follow(maker, log, lock, progress)
    pip = [python, "-m", "pip", "--disable-pip-version-check", "--no-input", "install", "--progress-bar", "off"]
    count = sum("==" in line for line in lock_lines(root))
    progress.phase(f"install {count} packages from requirements.lock (minutes on the first run)")
    follow([*pip, "-r", str(root / "requirements.lock")], log, lock, progress)
    progress.phase("install quant_pipelines itself")
    follow([*pip, "--no-deps", "--no-build-isolation", "-e", str(root)], log, lock, progress)
    stamp = {"place": str(root), "python": probe(python).version, "packages": digest_of(root)}
    (venv / "qp-stamp.json").write_text(json.dumps(stamp), encoding="utf-8")
    (venv / "qp-incomplete").unlink()
    print(f"      {progress.elapsed:>6} ready", flush=True)


def candidates() -> "list[str]":
    """Where a Python may be, best first. $PYTHON is a decision: where it is set, nothing else is tried."""
    asked = os.environ.get("PYTHON")
    if asked:
        return [asked]
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    versions = [str(path) for minor in ("3.12", "3.11") for path in sorted(pyenv.glob(minor + "*/bin/python"))]
    # Resolved, because python3 may be the one of an activated .venv that is about to be replaced.
    running = str(Path(sys.executable).resolve())
    return [running, "python3.12", "python3.11", "python3", *reversed(versions)]


def choose_interpreter(root: Path, commands: "list[str]") -> Interpreter:
    """The first that fits; otherwise say what was found."""
    seen = []
    for command in commands:
        interpreter = probe(command)
        own = root / ".venv" in Path(interpreter.command).parents
        if interpreter.fits and not own:
            return interpreter
        if not own:
            seen.append(f"{interpreter.command} {interpreter.problem}")
    raise SetupFailed(
        "No fitting Python: 3.11 or 3.12 is needed. Found: " + "; ".join(dict.fromkeys(seen)) + ". Install one, for"
        " instance with `apt-get install python3.11 python3.11-venv`, `brew install python@3.12` or"
        " `pyenv install 3.11`, or set PYTHON to its path."
    )


def probe(command: str) -> Interpreter:
    """Run it: a name on the PATH may be a shim without anything behind it."""
    found = shutil.which(command)
    if found is None:
        return Interpreter(command, "", "is not there")
    question = "import sys; print('.'.join(map(str, sys.version_info[:3]))); sys.stdout.flush(); import ensurepip, venv"
    try:
        answer = subprocess.run(
            [found, "-c", question], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=False, timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return Interpreter(found, "", "does not run")
    version = answer.stdout.decode("utf-8", "replace").strip()
    if not re.fullmatch(r"\d+\.\d+\.\d+", version):
        return Interpreter(found, "", "does not run")
    if tuple(map(int, version.split(".")[:2])) not in FITTING:
        return Interpreter(found, version, f"is {version}")
    if answer.returncode:
        return Interpreter(found, version, f"is {version} but cannot make environments (python3-venv is missing)")
    return Interpreter(found, version, "")


def digest_of(root: Path) -> str:
    """Name the wanted packages by content."""
    running = hashlib.sha256()
    for name in ("requirements.lock", "pyproject.toml"):
        running.update(read(root / name).encode() + b"\0")
    return running.hexdigest()


def is_complete(root: Path) -> bool:
    """True where .venv was finished from just these files, in this place, and its Python still runs."""
    stamp = read_stamp(root / ".venv")
    if (stamp.get("place"), stamp.get("packages")) != (str(root), digest_of(root)):
        return False
    return probe(str(root / ".venv" / "bin" / "python")).version == stamp.get("python")


def is_reusable(root: Path) -> bool:
    """True where pip may go on in .venv: not interrupted, not moved, and its Python fits.

    One that was made by hand is reusable too: packages are added to it.
    """
    venv = root / ".venv"
    moved = read_stamp(venv).get("place", str(root)) != str(root)  # scripts in it hold absolute paths
    return not moved and not (venv / "qp-incomplete").exists() and probe(str(venv / "bin" / "python")).fits


def remove_ours(venv: Path) -> None:
    """Delete a .venv that was made here; refuse to delete any other."""
    if not venv.exists():
        return
    if not read_stamp(venv) and not (venv / "qp-incomplete").exists():
        raise SetupFailed(f"{venv} does not run Python 3.11 or 3.12, and was not made by this command. Move it away.")
    shutil.rmtree(str(venv))


def begin_changes(venv: Path) -> None:
    """From here on, until the stamp is written, .venv counts as broken."""
    venv.mkdir(exist_ok=True)
    (venv / "qp-incomplete").touch()
    with contextlib.suppress(FileNotFoundError):
        (venv / "qp-stamp.json").unlink()


def read_stamp(venv: Path) -> "dict[str, str]":
    try:
        stamp = json.loads((venv / "qp-stamp.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def require_disk(root: Path, needed_bytes: int) -> None:
    free = shutil.disk_usage(str(root)).free
    if free < needed_bytes:
        raise SetupFailed(
            f"Only {free / GIGABYTE:.1f} GB are free on the disk of {root}; about {needed_bytes / GIGABYTE:.1f} GB are"
            " needed. Free some space and run the same command again."
        )


def new_log(root: Path) -> Path:
    log = root / "var" / "bootstrap.log"
    log.write_bytes(b"")
    return log


@contextlib.contextmanager
def only_one(root: Path) -> "Iterator[int]":
    """Let one set-up work at a time. Children inherit the lock: a pip whose parent was killed still holds it."""
    import fcntl

    (root / "var").mkdir(exist_ok=True)
    progress = Progress(phases=0)
    with (root / "var" / "bootstrap.lock").open("a") as lock:
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                progress.alive("another set-up is at work in this folder; waiting for it")
                time.sleep(1)
        progress.settle()
        yield lock.fileno()


def follow(command: "list[str]", log: Path, lock: int, progress: Progress) -> None:
    """Run one step into the log while showing that it lives; a failure becomes a sentence."""
    with log.open("ab") as output:
        output.write(("\n$ " + " ".join(command) + "\n").encode())
        output.flush()
        begin = output.tell()
        environment = {name: value for name, value in os.environ.items() if name not in MISLEADING}
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            pass_fds=(lock,),
            env=environment,
        )
        try:
            wait(process, lambda: progress.alive(last_line(log)))
        finally:
            progress.settle()
            if process.poll() is None:
                process.terminate()
                process.wait()
    if process.returncode:
        raise SetupFailed(explain(log.read_bytes()[begin:].decode("utf-8", "replace"), log))


def wait(process: "subprocess.Popen[bytes]", alive: "Callable[[], None]") -> None:
    while True:
        try:
            process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            alive()
        else:
            return


def last_line(log: Path) -> str:
    """What pip is at: Collecting, Downloading, Installing, ..."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8", errors="replace").splitlines()]
    return next((line for line in reversed(lines) if re.match(r"[A-Z][a-z]+ ", line)), "")


def explain(text: str, log: Path) -> str:
    """Turn what pip said into what a person can do."""
    for pattern, advice in PIP_FAILURES.items():
        found = re.search(pattern, text)
        if found:
            return f"{advice.format(**found.groupdict())} All details: {log}"
    errors = [line.strip() for line in text.splitlines() if line.lstrip().lower().startswith("error")]
    last = errors[-1] if errors else "no reason was given"
    return f"A step of the installation failed ({last}). Read the end of {log}, then run the same command again."


def child_environment(root: Path, name: str) -> "dict[str, str]":
    """The caller's environment with .venv in front. Tests see UTC wherever they run."""
    environment = {**os.environ, **QUIET, "VIRTUAL_ENV": str(root / ".venv")}
    environment["PATH"] = str(root / ".venv" / "bin") + os.pathsep + os.environ.get("PATH", "")
    environment.pop("PYTHONHOME", None)
    if name in ("test", "nightly", "bench"):
        environment["TZ"] = "UTC"
    if name == "definitions":  # only the library is installed; the graph is read from the project's folder
        environment["PYTHONPATH"] = str(root)
    return environment


def run(programs: "tuple[tuple[str, ...], ...]", extra: "list[str]", environment: "dict[str, str]") -> int:
    """Run all but the last program as children, then become the last one."""
    os.chdir(str(ROOT))
    for index, (program, *arguments) in enumerate(programs):
        command = [str(ROOT / ".venv" / "bin" / program), *arguments]
        if index == len(programs) - 1:
            # Replace this process, so that signals and the exit code are the command's own.
            sys.stdout.flush()
            os.execve(command[0], [*command, *extra], environment)  # noqa: S606 - no shell is wanted
        code = subprocess.run(command, env=environment, check=False).returncode
        if code:
            return code
    return 0


def make_lock(root: Path) -> None:
    """Resolve pyproject.toml anew in a throwaway environment, and write down what came out."""
    with only_one(root) as lock, tempfile.TemporaryDirectory() as folder:
        log, progress = new_log(root), Progress(phases=3)
        progress.phase("make a throwaway environment")
        follow([choose_interpreter(root, candidates()).command, "-m", "venv", folder], log, lock, progress)
        pip = [str(Path(folder) / "bin" / "python"), "-m", "pip"]
        progress.phase("install the newest of what pyproject.toml asks for (minutes)")
        follow([*pip, "install", "setuptools", f"{root}[dev]"], log, lock, progress)
        progress.phase("write requirements.lock")
        frozen = subprocess.run([*pip, "freeze", "--all"], stdout=subprocess.PIPE, check=True).stdout.decode()
    header = [line for line in lock_lines(root) if line.startswith("#")]
    text = "\n".join([*header, *portable(frozen.splitlines())]) + "\n"
    (root / "requirements.lock").write_text(text, encoding="utf-8")


def portable(frozen: "list[str]") -> "list[str]":
    """Drop what belongs to one machine: pip itself, the project, CUDA packages, and builds like +cpu.

    XGBoost has one name on Linux and another on macOS; whichever was found stands for both.
    """
    elsewhere = re.compile(r"(pip|quant[-_]pipelines|triton|nvidia-.*|cuda-.*)==.*")
    lines = [re.sub(r"\+\S+$", "", line) for line in frozen if "==" in line and not elsewhere.fullmatch(line)]
    return [each for line in lines for each in _on_each_system(line)]


def _on_each_system(line: str) -> "list[str]":
    name, version = line.split("==")
    if name not in ("xgboost", "xgboost-cpu"):
        return [line]
    return [
        f'xgboost=={version}; sys_platform == "darwin"',
        f'xgboost-cpu=={version}; sys_platform != "darwin"',
    ]


def lock_lines(root: Path) -> "list[str]":
    return read(root / "requirements.lock").splitlines()


def read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise SetupFailed(f"{path} cannot be read ({error.strerror}). Is the checkout complete?") from error


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""The commands as a person types them, on a market of a few months."""

import os
import shutil
import subprocess
import sys

import pytest

from tests.installation import PROJECT

QP = [sys.executable, "-c", "from quant_pipelines.cli import main; main()"]
MARKETS = """
markets:
  tiny:
    description: A tiny market.
    calendar: XSHG
    currency: CNY
    first_session: 2023-01-03
    source: {kind: synthetic}
    missing_bar: suspended
    rules: a_share
"""
STRATEGIES = """
strategies:
  candles:
    description: Two factors.
    market: tiny
    features: [KMID, KLEN]
    label_set: direction3
    model: {kind: lightgbm}
    training: {window: {sessions: 100}}
"""


class Shell:
    """Runs `qp` in a home of the test's own."""

    def __init__(self, home):
        self.home = home
        (home / "markets.yaml").write_text(MARKETS)
        (home / "strategies.yaml").write_text(STRATEGIES)

    def qp(self, *arguments):
        settings = {
            "QP_PROJECT": str(PROJECT), "QP_HOME": str(self.home), "QP_MARKETS_FILE": str(self.home / "markets.yaml"),
            "QP_STRATEGIES_FILE": str(self.home / "strategies.yaml"), "PYTHONPATH": str(PROJECT), "COLUMNS": "200",
        }  # fmt: skip
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("QP_")}
        done = subprocess.run([*QP, *arguments], env=inherited | settings, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr


@pytest.fixture(scope="module")
def shell(published, tmp_path_factory):
    home = tmp_path_factory.mktemp("shell")
    shutil.copytree(published.folder / "lake", home / "lake")
    return Shell(home)


def test_from_the_first_snapshot_to_its_proof(shell, published):
    """build, list, show, diff, verify, plan: in the order in which somebody meets them."""
    status, text = shell.qp("snapshot", "list")
    assert (status, "no such snapshot yet" in text) == (0, True)
    status, text = shell.qp("snapshot", "build", "candles")
    assert status == 0, text
    assert "Frozen now." in text
    assert "2023-08-29" in text
    status, text = shell.qp("snapshot", "build", "candles", "--cutoff", "2023-08-28")
    assert (status, "Frozen now." in text) == (0, True)
    assert "there already" in shell.qp("snapshot", "build", "candles")[1]

    _, text = shell.qp("snapshot", "list")
    ids = [line.split("│")[1].strip() for line in text.splitlines() if "candles" in line]
    assert len(ids) == 2
    _, text = shell.qp("snapshot", "show", ids[0])
    assert ids[0] in text
    assert "alpha158" in text
    _, text = shell.qp("snapshot", "diff", *ids)
    assert "cutoff" in text
    assert "alpha158: sessions that only one used" in text
    status, text = shell.qp("snapshot", "verify", ids[0])
    assert (status, "every byte is what was written" in text) == (0, True)
    assert "0 of 2 snapshots" in shell.qp("retention", "plan")[1]


def test_a_flipped_byte_is_refused_with_its_place(shell, tmp_path):
    other = Shell(tmp_path)
    shutil.copytree(shell.home / "lake", tmp_path / "lake")
    other.qp("snapshot", "build", "candles")
    (snapshot,) = (path.stem for path in (tmp_path / "snapshots" / "documents").glob("*.json"))
    (path,) = (tmp_path / "lake" / "tiny" / "alpha158" / "period=2023-07").glob("*.parquet")
    content = bytearray(path.read_bytes())
    content[len(content) // 3] ^= 1
    path.write_bytes(bytes(content))
    status, text = other.qp("snapshot", "verify", snapshot[:12])
    assert status == 1
    assert "table tiny/alpha158 in 2023-07-03: expected " in text
    assert "QP541" in text


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("snapshot", "build", "candels"), "QP107"),
        (("snapshot", "build", "candles", "--cutoff", "2023-05-01"), "nearest are 2023-04-28 and 2023-05-04"),
        (("snapshot", "show", "123456789"), "QP185"),
        (("retention", "run", "123456789", "--actor", "me"), "QP440"),
    ],
)
def test_mistakes_are_answered_with_a_sentence(shell, arguments, told):
    status, text = shell.qp(*arguments)
    assert status == 1
    assert told in text
    assert "Traceback" not in text


def test_strategies_are_listed_and_shown(shell):
    assert "candles" in shell.qp("strategies")[1]
    status, text = shell.qp("strategies", "candles")
    assert (status, "2: KMID, KLEN" in text) == (0, True)

"""The compose file as compose itself reads it; `config` needs the client only, no engine."""

import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "docker"
OURS = ("mlflow", "code", "webserver", "daemon")


@pytest.fixture(scope="module")
def compose() -> Sequence[str]:
    """Either edition: the plugin of docker, or the program that Debian packages."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) is None:
            continue
        if subprocess.run([*command, "version"], capture_output=True, check=False).returncode == 0:
            return command
    pytest.skip("neither `docker compose` nor docker-compose is here; apt-get install docker-compose")


@pytest.fixture
def stack(tmp_path: Path) -> Path:
    """A copy beside secrets of its own, so that none are made in the project."""
    shutil.copytree(FOLDER, tmp_path / "docker")
    subprocess.run([str(FOLDER / "secrets.sh"), str(tmp_path / "var" / "secrets")], check=True, capture_output=True)
    return tmp_path / "docker" / "compose.yaml"


def config(compose: Sequence[str], file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*compose, "-f", str(file), "config"], capture_output=True, text=True, check=False)


def test_compose_accepts_the_stack_and_means_by_it_what_we_do(compose, stack):
    done = config(compose, stack)
    assert (done.returncode, done.stderr) == (0, "")
    read = yaml.safe_load(done.stdout)
    assert set(read["services"]) == {"postgres", *OURS}
    for name in OURS:
        service = read["services"][name]
        assert (service["read_only"], service["cap_drop"], service["restart"]) == (True, ["ALL"], "unless-stopped")
        assert "no-new-privileges:true" in service["security_opt"]
    webserver = read["services"]["webserver"]["environment"]
    assert (webserver["QP_CODE_HOST"], webserver["QP_HOST"]) == ("code", "0.0.0.0")  # noqa: S104 - inside a container
    assert all(Path(secret["file"]).is_file() for secret in read["secrets"].values())
    assert Path(read["services"]["code"]["build"]["context"]).resolve() == stack.parents[1].resolve()


def test_compose_refuses_what_it_does_not_know(compose, stack):
    """The control."""
    stack.write_text(stack.read_text(encoding="utf-8") + "\nserivces: {}\n", encoding="utf-8")
    done = config(compose, stack)
    assert done.returncode != 0
    assert "serivces" in done.stderr


def test_the_stack_has_a_name_of_its_own():
    """Without one it would be called after its folder, like everybody's `docker`."""
    assert "COMPOSE_PROJECT_NAME=quant_pipelines\n" in (FOLDER / ".env").read_text(encoding="utf-8")

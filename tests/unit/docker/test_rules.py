"""What the container files must and must not say (S2-122, S4-18, S4-50)."""

import re
from pathlib import Path

import pytest
import yaml

FOLDER = Path(__file__).parents[3] / "docker"
COMPOSE = yaml.safe_load((FOLDER / "compose.yaml").read_text(encoding="utf-8"))
SERVICES = COMPOSE["services"]
OURS = sorted(set(SERVICES) - {"postgres"})
# Continued lines are one instruction.
DOCKERFILE = re.sub(r"\\\n\s*", "", (FOLDER / "Dockerfile").read_text(encoding="utf-8")).splitlines()
SECRET = re.compile(r"password|secret|token|_key|database_url", re.IGNORECASE)


def instructions(name):
    return [line.split(maxsplit=1)[1] for line in DOCKERFILE if line.startswith(name + " ")]


def last_stage():
    return DOCKERFILE[max(index for index, line in enumerate(DOCKERFILE) if line.startswith("FROM ")) :]


def named_secrets(environment):
    return [name for name in environment if SECRET.search(name) and not name.endswith("_FILE")]


def test_the_stack_has_its_services():
    assert set(SERVICES) == {"postgres", "mlflow", "code", "webserver", "daemon"}


@pytest.mark.parametrize("name", SERVICES)
def test_every_service_says_whether_it_is_well_and_comes_back(name):
    assert SERVICES[name]["healthcheck"]["test"][0] == "CMD"
    assert SERVICES[name]["restart"] == "unless-stopped"


@pytest.mark.parametrize("name", SERVICES)
def test_ports_are_bound_to_loopback(name):
    assert [port for port in SERVICES[name].get("ports", []) if not port.startswith("127.0.0.1:")] == []


@pytest.mark.parametrize("name", SERVICES)
def test_images_have_a_version(name):
    tag = SERVICES[name]["image"].rpartition(":")[2]
    assert tag[0].isdigit()


@pytest.mark.parametrize("name", SERVICES)
def test_no_secret_stands_in_an_environment(name):
    """S4-50."""
    environment = SERVICES[name].get("environment", {})
    assert named_secrets(environment) == []
    files = {value for key, value in environment.items() if key.endswith("_FILE")}
    assert files <= {f"/run/secrets/{secret}" for secret in SERVICES[name].get("secrets", [])}


def test_a_secret_in_an_environment_would_be_seen():
    assert named_secrets({"POSTGRES_PASSWORD": "x", "QP_DATABASE_URL": "y", "QP_HOST": "z"}) == [
        "POSTGRES_PASSWORD",
        "QP_DATABASE_URL",
    ]


@pytest.mark.parametrize("name", OURS)
def test_our_containers_are_hardened(name):
    """S2-122."""
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service.get("privileged") is None
    assert service.get("user") is None


def test_the_databases_are_apart_and_out_of_reach():
    assert SERVICES["mlflow"]["environment"]["QP_MLFLOW_DATABASE_URL_FILE"].endswith("/mlflow_database_url")
    assert SERVICES["webserver"]["environment"]["QP_DATABASE_URL_FILE"].endswith("/dagster_database_url")
    assert SERVICES["postgres"]["networks"] == ["inside"]
    assert COMPOSE["networks"]["inside"]["internal"] is True
    assert "ports" not in SERVICES["postgres"]


@pytest.mark.parametrize("kind", ["volumes", "secrets", "networks"])
def test_what_services_use_is_declared_and_what_is_declared_is_used(kind):
    used = {each.split(":")[0] for service in SERVICES.values() for each in service.get(kind, [])}
    assert {name for name in used if not name.startswith(".")} == set(COMPOSE[kind])


def test_mounted_project_files_exist_and_cannot_be_written():
    mounts = [each.split(":") for service in SERVICES.values() for each in service.get("volumes", []) if each[0] == "."]
    assert {tuple(mount[2:]) for mount in mounts} == {("ro",)}
    # data/ is the user's own and may be missing
    assert [mount[0] for mount in mounts if mount[0] != "../data" and not (FOLDER / mount[0]).exists()] == []


def test_the_image_runs_as_nobody_special():
    stage = last_stage()
    assert [line for line in stage if line.startswith("USER ")] == ["USER 10001:10001"]
    after = stage[stage.index("USER 10001:10001") :]
    assert [line for line in after if line.startswith(("RUN", "COPY"))] == []


def test_the_image_checks_its_health_and_starts_one_script():
    assert len([line for line in last_stage() if line.startswith("HEALTHCHECK ")]) == 1
    assert instructions("ENTRYPOINT") == ['["/app/docker/entry.sh"]']


def test_base_images_have_a_version():
    tags = [text.split()[0].rpartition(":")[2] for text in instructions("FROM")]
    assert [tag for tag in tags if not tag[:1].isdigit()] == []


def test_nothing_is_added_from_an_address_and_no_secret_is_built_in():
    assert instructions("ADD") == []
    assert [line for line in DOCKERFILE if re.search(r"curl|wget|git clone", line)] == []
    names = re.findall(r"([A-Z_]+)=", " ".join(instructions("ENV") + instructions("ARG")))
    assert named_secrets(names) == []


def test_packages_come_from_the_lock():
    installs = [line for line in DOCKERFILE if "pip install" in line]
    assert installs
    assert all(part.count("pip install") == part.count("--constraint requirements.lock") for part in installs)


def test_the_build_sees_only_what_it_names():
    lines = (FOLDER / "Dockerfile.dockerignore").read_text(encoding="utf-8").splitlines()
    rules = [line for line in lines if line and not line.startswith("#")]
    assert rules[0] == "*"
    allowed = {line[1:] for line in rules if line.startswith("!")}
    assert not allowed & {"var", ".git", ".venv", "data", "docker", "tests"}

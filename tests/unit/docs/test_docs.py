"""What the documents promise exists: links, commands, settings, paths."""

import re
import shlex
from pathlib import Path

import pytest
import typer
import yaml

import bootstrap
from quant_pipelines.cli.app import app
from quant_pipelines.markets.market import Adjustment, Market
from quant_pipelines.models import MODEL_KINDS
from quant_pipelines.settings import Settings
from quant_pipelines.strategies import Strategy

ROOT = Path(__file__).parents[3]
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").rglob("*.md")])
LINK = re.compile(r"\[[^\]]+\]\(([^)\s]+)\)")
TARGETS = set(re.findall(r"^([a-z]+):.*## ", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
# Read by the tests and the containers' scripts alone.
OTHER_SETTINGS = {"QP_TEST_POSTGRES_URL", "QP_TEST_BROWSER"}
SETTINGS = {f"QP_{name.upper()}" for name in Settings.model_fields} | OTHER_SETTINGS
# The user's own folder; the others are made when the project runs.
MADE_LATER = ("data/", "var/")


def text_of(page):
    return page.read_text(encoding="utf-8")


def shell_lines(text):
    blocks = re.findall(r"```console\n(.*?)```", text, re.DOTALL)
    return [line.strip() for block in blocks for line in block.splitlines() if line.strip()]


def commands(text, program):
    """Every use of a program: in blocks, and in `code` in the text."""
    lines = shell_lines(text) + re.findall(r"`([^`\n]+)`", text)
    words = [
        [word for word in shlex.split(line) if not re.match(r"[A-Z_]+=", word)] for line in lines if "'" not in line
    ]
    return [each[1:] for each in words if each and each[0] == program]


def qp_understands(arguments):
    command, rest = typer.main.get_command(app), list(arguments)
    while rest and rest[0] in getattr(command, "commands", {}):
        command = command.commands[rest.pop(0)]
    known = {option for each in command.params for option in [*each.opts, *each.secondary_opts]}
    complete = not (rest and hasattr(command, "commands"))
    return complete and {word for word in rest if word.startswith("--")} <= known


def anchors(page):
    titles = re.findall(r"^#+ (.+)$", text_of(page), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title).strip().lower().replace(" ", "-") for title in titles}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    broken = []
    for link in LINK.findall(text_of(page)):
        if link.startswith("http"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert broken == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_make_commands_exist(page):
    assert {arguments[0] for arguments in commands(text_of(page), "make") if arguments} <= TARGETS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_qp_commands_and_their_options_exist(page):
    assert [arguments for arguments in commands(text_of(page), "qp") if not qp_understands(arguments)] == []


@pytest.mark.parametrize(
    ("line", "understood"),
    [
        ("`qp table show demo prices`", True),
        ("`qp demo --no-servers`", True),
        ("`qp tables`", False),
        ("`qp up --x`", False),
    ],
)
def test_a_wrong_qp_command_would_be_found(line, understood):
    (arguments,) = commands(line, "qp")
    assert qp_understands(arguments) is understood


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_settings_exist(page):
    assert set(re.findall(r"\bQP_[A-Z_]+\b", text_of(page))) <= SETTINGS


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_paths_exist(page):
    named = re.findall(r"(?<![\w/@.])((?:[\w.-]+/)+[\w.-]+\.(?:yaml|py|sh|md|toml))\b", text_of(page))
    assert [path for path in named if not path.startswith(MADE_LATER) and not (ROOT / path).exists()] == []


def test_the_operations_page_names_every_setting():
    page = text_of(ROOT / "docs" / "operations.md")
    named_elsewhere = {"QP_PROJECT", "QP_LIQUID_SYMBOLS"} | OTHER_SETTINGS
    assert [name for name in sorted(SETTINGS - named_elsewhere) if f"`{name}`" not in page] == []


def test_the_market_page_names_every_field_and_no_other():
    page = text_of(ROOT / "docs" / "add-a-market.md")
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    kinds = set(Adjustment.model_fields["kind"].annotation.__args__)
    assert rows == (set(Market.model_fields) - {"name"}) | kinds


def test_the_strategy_page_names_every_field_and_no_other():
    page = text_of(ROOT / "docs" / "strategies.md")
    rows = set(re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE))
    assert rows == set(Strategy.model_fields) - {"name"}
    assert all(f"`{kind}`" in page for kind in MODEL_KINDS)


def test_the_readme_opens_with_the_two_commands():
    assert shell_lines(text_of(ROOT / "README.md"))[:2] == ["make demo", "make test"]


def test_every_command_of_the_makefile_is_one_of_the_bootstrap():
    assert TARGETS - {"help", "check", "clean"} == {*bootstrap.COMMANDS, "lock"}


def test_every_page_is_in_the_navigation():
    site = yaml.safe_load(text_of(ROOT / "mkdocs.yml"))
    pages = {page for entry in site["nav"] for page in entry.values()}
    assert pages == {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}


def test_hooks_run_what_ci_runs():
    hooks = yaml.safe_load(text_of(ROOT / ".pre-commit-config.yaml"))["repos"][0]["hooks"]
    programs = {Path(hook["entry"].split()[0]).name for hook in hooks}
    assert programs == {bootstrap.COMMANDS[name][0][0] for name in ("lint", "types", "contracts")}


def test_ci_runs_the_readmes_test_command_and_every_check():
    parts = re.search(r"for part in (.+); do", text_of(ROOT / ".ci" / "run")).group(1).split()
    assert parts == ["test", "lint", "types", "contracts", "definitions"]

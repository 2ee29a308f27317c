"""The whole tree, by its syntax: nobody loads what could run code (S0-08, S0-09, S0-11, S0-12, X-32)."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
NOT_OURS = {".venv", "var", "build", "dist", "node_modules", ".git"}
SERIALISERS = {
    "pickle",
    "_pickle",
    "cPickle",
    "cloudpickle",
    "dill",
    "joblib",
    "shelve",
    "marshal",
    "jsonpickle",
    "skops",
}
# Writes pickles to see them refused, and reads none.
ATTACKER = "tests/unit/registry/test_refusals.py"


def sources():
    found = [path for path in ROOT.rglob("*.py") if not NOT_OURS & set(path.relative_to(ROOT).parts)]
    return {str(path.relative_to(ROOT)): ast.parse(path.read_text(encoding="utf-8")) for path in found}


def imported(tree):
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name.partition(".")[0] for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield (node.module or "").partition(".")[0]


def dotted(node):
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def given(call, name):
    found = [each.value for each in call.keywords if each.arg == name]
    return found[0].value if found and isinstance(found[0], ast.Constant) else None


def dangerous(tree):
    """What could run code from a file, by its line."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = dotted(node.func)
        owner, _, called = name.rpartition(".")
        if owner in SERIALISERS and called in {"load", "loads", "Unpickler", "open"}:
            yield node.lineno, name
        if name in {"torch.load", "load"} and owner == "torch" and given(node, "weights_only") is not True:
            yield node.lineno, "torch.load without weights_only=True"
        if name in {
            "torch.save",
            "torch.jit.load",
            "torch.package.PackageImporter",
            "pandas.read_pickle",
            "pd.read_pickle",
        }:
            yield node.lineno, name
        if called == "to_pickle":
            yield node.lineno, name
        if owner in {"np", "numpy"} and called == "load" and given(node, "allow_pickle") not in (None, False):
            yield node.lineno, "numpy.load(allow_pickle=True)"


TREES = sources()


def test_the_tree_is_really_looked_at():
    assert {"quant_pipelines/registry/package.py", "definitions.py", "assets/prices.py", ATTACKER} <= TREES.keys()


def test_nobody_imports_what_loads_pickles():
    found = {path for path, tree in TREES.items() if SERIALISERS & set(imported(tree))}
    assert found == {ATTACKER}


def test_nobody_loads_what_could_run_code():
    found = {path: list(dangerous(tree)) for path, tree in TREES.items()}
    assert {path: lines for path, lines in found.items() if lines} == {}


@pytest.mark.parametrize(
    "line",
    [
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "torch.load(path, weights_only=chosen)",
        "torch.save(model, path)",
        "pickle.loads(data)",
        "joblib.load(path)",
        "np.load(path, allow_pickle=True)",
        "pd.read_pickle(path)",
        "frame.to_pickle(path)",
    ],
)
def test_the_scan_would_see_it(line):
    assert list(dangerous(ast.parse(line)))


@pytest.mark.parametrize("line", ["torch.load(path, weights_only=True)", "np.load(path)", "json.load(file)"])
def test_the_scan_lets_the_rest_pass(line):
    assert not list(dangerous(ast.parse(line)))

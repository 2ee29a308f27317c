"""`qp` in this process, since loading MLflow takes seconds each time; in a home of the test's own."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from quant_pipelines.cli.app import app
from quant_pipelines.cli.project import console
from quant_pipelines.errors import QuantPipelinesError
from tests.installation import PROJECT

WIDE, NARROW = 250, 80
# What lines of a table have in them; sentences are wrapped by the terminal itself.
_TABLE = re.compile("[│┃─━]|  ")


class Commands:
    """Runs commands: what was printed, and the error of ours that a command ended with."""

    def __init__(self, home: Path, patch: pytest.MonkeyPatch) -> None:
        self.patch = patch
        for name, value in {"QP_PROJECT": PROJECT, "QP_HOME": home, "QP_MARKETS_FILE": home / "markets.yaml"}.items():
            patch.setenv(name, str(value))
        patch.delenv("QP_DATABASE_URL", raising=False)
        self.width(WIDE)

    def width(self, columns: int) -> None:
        # Whoever imported it first may have had a narrow terminal.
        self.patch.setattr(console, "width", columns)

    def __call__(self, *arguments: str) -> tuple[str, BaseException | None]:
        result = CliRunner().invoke(app, list(arguments))
        if result.exception is not None and not isinstance(result.exception, QuantPipelinesError | SystemExit):
            raise result.exception
        return result.output, result.exception

    def answer(self, *arguments: str) -> str:
        """What a command that ends well says."""
        text, error = self(*arguments)
        assert error is None, f"{error}\n{text}"
        return text

    def narrow(self, *arguments: str) -> str:
        """In a terminal of 80 columns, where no line of a table may be wider."""
        self.width(NARROW)
        text = self.answer(*arguments)
        self.width(WIDE)
        wide = [line for line in text.splitlines() if len(line.rstrip()) > NARROW and _TABLE.search(line)]
        assert wide == []
        return text

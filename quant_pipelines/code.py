"""Which code this is."""

import subprocess
from functools import cache
from pathlib import Path


@cache
def code_version() -> str:
    """The commit this code comes from, with a mark where the tree differs from it."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=12"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return described.stdout.strip()

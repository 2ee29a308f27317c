"""Codes of errors are names: whoever looks one up finds one meaning."""

import re
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = re.compile(r'^    code(?:: ClassVar\[str\])? = "(QP\d+)"', re.MULTILINE)


def test_no_two_errors_have_one_code():
    sources = [
        path
        for folder in ("quant_pipelines", "assets", "resources", "sensors")
        for path in (ROOT / folder).rglob("*.py")
    ]
    found = Counter(code for path in sources for code in CODE.findall(path.read_text(encoding="utf-8")))
    assert len(found) > 100
    assert [code for code, count in found.items() if count > 1] == []

"""`qp api` where it cannot begin; what it serves is in tests/unit/api."""

import socket

from quant_pipelines.cli.servers import LOOPBACK
from tests.commands import Commands
from tests.installation import synthetic_market


def test_a_port_that_is_taken_is_told_with_the_variable_that_chooses_another(tmp_path, monkeypatch):
    (tmp_path / "markets.yaml").write_text(synthetic_market(first_session="2024-01-02", symbols=3))
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        monkeypatch.setenv("QP_API_PORT", str(port))
        error = Commands(tmp_path, monkeypatch)("api")[1]
    assert error.code == "QP103"
    assert f"Port {port} on {LOOPBACK} is taken" in str(error)
    assert "QP_API_PORT=" in str(error)

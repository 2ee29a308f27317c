"""`qp api`."""

from functools import cache, partial

from quant_pipelines.cli.project import all_markets, all_strategies, console
from quant_pipelines.cli.servers import require_free_port
from quant_pipelines.clock import SystemClock
from quant_pipelines.journal import open_journal
from quant_pipelines.registry import open_tracker
from quant_pipelines.settings import Settings


def api() -> None:
    """Serve the HTTP API until it is stopped: what is live, audits of other schedulers, progress of trainings."""
    # Imported here: every other command would wait for the web framework.
    from quant_pipelines.api.answers import Answers
    from quant_pipelines.api.app import make_app, make_server

    settings, clock = Settings(), SystemClock()
    require_free_port(settings.host, settings.api_port, "QP_API_PORT")
    answers = Answers(
        journal=open_journal(settings, clock=clock),
        # A failure is not cached: the next who asks opens it again.
        tracker=cache(partial(open_tracker, settings, clock=clock)),
        markets=all_markets(settings),
        strategies=all_strategies(settings),
        clock=clock,
    )
    server = make_server(make_app(answers, settings.api_secret), host=settings.host, port=settings.api_port)
    writing = "reading only, since it has no token" if settings.api_secret is None else "reading and writing"
    console.print(f"The API listens on http://{settings.host}:{settings.api_port}: {writing}. Ctrl-C stops it.")
    server.run()

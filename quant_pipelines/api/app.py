"""The answers over HTTP and WebSocket: paths, who may write, and errors as JSON."""

import hmac
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Query, Request, WebSocket
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from uvicorn import Config, Server

from quant_pipelines.api.answers import Answers
from quant_pipelines.api.failures import BadRequest, NoSuchEndpoint, NotAuthorised, WritingIsOff, status_of, told_of
from quant_pipelines.api.schemas import (
    Refusal,
    RolloutStateQuery,
    RolloutStateResponse,
    SchedulerAuditLogRequest,
    StoredAudit,
)
from quant_pipelines.api.socket import serve
from quant_pipelines.api.watching import EVERY_SECONDS, Watchers
from quant_pipelines.errors import QuantPipelinesError
from quant_pipelines.training import ModelInfo

ROLLOUT_STATE = "/api/v2/models/rollout/state"
AUDIT_LOG = "/api/v2/models/audit/log"
PROGRESS = "/api/v2/models/{model_id}/progress"
# The name that clients knew before (S2-92, X-29).
PROGRESS_ALIAS = "/api/models/{model_id}/progress"
TRAINING_PROGRESS = "/training-progress"
_SCHEME = "Bearer "
_SETTINGS = "QP_API_TOKEN or QP_API_TOKEN_FILE"
# Nothing that a client has to say over a WebSocket is longer.
_LONGEST_MESSAGE = 4096


def make_app(answers: Answers, token: str | None, *, every_seconds: float = EVERY_SECONDS) -> FastAPI:
    """The API. Without a token it only reads. No page of FastAPI's own: it would load scripts from elsewhere."""
    watchers = Watchers(answers.model_info, every_seconds=every_seconds)
    app = FastAPI(title="quant_pipelines", version="2", docs_url=None, redoc_url=None)
    _tell_errors(app)

    def may_write(authorization: Annotated[str | None, Header()] = None) -> None:
        _require_token(token, authorization)

    # Plain functions run in threads: the journal's database makes them wait.
    @app.get(ROLLOUT_STATE)
    def rollout_state(query: Annotated[RolloutStateQuery, Query()]) -> RolloutStateResponse:
        return answers.rollout_state(query.strategy)

    @app.post(AUDIT_LOG, status_code=201, dependencies=[Depends(may_write)])
    def audit_log(request: SchedulerAuditLogRequest) -> StoredAudit:
        return answers.store_audit(request)

    @app.get(PROGRESS)
    @app.get(PROGRESS_ALIAS, include_in_schema=False)
    def progress(model_id: str) -> ModelInfo:
        return answers.model_info(model_id)

    @app.websocket(TRAINING_PROGRESS)
    async def training_progress(socket: WebSocket) -> None:
        try:
            _require_token(token, socket.headers.get("authorization"))
        except QuantPipelinesError as error:
            await socket.send_denial_response(_answer(error, status_of(error)))
        else:
            await serve(socket, watchers)

    return app


def make_server(app: FastAPI, *, host: str, port: int) -> Server:
    """A server of one process; it ends with the signals that end a program."""
    config = Config(app, host=host, port=port, log_level="warning", access_log=False, ws_max_size=_LONGEST_MESSAGE)
    return Server(config)


def _require_token(token: str | None, authorization: str | None) -> None:
    if token is None:
        raise WritingIsOff(
            "Nothing can be sent to this API, and no WebSocket opened, since it has no token. "
            f"Set {_SETTINGS} and start it again."
        )
    given = authorization or ""
    if not given.startswith(_SCHEME) or not hmac.compare_digest(given.removeprefix(_SCHEME).encode(), token.encode()):
        raise NotAuthorised(
            f"The request has {'another' if given else 'no'} token. Send `Authorization: {_SCHEME}...` with the one "
            f"of {_SETTINGS}."
        )


def _tell_errors(app: FastAPI) -> None:
    """Every error as its code and a sentence."""

    @app.exception_handler(QuantPipelinesError)
    def refused(_: Request, error: QuantPipelinesError) -> JSONResponse:
        return _answer(error, status_of(error))

    @app.exception_handler(RequestValidationError)
    def malformed(request: Request, error: RequestValidationError) -> JSONResponse:
        refusal = BadRequest(f"{told_of(error.errors())}. /openapi.json has the schema of {request.url.path}.")
        return _answer(refusal, status_of(refusal))

    @app.exception_handler(HTTPException)
    def not_there(request: Request, error: HTTPException) -> JSONResponse:
        asked = f"{request.method} {request.url.path}: {error.detail}."
        there = (
            f"There is GET {ROLLOUT_STATE}, POST {AUDIT_LOG}, GET {PROGRESS}, and the WebSocket {TRAINING_PROGRESS}."
        )
        return _answer(NoSuchEndpoint(f"{asked} {there}"), error.status_code)


def _answer(error: QuantPipelinesError, status: int) -> JSONResponse:
    headers = {"WWW-Authenticate": _SCHEME.strip()} if isinstance(error, NotAuthorised) else None
    return JSONResponse(Refusal(code=error.code, error=str(error)).model_dump(), status_code=status, headers=headers)

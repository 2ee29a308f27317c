"""The answers over HTTP: paths, who may write, and errors as JSON."""

import hmac
from typing import Annotated

from fastapi import Depends, FastAPI, Header, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException
from uvicorn import Config, Server

from quant_pipelines.api.answers import Answers
from quant_pipelines.api.failures import BadRequest, NoSuchEndpoint, NotAuthorised, WritingIsOff, status_of
from quant_pipelines.api.schemas import (
    Refusal,
    RolloutStateQuery,
    RolloutStateResponse,
    SchedulerAuditLogRequest,
    StoredAudit,
)
from quant_pipelines.errors import QuantPipelinesError

ROLLOUT_STATE = "/api/v2/models/rollout/state"
AUDIT_LOG = "/api/v2/models/audit/log"
_SCHEME = "Bearer "
_SETTINGS = "QP_API_TOKEN or QP_API_TOKEN_FILE"


def make_app(answers: Answers, token: str | None) -> FastAPI:
    """The API. Without a token it only reads. No page of FastAPI's own: it would load scripts from elsewhere."""
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

    return app


def make_server(app: FastAPI, *, host: str, port: int) -> Server:
    """A server of one process; it ends with the signals that end a program."""
    return Server(Config(app, host=host, port=port, log_level="warning", access_log=False))


def _require_token(token: str | None, authorization: str | None) -> None:
    if token is None:
        raise WritingIsOff(
            f"Nothing can be sent to this API, since it has no token. Set {_SETTINGS} and start it again."
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
        told = "; ".join(f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors())
        refusal = BadRequest(f"{told}. /openapi.json has the schema of {request.url.path}.")
        return _answer(refusal, status_of(refusal))

    @app.exception_handler(HTTPException)
    def not_there(request: Request, error: HTTPException) -> JSONResponse:
        asked = f"{request.method} {request.url.path}: {error.detail}."
        return _answer(NoSuchEndpoint(f"{asked} There is GET {ROLLOUT_STATE} and POST {AUDIT_LOG}."), error.status_code)


def _answer(error: QuantPipelinesError, status: int) -> JSONResponse:
    headers = {"WWW-Authenticate": _SCHEME.strip()} if isinstance(error, NotAuthorised) else None
    return JSONResponse(Refusal(code=error.code, error=str(error)).model_dump(), status_code=status, headers=headers)

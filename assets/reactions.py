"""What an error means to Dagster: retry where that can help, else fail at once (S2-107..109)."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from quant_pipelines.errors import Conflict, DependencyFailed, QuantPipelinesError

MAX_RETRIES = 3
FIRST_WAIT_SECONDS = 5.0


@contextmanager
def reacting(context: dg.AssetExecutionContext) -> Generator[None]:
    """Failed dependencies and lost races are tried again with growing waits; everything else needs a person."""
    try:
        yield
    except (DependencyFailed, Conflict) as error:
        wait = FIRST_WAIT_SECONDS * 2**context.retry_number
        context.log.warning("%s (%s) Trying again in %.0f s.", error, error.code, wait)
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from error
    except QuantPipelinesError as error:
        raise dg.Failure(
            description=str(error), metadata={"code": error.code, "kind": type(error).__name__}, allow_retries=False
        ) from error

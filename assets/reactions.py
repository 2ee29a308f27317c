"""What an error means to Dagster: retry where that can help, else fail at once (S2-107..109)."""

from collections.abc import Generator
from contextlib import contextmanager

import dagster as dg

from quant_pipelines.errors import DependencyFailed, QuantPipelinesError
from quant_pipelines.lake import TooManyRaces
from quant_pipelines.models import TrainingStopped

MAX_RETRIES = 3
FIRST_WAIT_SECONDS = 5.0


@contextmanager
def reacting(context: dg.AssetExecutionContext | dg.AssetCheckExecutionContext) -> Generator[None]:
    """Failed dependencies and crowded tables are tried again with growing waits; everything else needs a person."""
    try:
        yield
    except (DependencyFailed, TooManyRaces) as error:
        wait = FIRST_WAIT_SECONDS * 2**context.op_execution_context.retry_number
        context.log.warning("%s (%s) Trying again in %.0f s.", error, error.code, wait)
        # Dagster keeps the words of the last failure only where it is the request's cause.
        raise dg.RetryRequested(max_retries=MAX_RETRIES, seconds_to_wait=wait) from _failure(error)
    except TrainingStopped as stopped:
        # As if the interrupt had come: the run ends as canceled and is not started again.
        raise dg.DagsterExecutionInterruptedError(str(stopped)) from stopped
    except QuantPipelinesError as error:
        raise _failure(error) from error


def _failure(error: QuantPipelinesError) -> dg.Failure:
    return dg.Failure(
        description=str(error), metadata={"code": error.code, "kind": type(error).__name__}, allow_retries=False
    )

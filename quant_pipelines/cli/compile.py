"""`qp compile`."""

from quant_pipelines.cli.ingest import steps
from quant_pipelines.settings import Settings


def compile_all() -> None:
    """Compile the numeric kernels once, so that nobody waits for it later; where they are compiled, load them."""
    # Imported here: numba takes a second, and every other command would wait for it.
    from quant_pipelines.kernels.warmup import compile_kernels

    with steps() as progress:
        task = progress.add_task("kernels", total=None)

        def told(name: str, done: int, total: int) -> None:
            progress.update(task, completed=done, total=total, description=name)

        compile_kernels(told, processes=Settings().threads)
        progress.update(task, description="kernels")

"""`qp compile`."""

from quant_pipelines.cli.ingest import steps


def compile_all() -> None:
    """Compile the numeric kernels once, so that nobody waits for it later; where they are compiled, load them."""
    # Imported here: numba takes a second, and every other command would wait for it.
    from quant_pipelines.kernels.warmup import compile_kernels

    with steps() as progress:
        task = progress.add_task("kernels", total=None)
        compile_kernels(lambda name, done, total: progress.update(task, completed=done, total=total, description=name))
        progress.update(task, description="kernels")

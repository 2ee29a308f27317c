"""Shapley values of any model: what columns change when they come in, averaged over the orders of coming.

A column that is out has the reference's values in all its sessions. The definition, and for few columns the method:
slow, exact, and nothing but `predict`.
"""

from math import factorial

import numpy as np
from numpy.typing import NDArray

from quant_pipelines.explain.attributions import Parts, Vector
from quant_pipelines.explain.question import Question
from quant_pipelines.explain.settings import ExplainSettings
from quant_pipelines.models import Forecaster, Inputs

Coalitions = NDArray[np.bool_]


def shapley(model: Forecaster, question: Question) -> Parts:
    """Exact for few columns, along seeded orders and their reverses for many; it adds up either way."""
    inputs, settings = question.inputs, question.settings
    columns = len(inputs.columns)
    exact = columns <= settings.exact_columns
    orders = np.empty((0, columns), np.int64) if exact else drawn_orders(columns, settings)
    coalitions = every_coalition(columns) if exact else along(orders)
    values = np.zeros((len(inputs), model.settings.task.outputs, columns))
    for row in range(len(inputs)):
        worth = asked(model, question.rows(slice(row, row + 1)), coalitions)
        values[row] = exactly(worth, columns) if exact else averaged(worth, orders)
    (nobody,) = model.predict(_as_inputs(inputs, question.reference[None]), question.machine).astype(np.float64)
    method = "exact Shapley values" if exact else f"Shapley values along {len(orders)} orders"
    return Parts(method=f"{method} against the mean training row", base=nobody, values=values)


def every_coalition(columns: int) -> Coalitions:
    """(2^columns x columns): which columns are in; number n has the columns of its bits."""
    return (np.arange(2**columns)[:, None] >> np.arange(columns)) & 1 == 1


def drawn_orders(columns: int, settings: ExplainSettings) -> NDArray[np.int64]:
    """(orders x columns): drawn, each with its reverse, so that who comes early in one comes late in another."""
    chance = np.random.default_rng(settings.seed)
    drawn = [chance.permutation(columns) for _ in range(-(-settings.permutations // 2))]
    return np.array([order for each in drawn for order in (each, each[::-1])])


def along(orders: NDArray[np.int64]) -> Coalitions:
    """The coalitions that each order passes: nobody, the first, the first two, up to all of them."""
    count, columns = orders.shape
    place = np.argsort(orders, axis=1)
    return (place[:, None, :] < np.arange(columns + 1)[None, :, None]).reshape(count * (columns + 1), columns)


def asked(model: Forecaster, row: Question, coalitions: Coalitions) -> Vector:
    """What the model predicts of one row for each coalition (coalitions x outputs)."""
    (window,) = row.inputs.sequences()
    mixed = np.where(coalitions[:, None, :], window[None], row.reference[None])
    return model.predict(_as_inputs(row.inputs, mixed), row.machine).astype(np.float64)


def exactly(worth: Vector, columns: int) -> Vector:
    """Shapley's formula over all coalitions, as (outputs x columns)."""
    members = every_coalition(columns)
    size = members.sum(axis=1)
    weight = np.array([factorial(n) * factorial(columns - n - 1) / factorial(columns) for n in range(columns)])
    found = np.empty((worth.shape[1], columns))
    for column in range(columns):
        without = np.flatnonzero(~members[:, column])
        gained = worth[without + (1 << column)] - worth[without]
        found[:, column] = (weight[size[without], None] * gained).sum(axis=0)
    return found


def averaged(worth: Vector, orders: NDArray[np.int64]) -> Vector:
    """What each column changed as it came in, averaged over the orders, as (outputs x columns)."""
    count, columns = orders.shape
    steps = np.diff(worth.reshape(count, columns + 1, -1), axis=1)
    found = np.zeros((worth.shape[1], columns))
    for order, gained in zip(orders, steps, strict=True):
        found[:, order] += gained.T
    return found / count


def _as_inputs(like: Inputs, windows: NDArray[np.float32]) -> Inputs:
    """Windows of their own as rows, none overlapping."""
    count, length, columns = windows.shape
    return Inputs(
        block=np.ascontiguousarray(windows, np.float32).reshape(count * length, columns),
        ends=np.arange(1, count + 1) * length - 1,
        sessions=np.zeros(count, np.int64),
        columns=like.columns,
        length=length,
    )

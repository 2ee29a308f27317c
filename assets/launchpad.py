"""What a person may choose when launching a training: the zoo's rows as Dagster's configuration (S2-82..84)."""

from collections.abc import Iterable, Mapping
from typing import Any

import dagster as dg

from quant_pipelines.models import MODEL_KINDS, BadParameter, Machine, ModelSpec, Parameter, Value, Values
from quant_pipelines.strategies import Strategy

SEED, DEVICE, FROM_SEARCH, HYPERPARAMETERS = "seed", "device", "from_search", "hyperparameters"
_DEVICES = dg.Enum("Device", [dg.EnumValue(name) for name in ("cpu", "cuda", "auto")])


def training_config(kinds: Iterable[str]) -> Mapping[str, dg.Field]:
    """Every field has a default; only what is written here differs from strategies.yaml."""
    shapes = {name: _kind(MODEL_KINDS[name]) for name in sorted(set(kinds)) if name in MODEL_KINDS}
    return {
        SEED: dg.Field(int, default_value=0, description="Seed of everything that is drawn."),
        DEVICE: device_field(),
        FROM_SEARCH: dg.Field(
            bool,
            default_value=False,
            description="Train with the best values that a search found on the same snapshot.",
        ),
        HYPERPARAMETERS: dg.Field(
            dg.Shape(shapes),
            is_required=False,
            description="Advanced: values over those of strategies.yaml, under the strategy's own kind.",
        ),
    }


def device_field() -> dg.Field:
    return dg.Field(
        _DEVICES,
        default_value="cpu",
        description="Where nets learn. cuda is refused where there is no GPU; auto takes it where there is one.",
    )


def chosen_values(strategy: Strategy, config: Mapping[str, Any]) -> Values:
    """The values for this strategy's kind. Values for another kind are a mistake, and told."""
    given: Mapping[str, Mapping[str, Value]] = config.get(HYPERPARAMETERS) or {}
    strange = sorted(name for name, values in given.items() if values and name != strategy.model.kind)
    if strange:
        raise BadParameter(
            f"{strategy.name} is a {strategy.model.kind}, but the launchpad has values for {', '.join(strange)}. "
            f"Write them under {HYPERPARAMETERS}.{strategy.model.kind}, or launch those strategies by themselves."
        )
    return given.get(strategy.model.kind, {})


def machine_of(config: Mapping[str, Any], threads: int) -> Machine:
    return Machine(threads=threads, device=config[DEVICE])


def _kind(spec: ModelSpec) -> dg.Field:
    fields = {each.name: _parameter(each) for each in spec.parameters_known}
    shape = dg.Permissive(fields) if spec.is_open else dg.Shape(fields)
    return dg.Field(shape, is_required=False, description=spec.description)


def _parameter(each: Parameter) -> dg.Field:
    # No default_value: a default that is filled in would look like a person's choice and stand over the strategy's.
    return dg.Field(
        type(each.default),
        is_required=False,
        description=f"{each.description} {each.range[0].upper()}{each.range[1:]}; {each.default} unless told.",
    )

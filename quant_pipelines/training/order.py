"""What is to be trained: everything that decides the result, and its name."""

from dataclasses import asdict, dataclass, replace

from quant_pipelines.digest import digest_json
from quant_pipelines.models import ONE_THREAD, Machine, ModelSettings, Values, spec_named
from quant_pipelines.snapshots import Document
from quant_pipelines.strategies import Model, Strategy
from quant_pipelines.training.data import task_of

BATCH_SIZE = "batch_size"
# Below that a step learns from chance.
LEAST_BATCH = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One training of a strategy on a snapshot. Equal orders by equal code have equal ids."""

    strategy: Strategy
    snapshot_id: str
    settings: ModelSettings
    seed: int
    code_version: str
    machine: Machine = ONE_THREAD
    # Why it is not what was asked for; no part of the id, since the same settings give the same model.
    adjusted: str | None = None

    @property
    def model_name(self) -> str:
        """The name of all versions of this strategy's model."""
        return f"{self.strategy.market}.{self.strategy.name}"

    @property
    def training_id(self) -> str:
        """What the result depends on. Threads are no part of it; the kind of device is, as it rounds otherwise."""
        return digest_json(
            {
                "snapshot": self.snapshot_id,
                "settings": asdict(self.settings),
                "seed": self.seed,
                "code": self.code_version,
                "device": self.machine.device,
                "training": self.strategy.training.model_dump(mode="json"),
            }
        )

    def with_smaller_batch(self, tried: int) -> "Order | None":
        """The same with half of the rows that were too many; None where that would be hardly any (S2-110)."""
        asked, smaller = self.settings.parameters.get(BATCH_SIZE), tried // 2
        if asked is None or smaller < LEAST_BATCH:
            return None
        settings = replace(self.settings, parameters={**self.settings.parameters, BATCH_SIZE: smaller})
        why = f"{BATCH_SIZE} {smaller} and not {asked}, since memory ran out over {tried} rows"
        return replace(self, settings=settings, adjusted=self._and(why))

    def with_fallback(self, reason: str) -> "Order | None":
        """The kind that the strategy names for where its own cannot be trained; None without one (S2-110)."""
        simpler = self.strategy.model.fallback
        if simpler is None:
            return None
        model = Model(kind=simpler.kind, preset=simpler.preset, hyperparameters=simpler.hyperparameters)
        spec, strategy = spec_named(simpler.kind), self.strategy.model_copy(update={"model": model})
        task = task_of(spec, strategy.label_set)
        settings = spec.settings(task, self.settings.columns, chosen=simpler.hyperparameters, preset=simpler.preset)
        why = f"{spec.name} and not {self.settings.kind}, since {reason}"
        return replace(self, strategy=strategy, settings=settings, adjusted=self._and(why))

    def _and(self, why: str) -> str:
        return why if self.adjusted is None else f"{self.adjusted}; {why}"


def order_for(
    strategy: Strategy,
    document: Document,
    *,
    code_version: str,
    seed: int = 0,
    machine: Machine | None = None,
    chosen: Values | None = None,
) -> Order:
    """The strategy's training on a snapshot; `chosen` hyper-parameters stand over those of the strategy (S2-25)."""
    spec = spec_named(strategy.model.kind)
    recipe = document.recipe
    label_set = strategy.label_set if recipe.labels is None else recipe.labels.label_set
    settings = spec.settings(
        task_of(spec, label_set),
        recipe.columns,
        chosen={**strategy.model.hyperparameters, **(chosen or {})},
        preset=strategy.model.preset,
    )
    return Order(
        strategy=strategy,
        snapshot_id=document.id,
        settings=settings,
        seed=seed,
        code_version=code_version,
        machine=machine or ONE_THREAD,
    )

"""What is to be trained: everything that decides the result, and its name."""

from dataclasses import asdict, dataclass

from quant_pipelines.digest import digest_json
from quant_pipelines.models import ONE_THREAD, Machine, ModelSettings, Values, spec_named
from quant_pipelines.snapshots import Document
from quant_pipelines.strategies import Strategy
from quant_pipelines.training.data import task_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One training of a strategy on a snapshot. Equal orders by equal code have equal ids."""

    strategy: Strategy
    snapshot_id: str
    settings: ModelSettings
    seed: int
    code_version: str
    machine: Machine = ONE_THREAD

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

"""Hyper-parameters that nets share, as rows."""

from quant_pipelines.models.parameters import Parameter, Range, Searched

QUANTISE = "quantise"


def loop(*, lr: float, n_epochs: int, batch_size: int, early_stop: int, dropout: float) -> tuple[Parameter, ...]:
    """Those of the one training loop, with a kind's own defaults; the last five are ours (S2-58..S2-63 are silent)."""
    return (
        Parameter(
            name="lr",
            default=lr,
            description="Learning rate.",
            above=0,
            most=10,
            searched=Range(low=lr / 10, high=lr * 10, log=True),
        ),
        Parameter(name="n_epochs", default=n_epochs, description="Most epochs.", least=1, most=100_000),
        Parameter(name="batch_size", default=batch_size, description="Rows of one step.", least=1, most=1_048_576),
        Parameter(
            name="early_stop", default=early_stop, description="Stop after so many epochs without gain.", least=1
        ),
        Parameter(
            name="dropout",
            default=dropout,
            description="Share of values dropped in training.",
            least=0,
            below=1,
            searched=Range(low=0.0, high=0.5),
        ),
        Parameter(
            name="optimizer", default="adam", description="How weights are moved.", choices=("adam", "adamw", "sgd")
        ),
        Parameter(
            name="weight_decay",
            default=0.0,
            description="Pull of the weights towards zero.",
            least=0,
            searched=(0.0, 1e-5, 1e-4, 1e-3, 1e-2),
        ),
        Parameter(name="gradient_clip", default=3.0, description="Largest gradient of one weight.", above=0),
        Parameter(
            name="scheduler",
            default="none",
            description="How the learning rate changes: by half where the loss rests (plateau), or along a cosine.",
            choices=("none", "plateau", "cosine"),
        ),
        Parameter(
            name=QUANTISE,
            default=False,
            description="Whether weights are kept as whole numbers of 8 bits, with a scale for each row.",
        ),
    )


def whole(
    name: str, default: int, description: str, *, least: int = 1, most: int = 65_536, searched: Searched | None = None
) -> Parameter:
    return Parameter(name=name, default=default, description=description, least=least, most=most, searched=searched)


SEQ_LEN = "Sessions that one prediction sees."
# kept because the user's lists have it; the label set says how many values the head emits.
PRED_LEN = "Returns that the head emits where the label set has several; the label set decides."

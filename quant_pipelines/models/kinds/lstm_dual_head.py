"""The recurrent net with two heads. Known by name and defaults; its training comes with what uses it most."""

from quant_pipelines.models.failures import UnknownModel
from quant_pipelines.models.forecaster import Files, Forecaster
from quant_pipelines.models.parameters import Parameter
from quant_pipelines.models.spec import ModelSettings, ModelSpec


def _make(settings: ModelSettings, state: Files | None) -> Forecaster:
    del state
    raise UnknownModel(f"{settings.kind} cannot be trained yet. Use lstm, or another kind of `qp strategies`.")


# The pipeline's numbers (S3-11, X-16) over those of S3-43.
LSTM_DUAL_HEAD = ModelSpec(
    name="lstm_dual_head",
    description="A recurrent net for one symbol that tells the direction and the returns of the next 5 sessions.",
    make=_make,
    many_outputs=True,
    parameters_known=(
        Parameter(name="lr", default=0.0005, description="Learning rate.", above=0, most=10, searched=(0.001, 0.0005)),
        Parameter(name="epochs", default=50, description="Most epochs.", least=1, searched=(30, 50)),
        Parameter(name="hidden_size", default=128, description="Units of a layer.", least=1, searched=(32, 64, 128)),
        Parameter(name="batch_size", default=32, description="Rows of one step.", least=1),
        Parameter(name="enhanced", default=True, description="The larger net, with attention."),
        Parameter(name="reg_loss_type", default="full", description="Which loss the returns' head has."),
        Parameter(name="weight_decay", default=0.01, description="Pull of the weights towards zero.", least=0),
        Parameter(name="gradient_clip", default=1.0, description="Largest norm of the gradient.", above=0),
        Parameter(name="patience", default=20, description="Stop after so many epochs without gain.", least=1),
        Parameter(name="minimum_lr", default=1e-5, description="Smallest learning rate.", least=0),
        Parameter(name="t_0", default=50, description="Epochs of the first cosine.", least=1),
        Parameter(name="t_mult", default=2, description="How much longer each cosine is.", least=1),
        Parameter(name="augmentation", default=True, description="Whether noise and scale are varied."),
        Parameter(name="noise_std", default=0.01, description="Size of the noise.", least=0),
        Parameter(name="scale_low", default=0.98, description="Smallest scale.", above=0),
        Parameter(name="scale_high", default=1.02, description="Largest scale.", above=0),
        Parameter(name="weight_cls", default=1.0, description="Weight of the direction's loss.", least=0),
        Parameter(name="weight_reg", default=1.0, description="Weight of the returns' loss.", least=0),
    ),
    presets={"basic": {"enhanced": False, "hidden_size": 64}},
    sequence=60,
    needs_label_set="dual",
    ladder=(100,),
)

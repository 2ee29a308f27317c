"""The table of a feature set: one float32 column per feature, and what each session was made from."""

from functools import cache

import pyarrow as pa

from quant_pipelines.arrays import SESSION, SESSION_TYPE, SYMBOL
from quant_pipelines.digest import digest_json
from quant_pipelines.features.alpha158 import catalogue as alpha158
from quant_pipelines.features.indicators.engine import IndicatorSettings
from quant_pipelines.features.registry import FeatureKind, FeatureSet
from quant_pipelines.lake.schemas import Column, TableSchema
from quant_pipelines.lineage.made_from import MADE_FROM

_NAME_DIGITS = 8
_DESCRIPTIONS = {
    FeatureKind.ALPHA158: "The 158 factors of Alpha158, equal to pyqlib's, masked on suspended sessions.",
    FeatureKind.INDICATOR: "Technical indicators from each symbol's whole history, in the money of their session.",
    FeatureKind.CUSTOM: "The features registered in custom_features.py.",
}


def feature_schema(features: FeatureSet) -> TableSchema:
    """The set's table. Columns that a user chose are part of its name: others make another table, the old one stays."""
    kind = FeatureKind(features.name)
    own = f"{kind}_{digest_json(list(features.names))[:_NAME_DIGITS]}"
    return TableSchema(
        str(kind) if features.names == _usual_names(kind) else own,
        _DESCRIPTIONS[kind],
        key=(SESSION, SYMBOL),
        columns=(
            Column(SESSION, SESSION_TYPE, "The session's label in the market's calendar.", nullable=False),
            Column(SYMBOL, pa.string(), "The instrument, as the source names it.", nullable=False),
            *(Column(each.name, pa.float32(), each.sentence) for each in features.features),
            Column(
                MADE_FROM,
                pa.string(),
                "Digest of the definitions and of the content id of every session of prices that was read.",
                nullable=False,
                identity=False,
            ),
        ),
    )


@cache
def _usual_names(kind: FeatureKind) -> tuple[str, ...]:
    if kind is FeatureKind.ALPHA158:
        return alpha158.NAMES
    return IndicatorSettings(sessions_per_year=1).names() if kind is FeatureKind.INDICATOR else ()

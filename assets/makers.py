"""Who makes assets: of each market, and of each market's strategies. A new one is a file and a name here."""

from assets.comparison import comparison_assets
from assets.data_versions import data_version_assets
from assets.decision import decision_assets
from assets.events import event_assets
from assets.explain import explanation_assets
from assets.factor_report import factor_report_assets
from assets.features import feature_assets
from assets.holdout import holdout_assets
from assets.labels import label_assets
from assets.models import model_assets
from assets.monitoring import monitoring_assets
from assets.prediction_errors import prediction_error_assets
from assets.predictions import prediction_assets
from assets.prices import price_assets
from assets.rollout import rollout_assets
from assets.search import search_assets
from assets.snapshots import snapshot_assets

OF_MARKETS = (price_assets, feature_assets, factor_report_assets, label_assets, data_version_assets)
OF_STRATEGIES = (
    snapshot_assets,
    search_assets,
    model_assets,
    explanation_assets,
    comparison_assets,
    holdout_assets,
    decision_assets,
    prediction_assets,
    prediction_error_assets,
    monitoring_assets,
    rollout_assets,
    event_assets,
)

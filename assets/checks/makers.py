"""Who makes checks: of each market, and of each market's strategies."""

from assets.checks.features import feature_checks
from assets.checks.labels import label_checks
from assets.checks.models import model_checks
from assets.checks.monitoring import monitoring_checks
from assets.checks.predictions import prediction_checks
from assets.checks.prices import price_checks
from assets.checks.replay import replay_checks
from assets.checks.snapshots import snapshot_checks

OF_MARKETS = (price_checks, feature_checks, label_checks)
OF_STRATEGIES = (snapshot_checks, model_checks, replay_checks, prediction_checks, monitoring_checks)

"""Adapters bound to configuration."""

from typing import Any

from quant_pipelines.settings import Settings
from resources.journal import JournalResource
from resources.lake import LakeResource
from resources.lineage import LineageResource
from resources.machine import MachineResource
from resources.models import ModelStoreResource, TrackerResource
from resources.monitoring import MonitoringResource
from resources.pages import PagesResource
from resources.slo import SloResource
from resources.snapshots import SnapshotsResource
from resources.sources import SourcesResource
from resources.training import TrainingResource
from resources.triggers import TriggersResource


def project_resources(settings: Settings) -> dict[str, Any]:
    """Every resource by the name that assets and sensors ask for."""
    return {
        "lake": LakeResource(root=settings.lake_root, leases=str(settings.home_path / "leases")),
        "journal": JournalResource(home=str(settings.home_path)),
        "lineage": LineageResource(home=str(settings.home_path)),
        "snapshots": SnapshotsResource(home=str(settings.home_path)),
        "models": ModelStoreResource(home=str(settings.home_path)),
        "tracker": TrackerResource(home=str(settings.home_path)),
        "sources": SourcesResource(),
        "training": TrainingResource(home=str(settings.home_path)),
        "triggers": TriggersResource(home=str(settings.home_path)),
        "pages": PagesResource(folder=str(settings.home_path / "pages")),
        "machine": MachineResource(threads=settings.threads),
        "monitoring": MonitoringResource(
            accuracy_drop=settings.alert_accuracy_drop,
            latency_ms=settings.alert_latency_ms,
            drift_score=settings.alert_drift_score,
            sessions=settings.alert_sessions,
            home=str(settings.home_path),
        ),
        "slo": SloResource(
            p95_ms=settings.slo_p95_ms,
            least_observations=settings.slo_least_observations,
            sessions=settings.slo_sessions,
        ),
    }

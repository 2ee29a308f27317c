"""Which bytes a result came from, and which results came from these bytes."""

from quant_pipelines.lineage.consistency import (
    Difference,
    SnapshotFacts,
    TargetConsistency,
    check_feature_lineage_consistency,
)
from quant_pipelines.lineage.failures import (
    LineageConflict,
    LineageRefused,
    UnknownContent,
    UnknownNode,
    UnknownTarget,
)
from quant_pipelines.lineage.lineage import Lineage, Traced, open_lineage
from quant_pipelines.lineage.nodes import Content, Contents, Known, Node, NodeKind, Parent, Reach, Read, table_version
from quant_pipelines.lineage.recording import Record, held_in, recording, unrecorded

__all__ = [
    "Content",
    "Contents",
    "Difference",
    "Known",
    "Lineage",
    "LineageConflict",
    "LineageRefused",
    "Node",
    "NodeKind",
    "Parent",
    "Reach",
    "Read",
    "Record",
    "SnapshotFacts",
    "TargetConsistency",
    "Traced",
    "UnknownContent",
    "UnknownNode",
    "UnknownTarget",
    "check_feature_lineage_consistency",
    "held_in",
    "open_lineage",
    "recording",
    "table_version",
    "unrecorded",
]

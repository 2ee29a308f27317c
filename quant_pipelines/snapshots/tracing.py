"""Snapshots as lineage and its consistency check see them."""

from quant_pipelines.calendars import session_key
from quant_pipelines.digest import digest_json
from quant_pipelines.lineage import Contents, Node, NodeKind, Parent, Read, SnapshotFacts
from quant_pipelines.snapshots.document import Document
from quant_pipelines.snapshots.inputs import listed
from quant_pipelines.snapshots.store import SnapshotStore


def node_of(document: Document, store: SnapshotStore) -> Node:
    """The snapshot, and every session of every table that it used."""
    recipe = document.recipe
    reads = tuple(
        Read(contents=Contents(market=recipe.market, table=each.table, ids=listed(store.text(each.listing))))
        for each in recipe.all_tables
    )
    chosen = recipe.row_filter.choice.symbols is not None or recipe.row_filter.members is not None
    symbols = document.outcome.array("symbols")
    return Node(
        id=document.id,
        kind=NodeKind.SNAPSHOT,
        market=recipe.market,
        name=recipe.strategy,
        facts={
            "purpose": recipe.purpose,
            "cutoff": session_key(recipe.cutoff),
            "configuration": recipe.configuration_id,
            "code_version": recipe.code_version,
        },
        parents=() if recipe.trained_on is None else (Parent(recipe.trained_on, "trained_on"),),
        reads=reads,
        symbols=tuple(store.array(symbols.blob).tolist()) if chosen and symbols is not None else None,
    )


def facts_of(document: Document) -> SnapshotFacts:
    """What two snapshots of a strategy are compared by (S1-35)."""
    recipe, outcome = document.recipe, document.outcome
    scale = [each.blob for each in outcome.arrays if each.name in ("centre", "scale")]
    labels = recipe.labels
    return SnapshotFacts(
        id=document.id,
        target=f"{recipe.market}/{recipe.strategy}",
        created_at=document.provenance.created_at,
        cutoff=recipe.cutoff,
        tables={each.table: each.data_version for each in recipe.all_tables},
        columns=recipe.columns,
        features={each.name: each.version for each in recipe.features},
        row_filter=digest_json([recipe.row_filter.choice.model_dump(mode="json"), recipe.row_filter.untradable]),
        label_set="none" if labels is None else f"{labels.label_set}, {labels.span_sessions} sessions",
        normaliser=recipe.normalisation.model_dump_json(),
        fitted_normaliser=digest_json(sorted(scale)),
        code_version=recipe.code_version,
        configuration=recipe.configuration_id,
    )

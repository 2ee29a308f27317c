"""One flipped bar flags exactly its dependents: random graphs against a closure that spells out every single edge."""

from collections.abc import Iterator
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from quant_pipelines.lineage import Contents, Node, NodeKind, Parent, Reach, Read

TABLES = ("raw_bars", "prices", "features", "ranks")
DAYS = range(8)
SYMBOLS = ("A", "B")
_MARKETS = count()


@st.composite
def spans(draw, tables):
    """Some days of a table, each with one of two contents; days may be missing in between."""
    days = draw(st.lists(st.sampled_from(DAYS), min_size=1, max_size=5, unique=True))
    return draw(st.sampled_from(tables)), {day: draw(st.integers(0, 1)) for day in days}


reaches = st.builds(Reach, back=st.none() | st.integers(0, 3), ahead=st.integers(0, 2))
symbols = st.none() | st.lists(st.sampled_from(SYMBOLS), min_size=1, max_size=1).map(tuple)


@st.composite
def graphs(draw):
    """Nodes in the order of their recording: what each reads, writes and was made from."""
    nodes = []
    for number in range(draw(st.integers(1, 7))):
        reads = draw(st.lists(st.tuples(spans(TABLES), reaches, st.booleans()), max_size=2))
        writes = draw(st.none() | spans(TABLES))
        parents = draw(st.lists(st.integers(0, number - 1), max_size=2, unique=True)) if number else []
        nodes.append((reads, writes, parents, draw(symbols)))
    return nodes


def built(graph, market, held):
    """The same as nodes of lineage."""

    def contents(span):
        table, days = span
        ids = {}
        for day, generation in days.items():
            ids |= held(table, [day], generation, market).ids
        return Contents(market=market, table=table, ids=ids)

    return [
        Node(
            id=f"{market}-{number}",
            kind=NodeKind.MODEL if writes is None else NodeKind.TABLE_VERSION,
            market=market,
            name=str(number),
            parents=tuple(sorted(Parent(f"{market}-{parent}", "made of") for parent in parents)),
            reads=tuple(Read(contents=contents(span), reach=reach, across_symbols=wide) for span, reach, wide in reads),
            writes=None if writes is None else contents(writes),
            symbols=chosen,
        )
        for number, (reads, writes, parents, chosen) in enumerate(graph)
    ]


def cells(span) -> set[tuple]:
    table, days = span
    return {(table, day, generation) for day, generation in days.items()}


def window(span, day, reach) -> set[tuple]:
    """The input cells that an output day is made of, counted out by hand."""
    table, days = span
    before = sorted(each for each in days if each <= day)
    after = sorted(each for each in days if each > day)
    past = before if reach.back is None else before[-1 - reach.back :]
    # Where no input lies at or before the day, the first one after it is one session ahead.
    return {(table, each, days[each]) for each in [*past, *after[: reach.ahead]]}


def forward_edges(graph, symbol) -> Iterator[tuple]:
    """Every edge: from a cell (and whether other symbols' rows are touched) or a node, to another."""
    for number, (reads, writes, parents, chosen) in enumerate(graph):
        for parent in parents:
            yield parent, number
            yield from ((parent, (cell, True)) for cell in cells(writes or ("", {})))
        for wide in (False, True):
            yield from (((cell, wide), number) for cell in cells(writes or ("", {})))
            if not (wide or chosen is None or symbol in chosen):
                continue
            for span, reach, across in reads:
                if writes is None:
                    yield from (((cell, wide), number) for cell in cells(span))
                    continue
                for day, generation in writes[1].items():
                    for cell in window(span, day, reach):
                        yield (cell, wide), ((writes[0], day, generation), wide or across)
                        yield (cell, wide), number


def backward_edges(graph) -> Iterator[tuple]:
    for number, (reads, writes, parents, _) in enumerate(graph):
        whole = ("whole", number)
        yield from ((whole, ("named", parent)) for parent in parents)
        yield from ((whole, ("whole", parent)) for parent in parents)
        for cell in cells(writes or ("", {})):
            yield cell, ("named", number)
            yield from ((cell, ("named", parent)) for parent in parents)
            yield from ((cell, ("whole", parent)) for parent in parents)
            for span, reach, _wide in reads:
                for used in window(span, cell[1], reach):
                    yield cell, used
                    yield whole, used
        if writes is None:
            yield from ((whole, cell) for span, _, _ in reads for cell in cells(span))


def closure(edges, start) -> set:
    """Reached from the start by any number of edges; the slowest way."""
    edges = set(edges)
    found = set(start)
    while more := {to for source, to in edges if source in found} - found:
        found |= more
    return found


def named(market, traced) -> set[int]:
    return {int(known.id.removeprefix(f"{market}-")) for known in traced.nodes}


def days_of(traced, held, market, day) -> set[tuple]:
    known = {
        (table, day(each), held(table, [each], generation, market).ids[day(each)]): (table, each, generation)
        for table in TABLES
        for each in DAYS
        for generation in (0, 1)
    }
    return {known[content.table, content.session, content.id] for content in traced.contents}


def test_dependents_are_exactly_those_of_the_closure(lineage, contents, day):
    @given(graphs(), st.none() | st.sampled_from(SYMBOLS), st.data())
    def law(graph, symbol, data):
        market = f"m{next(_MARKETS)}"
        for node in built(graph, market, contents):
            lineage.record(node)
        everything = {cell for reads, writes, _, _ in graph for cell in cells(writes or ("", {}))}
        everything |= {cell for reads, *_ in graph for span, _, _ in reads for cell in cells(span)}
        if not everything:
            return
        flipped = data.draw(st.sampled_from(sorted(everything)))
        table, at, generation = flipped
        content = contents(table, [at], generation, market).ids[day(at)]
        found = lineage.dependents(market, day(at), table=table, content=content, symbol=symbol)
        expected = closure(forward_edges(graph, symbol), [(flipped, symbol is None)])
        assert named(market, found) == {each for each in expected if isinstance(each, int)}
        reached = {each[0] for each in expected if isinstance(each, tuple)} - {flipped}
        assert days_of(found, contents, market, day) == reached

    law()


def test_ancestors_are_exactly_those_of_the_closure(lineage, contents, day):
    @given(graphs(), st.data())
    def law(graph, data):
        market = f"m{next(_MARKETS)}"
        for node in built(graph, market, contents):
            lineage.record(node)
        start = data.draw(st.integers(0, len(graph) - 1))
        found = lineage.ancestors(f"{market}-{start}")
        expected = closure(backward_edges(graph), [("whole", start)])
        assert named(market, found) == {each for what, each, *_ in expected if what == "named"} - {start}
        reached = {each for each in expected if each[0] in TABLES}
        assert days_of(found, contents, market, day) == reached

    law()

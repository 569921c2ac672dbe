"""The changes of a class: each takes a step's `Draw`, makes one, and says which.

None where the schema does not offer it.

The values of the rows fit whatever is changed, so that no migration may fail.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

from tests.migrations.chains.classes import Check, Column, Index, Overlap, Schema, Table
from tests.migrations.chains.draw import FEWEST_TABLES, FOR_NULL, TABLES, Draw, can_fill, is_full
from tests.migrations.chains.kinds import ENUMS, INTERVALS, KEYS, KINDS, MEMBERS, NUMBERS, TEXTS, USED_MEMBERS

RULED = "bookings"
Change = Callable[[Draw], str | None]


def add_table(draw: Draw) -> str | None:
    """Add a table with some columns, usually with a reference."""
    names = [name for name in TABLES if not draw.schema.has(name) and not draw.base.has(name)]
    name = draw.choose(names)
    if name is None:
        return None
    table = Table(name, draw.random.choice(list(KEYS)))
    draw.put(table)
    for _ in range(draw.random.randrange(2, 5)):
        table = table.with_column(draw.column(table, is_filled=False))
    if draw.chance(80):
        table = table.with_column(draw.reference(table, is_filled=False))
    draw.put(table)
    return f"add table {name}"


def drop_table(draw: Draw) -> str | None:
    """Drop a table and every reference to it."""
    table = draw.choose(draw.settled_tables())
    if table is None or len(draw.schema.tables) <= FEWEST_TABLES:
        return None
    draw.schema = draw.schema.without(table.name)
    return f"drop table {table.name}"


def add_column(draw: Draw) -> str | None:
    """Add a column that is nullable, or NOT NULL with a default."""
    table = draw.random.choice(draw.schema.tables)
    column = draw.column(table, is_filled=True)
    if column.default is not None and column.kind in ("whole", "long", "flag") and draw.chance(30):
        column = replace(column, has_server_default=True)
    draw.put(table, column)
    return f"add {table.name}.{column.name} {column.kind} {'NULL' if column.is_nullable else 'NOT NULL'}"


def add_interval(draw: Draw) -> str | None:
    """Add the two columns of an interval."""
    table, kind = draw.random.choice(draw.schema.tables), draw.random.choice(list(INTERVALS))
    for name in (kind, INTERVALS[kind]):
        table = table.with_column(draw.column(table, name, is_filled=True))
    draw.put(table)
    return f"add {table.name}.{table.columns[-2].name} and {table.columns[-1].name}, an interval"


def add_reference(draw: Draw) -> str | None:
    """Add a nullable column that refers to a table, maybe its own."""
    table = draw.random.choice(draw.schema.tables)
    column = draw.reference(table, is_filled=True)
    draw.put(table, column)
    return f"add {table.name}.{column.name} to {column.points} {column.ondelete}"


def drop_column(draw: Draw) -> str | None:
    """Drop a column and every rule that names it."""
    found = draw.choose([pair for pair in draw.pairs() if len(pair[0].columns) > 1])
    if found is None:
        return None
    table, column = found
    draw.put(table.without(column.uid))
    return f"drop {table.name}.{column.name}"


def rename_column(draw: Draw) -> str | None:
    """Rename a column. Its values stay."""
    table, column = draw.random.choice(draw.pairs())
    name = draw.free_name(table)
    if column.uid in table.ruled and not is_full(name):
        return None  # the texts of rules would have to quote it
    draw.put(table, replace(column, name=name))
    return f"rename {table.name}.{column.name} to {name}"


def retype(draw: Draw) -> str | None:
    """Make a column wider, or narrower if its values fit."""
    candidates = [pair for pair in draw.pairs() if pair[1].kind in KINDS and KINDS[pair[1].kind].family]
    found = draw.choose([pair for pair in candidates if not pair[1].has_server_default])
    if found is None:
        return None
    table, column = found
    family = KINDS[column.kind].family
    kind = draw.random.choice([name for name, kind in KINDS.items() if kind.family == family and name != column.kind])
    draw.put(table, replace(column, kind=kind))
    return f"retype {table.name}.{column.name} from {column.kind} to {kind}"


def let_be_null(draw: Draw) -> str | None:
    """Make a column nullable."""
    found = draw.choose([(t, c) for t, c in draw.pairs() if not c.is_nullable and c.uid not in _always(t)])
    if found is None:
        return None
    table, column = found
    draw.put(table, replace(column, is_nullable=True))
    return f"let {table.name}.{column.name} be null"


def require(draw: Draw) -> str | None:
    """Make a column with nulls NOT NULL. The nulls become the default."""

    def may_be(table: Table, column: Column) -> bool:
        is_unique = column.is_unique or any(column.uid in unique for unique in table.uniques)
        return column.is_nullable and can_fill(column) and not is_unique

    found = draw.choose([pair for pair in draw.pairs() if may_be(*pair)])
    if found is None:
        return None
    table, column = found
    draw.put(table, replace(column, is_nullable=False, default=0))
    return f"require {table.name}.{column.name}"


def change_default(draw: Draw) -> str | None:
    """Set another default, of the class or of the database, or remove it."""
    found = draw.choose([pair for pair in draw.pairs() if pair[1].default is not None])
    if found is None:
        return None
    table, column = found
    if draw.chance(30):
        draw.put(table, replace(column, default=None, has_server_default=False))
        return f"no default of {table.name}.{column.name}"
    draw.put(table, replace(column, default=2 if column.default == 0 else 0))
    return f"another default of {table.name}.{column.name}"


def change_uniqueness(draw: Draw) -> str | None:
    """Make a column unique, or not unique."""
    candidates = [pair for pair in draw.pairs() if pair[1].kind in KINDS and KINDS[pair[1].kind].is_distinct]
    found = draw.choose(candidates)
    if found is None:
        return None
    table, column = found
    draw.put(table, replace(column, is_unique=not column.is_unique))
    return f"{table.name}.{column.name}: unique={not column.is_unique}"


def change_unique_together(draw: Draw) -> str | None:
    """Add or remove a unique constraint of two columns."""
    table = draw.random.choice(draw.schema.tables)
    columns = [c for c in table.columns if draw.is_settled(table, c) and c.kind in KINDS and KINDS[c.kind].is_distinct]
    if table.uniques:
        draw.put(replace(table, uniques=()))
        return f"{table.name}: nothing unique together"
    if len(columns) < 2:
        return None
    chosen = draw.random.sample(columns, 2)
    draw.put(replace(table, uniques=((chosen[0].uid, chosen[1].uid),)))
    return f"{table.name}: {chosen[0].name} and {chosen[1].name} unique together"


def change_index(draw: Draw) -> str | None:
    """Index a column, or drop its index."""
    table, column = draw.random.choice(draw.pairs())
    if column.kind in KINDS and not KINDS[column.kind].has_index:
        return None
    draw.put(table, replace(column, is_indexed=not column.is_indexed))
    return f"{table.name}.{column.name}: index={not column.is_indexed}"


def change_wide_index(draw: Draw) -> str | None:
    """Add or drop an index of two columns, rarely a partial one."""
    table = draw.random.choice(draw.schema.tables)
    columns = [c for c in table.columns if c.kind not in KINDS or KINDS[c.kind].has_index]
    if table.indexes:
        draw.put(replace(table, indexes=()))
        return f"{table.name}: no index together"
    if len(columns) < 2:
        return None
    chosen = draw.random.sample(columns, 2)
    index = Index((chosen[0].uid, chosen[1].uid), is_partial=draw.chance(40))
    draw.put(replace(table, indexes=(index,)))
    return f"{table.name}: {chosen[0].name} and {chosen[1].name} indexed, partial={index.is_partial}"


def change_link(draw: Draw) -> str | None:
    """Add or drop a foreign key, or change its ON DELETE."""
    found = draw.choose([pair for pair in draw.pairs() if pair[1].points])
    if found is None:
        return None
    table, column = found
    if column.is_linked and draw.chance(60):
        new = replace(column, ondelete=draw.ondelete(column))
    else:
        new = replace(column, is_linked=not column.is_linked)
    if new.ondelete == FOR_NULL and not new.is_nullable:
        new = replace(new, ondelete=None)
    draw.put(table, new)
    return f"{table.name}.{column.name}: foreign key={new.is_linked} {new.ondelete}"


def change_check(draw: Draw) -> str | None:
    """Add, drop or change a check."""
    table = draw.random.choice(draw.schema.tables)
    if table.checks:
        checks: Sequence[Check] = ()
        if draw.chance(50):
            checks = [replace(table.checks[0], bound=table.checks[0].bound + 1)]
        draw.put(replace(table, checks=tuple(checks)))
        return f"{table.name}: {'another' if checks else 'no'} check"
    columns = [c for c in table.columns if c.kind in (*NUMBERS, *TEXTS) and is_full(c.name)]
    column = draw.choose([c for c in columns if draw.is_settled(table, c)])
    if column is None:
        return None
    draw.put(replace(table, checks=(Check(f"bound_{next(draw.numbers)}", column.uid, 0),)))
    return f"{table.name}: a check of {column.name}"


def change_overlap(draw: Draw) -> str | None:
    """Add or drop a `NoOverlap`, or let it count other rows."""
    table = draw.choose([table for table in draw.settled_tables() if table.overlap or _intervals(draw, table)])
    if table is None:
        return None
    states = [c.uid for c in table.columns if c.kind == "colour" and draw.is_settled(table, c)]
    if table.overlap is None:
        start, end = draw.random.choice(_intervals(draw, table))
        resource = draw.random.choice(_resources(draw, table))
        counted: list[int | None] = [*states, *_for_all(start, end)]
        if not counted:
            return None
        overlap = Overlap(resource.uid, start.uid, end.uid, draw.random.choice(counted))
    elif draw.chance(50) and (lives := _other_lives(table, table.overlap, states)):
        overlap = replace(table.overlap, live=lives[0])
    else:
        draw.put(replace(table, overlap=None))
        return f"{table.name}: no NoOverlap"
    draw.put(replace(table, overlap=overlap))
    return f"{table.name}: NoOverlap of {table.name_of(overlap.start)}, live={overlap.live}"


def _always(table: Table) -> set[int]:
    """Return the columns that may not be null: the interval of a rule for every row."""
    return {table.overlap.start, table.overlap.end} if table.overlap and table.overlap.live is None else set()


def _for_all(*interval: Column) -> list[None]:
    """Return the choice of a rule for every row, if every row has the interval."""
    return [] if any(column.is_nullable for column in interval) else [None]


def _other_lives(table: Table, overlap: Overlap, states: list[int]) -> Sequence[int | None]:
    """Return what a rule may count instead: every row, or those of a state."""
    return _for_all(table.column(overlap.start), table.column(overlap.end)) if overlap.live else states


def _plain(draw: Draw, table: Table, column: Column) -> bool:
    return is_full(column.name) and draw.is_settled(table, column)


def _resources(draw: Draw, table: Table) -> list[Column]:
    return [c for c in table.columns if _plain(draw, table, c) and (c.points or c.kind in ("whole", "long"))]


def _intervals(draw: Draw, table: Table) -> list[tuple[Column, Column]]:
    """Return pairs of columns that are an interval, in tables with a column for the resource."""
    if not _resources(draw, table):
        return []
    plain = [column for column in table.columns if _plain(draw, table, column)]
    return [(start, end) for start in plain for end in plain if INTERVALS.get(start.kind) == end.kind]


def change_search(draw: Draw) -> str | None:
    """Add or drop a `SearchIndex`, or change its columns."""
    table = draw.choose([t for t in draw.settled_tables() if any(c.kind in TEXTS for c in t.columns)])
    if table is None:
        return None
    texts = [column.uid for column in table.columns if column.kind in TEXTS]
    chosen = (
        () if table.search and draw.chance(40) else tuple(draw.random.sample(texts, draw.random.randint(1, len(texts))))
    )
    draw.put(replace(table, search=chosen))
    return f"{table.name}: SearchIndex of {', '.join(map(table.name_of, chosen)) or 'nothing'}"


def change_members(draw: Draw) -> str | None:
    """Add a member to an enum, or remove one that no row has."""
    found = draw.choose([pair for pair in draw.pairs() if pair[1].kind in ENUMS])
    if found is None:
        return None
    table, column = found
    size = len(column.members)
    grows = size == USED_MEMBERS or (size < len(MEMBERS) and draw.chance(50))
    draw.put(table, replace(column, members=MEMBERS[: size + 1 if grows else size - 1]))
    return f"{table.name}.{column.name}: {'one more' if grows else 'one less'} member of {column.kind}"


CHANGES: dict[Change, int] = {
    add_table: 2, drop_table: 1, add_column: 4, add_interval: 3, add_reference: 2, drop_column: 2, rename_column: 4,
    retype: 4, let_be_null: 2, require: 4, change_default: 1, change_uniqueness: 3, change_unique_together: 2,
    change_index: 2, change_wide_index: 2, change_link: 3, change_check: 4, change_overlap: 5, change_search: 3,
    change_members: 3,
}  # fmt: skip


def first_schema(draw: Draw) -> Schema:
    """Return tables that refer to each other. One has every rule, so that any change in it may lose one."""
    for _ in range(FEWEST_TABLES - 1):
        add_table(draw)
    draw.put(_ruled_table(draw))
    add_interval(draw)
    add_reference(draw)
    return draw.schema


def _ruled_table(draw: Draw) -> Table:
    start = draw.random.choice(list(INTERVALS))
    table = Table(RULED, draw.random.choice(list(KEYS)))
    draw.put(table)
    for kind in (start, INTERVALS[start], "colour", "whole", "long"):
        table = table.with_column(draw.column(table, kind, is_filled=False))
    table = table.with_column(draw.reference(table, is_filled=False))
    first, last, state, number, text, resource = table.columns
    # Their names stand in the texts of rules, which do not quote them.
    named = [replace(column, name=f"{column.kind}_{column.uid}") for column in (first, last, state, number, text)]
    return replace(
        table,
        columns=(*named, resource),
        overlap=Overlap(resource.uid, first.uid, last.uid, draw.random.choice([state.uid, *_for_all(first, last)])),
        checks=(Check(f"bound_{next(draw.numbers)}", draw.random.choice([number.uid, text.uid]), 0),),
        indexes=(Index((number.uid, first.uid), is_partial=draw.chance(50)),),
        search=(text.uid,),
    )


def step(draw: Draw, *, changes: int) -> list[str]:
    """Change the schema of a draw. Return a description of the change."""
    said: list[str] = []
    while len(said) < changes:
        change = draw.random.choices(list(CHANGES), weights=list(CHANGES.values()))[0]
        words = change(draw)
        if words:
            said.append(words)
    return said

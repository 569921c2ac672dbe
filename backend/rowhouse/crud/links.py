"""Many-to-many members of a write: `tag_ids: [1, 2]` replaces the tags of a row, in the same transaction.

An entity with such members gets `LinkedVerbs` in front of its own class, so that the verbs of other entities stay as
they are. A hook sees the row without these members.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, ClassVar, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from rowhouse.core.errors import ReferenceNotFoundError
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.batch_errors import SINGLE_ROW, BatchErrors
from rowhouse.crud.related import RelatedRows
from rowhouse.db.compiled import CompiledStatement, Predicate, Row
from rowhouse.db.integrity import ForeignKeyError
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.history.entries import Action
from rowhouse.query.keys import sortable
from rowhouse.query.resource import Link, Resource
from rowhouse.sql.chunks import chunked, pad_to_power_of_two
from rowhouse.sql.statements import ROW_KEY, numbered

NEAR, FAR = "near", "far"
Given = Mapping[str, Sequence[Any]]
Pairs = dict[Any, set[Any]]
T = TypeVar("T")
R = TypeVar("R", bound=Sequence[Row])


class LinkSet:
    """The pairs of one link table, as the rows of one entity see them."""

    def __init__(self, related: RelatedRows, link: Link, dialect: sa.Dialect) -> None:
        self.related = related
        self._table = link.table
        self._near, self._far = link.table.columns[link.near], link.table.columns[link.far]
        self._dialect = dialect
        cache = lru_cache(maxsize=64)
        self._select, self._insert, self._delete = cache(self._selecting), cache(self._inserting), cache(self._deleting)

    def read(self, unit: UnitOfWork, keys: Sequence[Any]) -> Pairs:
        """Return the keys of the related rows of each row, also those that the caller does not see."""
        found: Pairs = {key: set() for key in keys}
        padded = pad_to_power_of_two(keys)
        bound = {numbered(NEAR, position): key for position, key in enumerate(padded)}
        for row in unit.run(self._select(len(padded)), bound):
            found[row[self._near.key]].add(row[self._far.key])
        return found

    def visible(self, unit: UnitOfWork, keys: Sequence[Any]) -> set[Any]:
        """Return those of the keys whose rows the caller may read."""
        target, relation = self.related.target, self.related.relation
        if not keys or not relation.target.read.allows(unit.caller):
            return set()
        scope = Predicate(target.scope(unit.caller))
        column = target.resource.columns[relation.remote].column
        seen: set[Any] = set()
        for _start, chunk in chunked(keys, columns=1):
            bound = {numbered(ROW_KEY, position): key for position, key in enumerate(chunk)}
            statement = self.related.statements.visible(column, len(chunk), scope)
            seen |= {row[column.name] for row in unit.run(statement, bound, scope)}
        return seen

    def seen(self, unit: UnitOfWork, keys: Iterable[Any]) -> set[Any]:
        """As `visible`, for keys that are or were linked. A caller without a scope sees keys of deleted rows too."""
        asked = set(keys)
        if self.related.relation.target.read.allows(unit.caller) and self.related.target.scope(unit.caller) is None:
            return asked
        return self.visible(unit, list(asked))

    def hide(self, unit: UnitOfWork, states: Sequence[Row], member: str) -> None:
        """Take the keys of rows that the caller does not see out of recorded states."""
        states = [state for state in states if member in state]
        seen = self.seen(unit, (key for state in states for key in state[member]))
        for state in states:
            state[member] = [key for key in state[member] if key in seen]

    def replace(self, unit: UnitOfWork, before: Pairs, after: Pairs) -> None:
        """Delete the pairs that are in `before` alone, and insert those that are in `after` alone."""
        old = {(near, far) for near, found in before.items() for far in found}
        new = {(near, far) for near, found in after.items() for far in found}
        for build, pairs in ((self._delete, old - new), (self._insert, new - old)):
            for _start, chunk in chunked(sorted(pairs, key=_order), columns=2):
                bound: Row = {}
                for position, (near, far) in enumerate(chunk):
                    bound |= {numbered(NEAR, position): near, numbered(FAR, position): far}
                unit.run(build(len(chunk)), bound)

    def _selecting(self, size: int) -> CompiledStatement:
        near = [self._bind(NEAR, position) for position in range(size)]
        return self._compiled(sa.select(self._near, self._far).where(self._near.in_(near)), [self._near, self._far])

    def _deleting(self, size: int) -> CompiledStatement:
        pairs = [
            sa.and_(self._near == self._bind(NEAR, position), self._far == self._bind(FAR, position))
            for position in range(size)
        ]
        return self._compiled(self._table.delete().where(sa.or_(*pairs)), [])

    def _inserting(self, size: int) -> CompiledStatement:
        """Insert pairs. One that another transaction has inserted meanwhile is there already."""
        rows = [
            {self._near.name: self._bind(NEAR, position), self._far.name: self._bind(FAR, position)}
            for position in range(size)
        ]
        insert: Any = postgresql.insert if self._dialect.name == "postgresql" else sqlite.insert
        return self._compiled(insert(self._table).values(rows).on_conflict_do_nothing(), [])

    def _bind(self, name: str, position: int) -> sa.BindParameter[Any]:
        kind = self._near if name == NEAR else self._far
        return sa.bindparam(numbered(name, position), type_=kind.type)

    def _compiled(self, source: Any, columns: Sequence[Any]) -> CompiledStatement:
        return CompiledStatement(source, self._dialect, columns=columns)


class LinkedVerbs(CRUDBase[Any]):
    """The verbs of an entity with many-to-many members. `links` has their link tables, by the name of the member."""

    # The relation of each member.
    link_members: ClassVar[Mapping[str, str]] = {}

    def __init__(self, resource: Resource, dialect: sa.Dialect) -> None:
        super().__init__(resource, dialect)
        self.links: Mapping[str, LinkSet] = {}

    def connect(self, related: Mapping[str, RelatedRows]) -> None:
        """Keep the relations, and prepare the members that write them."""
        super().connect(related)
        found = {member: related[name] for member, name in self.link_members.items()}
        self.links = {
            member: LinkSet(one, link, self.dialect)
            for member, one in found.items()
            if (link := one.relation.link) is not None
        }

    def create(self, unit: UnitOfWork, values: Mapping[str, Any]) -> Row:
        """Insert a row, and its links. See `CRUDBase.create`.

        Raises:
            ReferenceNotFoundError: 409, naming the member and the element that leads to no row the caller may read.
        """
        own, given = self._split_links(values)
        if not any(given.values()):
            return super().create(unit, own)
        unit.begin()
        self._check(unit, [given])
        row = super().create(unit, own)
        self._link(unit, [row], [given], is_new=True)
        return row

    def update(self, unit: UnitOfWork, key: Any, values: Mapping[str, Any]) -> Row:
        """Change a row, and replace its links. See `CRUDBase.update`."""
        own, given = self._split_links(values)
        if not given:
            return super().update(unit, key, own)
        unit.begin()
        try:
            self._check(unit, [given])
        except ReferenceNotFoundError:
            self.lock(unit, key)  # if the caller may not change the row, that error comes first
            raise
        row = super().update(unit, key, own)
        self._link(unit, [row], [given], is_new=False)
        return row

    def create_many(self, unit: UnitOfWork, values: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
        """Insert rows, and their links. See `CRUDBase.create_many`."""
        split = [self._split_links(one) for one in values]
        own, given = [one for one, _ in split], [links for _, links in split]
        if not any(any(links.values()) for links in given):
            return super().create_many(unit, own)
        rows = self._write_checked(unit, own, given, super().create_many)
        self._link(unit, rows, given, is_new=True)
        return rows

    def update_many(self, unit: UnitOfWork, changes: Sequence[tuple[Any, Mapping[str, Any]]]) -> list[Row]:
        """Change rows, and replace their links. See `CRUDBase.update_many`."""
        split = [self._split_links(values) for _, values in changes]
        own = [(key, one) for (key, _), (one, _) in zip(changes, split, strict=True)]
        given = [links for _, links in split]
        if not any(given):
            return super().update_many(unit, own)
        rows = self._write_checked(unit, own, given, super().update_many)
        self._link(unit, rows, given, is_new=False)
        return rows

    def delete(self, unit: UnitOfWork, key: Any) -> None:
        """Delete a row, and its links. See `CRUDBase.delete`."""
        with SINGLE_ROW:
            self._lock_to_delete(unit, [key])
        self._unlink(unit, [key])
        super().delete(unit, key)

    def delete_many(self, unit: UnitOfWork, keys: Sequence[Any]) -> None:
        """Delete rows, and their links. See `CRUDBase.delete_many`."""
        distinct = list(dict.fromkeys(keys))
        self._lock_to_delete(unit, distinct)
        self._unlink(unit, distinct)
        super().delete_many(unit, keys)

    def _write_checked(
        self, unit: UnitOfWork, own: Sequence[T], given: Sequence[Given], write: Callable[[UnitOfWork, Sequence[T]], R]
    ) -> R:
        """Check the links of a batch, and write its rows. Raise the error of the first faulty element of both."""
        unit.begin()
        errors = BatchErrors()
        with errors:
            self._check_many(unit, given)
        rows = write(unit, errors.before(own))
        errors.raise_if_any()
        return rows

    def _split_links(self, values: Mapping[str, Any]) -> tuple[Row, Given]:
        own = {name: value for name, value in values.items() if name not in self.links}
        return own, {name: values[name] for name in self.links if name in values}

    def _check(self, unit: UnitOfWork, given: Sequence[Given]) -> None:
        try:
            self._check_many(unit, given)
        except ReferenceNotFoundError as error:
            error.element = None
            raise

    def _check_many(self, unit: UnitOfWork, given: Sequence[Given]) -> None:
        """Require that every key leads to a row that the caller may read, with one statement for each member."""
        missing: list[tuple[int, str, int, Any]] = []
        for member, link in self.links.items():
            asked = list(dict.fromkeys(key for one in given for key in one.get(member, ())))
            unseen = set(asked) - link.visible(unit, asked)
            missing += [
                (row, member, position, key)
                for row, one in enumerate(given)
                for position, key in enumerate(one.get(member, ()))
                if key in unseen
            ]
        if missing:
            row, member, position, key = min(missing, key=lambda one: one[0])
            error = ReferenceNotFoundError(f"{member}: there is nothing with the id {key}.")
            loc = ["body", *([row] if len(given) > 1 else []), member, position]
            error.listed = [{"loc": loc, "msg": error.detail, "type": error.code}]
            raise error.element_error(row)

    def _link(self, unit: UnitOfWork, rows: Sequence[Row], given: Sequence[Given], *, is_new: bool) -> None:
        """Replace the links of rows, and record it."""
        keys = [self.key_of(row) for row in rows]
        changed: dict[Any, tuple[Row, Row]] = {key: ({}, {}) for key in keys}
        for member in dict.fromkeys(name for one in given for name in one):
            link = self.links[member]
            after: Pairs = {key: set(one[member]) for key, one in zip(keys, given, strict=True) if member in one}
            before: Pairs = {key: set() for key in after} if is_new else link.read(unit, list(after))
            # Links to rows that the caller does not see stay as they are.
            seen = link.seen(unit, (far for found in before.values() for far in found))
            before = {key: found & seen for key, found in before.items()}
            try:
                link.replace(unit, before, after)
            except ForeignKeyError as error:  # since the check
                raise ReferenceNotFoundError(f"{member}: a row with one of these ids is no longer there.") from error
            for key in after:
                for state, linked in zip(changed[key], (before[key], after[key]), strict=True):
                    state[member] = sorted(linked, key=sortable)
        moved = [(row, changed[key]) for row, key in zip(rows, keys, strict=True) if changed[key][0] != changed[key][1]]
        if self.recorder.history is not None and moved:
            states = [(row, row) for row, _ in moved]
            self.recorder.history.record(unit, Action.UPDATE, states, members=[members for _, members in moved])
        unit.expire_session()

    def _unlink(self, unit: UnitOfWork, keys: Sequence[Any]) -> None:
        for link in self.links.values():
            before = link.read(unit, keys)
            link.replace(unit, before, {})


def _order(pair: tuple[Any, Any]) -> tuple[Any, ...]:
    return tuple(map(sortable, pair))


def with_links(crud: type[CRUDBase[Any]], members: Mapping[str, str]) -> type[CRUDBase[Any]]:
    """Return the class with many-to-many members; `members` has the relation of each."""
    if not members:
        return crud
    made: type[CRUDBase[Any]] = type(crud.__name__, (LinkedVerbs, crud), {"link_members": dict(members)})
    return made

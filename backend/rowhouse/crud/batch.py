"""Many rows at once, all or none, in a number of statements that does not grow with the rows.

Rows go in blocks whose sizes are powers of two, so that a handful of compiled statements serves every batch. Where an entity's verb is
overridden, or a hook that sees one row, the verb is called for one row after the other, for its rules must see each beside those before
it. An error says which element it was, the first one that is at fault (`faults`).
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from rowhouse.core.clock import now
from rowhouse.core.errors import (
    ConflictError,
    InvalidInputError,
    RowhouseError,
    StillReferencedError,
    TransactionRetryError,
)
from rowhouse.crud.base import CRUDBase
from rowhouse.crud.batch_errors import FirstError, each_row
from rowhouse.db.compiled import Row
from rowhouse.db.integrity import ForeignKeyError
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.history.entries import Action
from rowhouse.sql.chunks import blocks, pad_to_power_of_two
from rowhouse.sql.statements import ROW_KEY, numbered

Change = tuple[Any, Mapping[str, Any]]
Numbered = tuple[int, Row]


def create_many(crud: CRUDBase[Any], unit: UnitOfWork, values: Sequence[Mapping[str, Any]]) -> Sequence[Row]:
    """Store new rows and give them as stored, in order.

    Raises:
        ConflictError, InvalidInputError: as for `CRUDBase.create`, naming the element.
    """
    unit.begin()
    if not crud.takes_many("create", "create_many", *crud.hooks):
        return crud.create_many(unit, values)
    faults = FirstError()
    with faults.stage():
        crud.references.check_many(unit, values)
    rows: Sequence[Row] = [crud.new_row(unit, one) for one in faults.before(values)]
    if crud.has_hooks:
        rows = crud.inspection.validate_new(rows, unit=unit, faults=faults)
    stored: list[Row] = []
    with faults.stage():
        for members in _grouped(rows, in_order=True):
            for start, block in blocks(members, columns=len(members[0][1])):
                stored += _insert(crud, unit, [row for _, row in block], members[start][0])
    faults.settle()
    crud.keeper.record(unit, Action.CREATE, [(None, row) for row in stored])
    return stored


def create_possible(
    crud: CRUDBase[Any], unit: UnitOfWork, values: Sequence[Mapping[str, Any]], *, most: int
) -> list[RowhouseError]:
    """Store the new rows that can be stored, and give the error of each other, naming the element; at most so many.

    For a complete list of what is wrong: where there is an error, the caller rolls back.
    """
    refused: list[RowhouseError] = []
    start = 0
    while start < len(values) and len(refused) < most:
        error = _refusal_of(crud, unit, values[start:])
        if error is None:
            break
        position = error.element or 0
        if position:
            create_many(crud, unit, values[start : start + position])
        refused.append(error.element_error(start + position))
        start += position + 1
    return refused


def _refusal_of(crud: CRUDBase[Any], unit: UnitOfWork, values: Sequence[Mapping[str, Any]]) -> RowhouseError | None:
    """The error of the first row that cannot be stored, and then none of them is; None where all of them are."""
    try:
        with unit.savepoint():
            create_many(crud, unit, values)
    except RowhouseError as error:
        if error.element is None or error.status >= RowhouseError.status:  # no row's fault, but the server's
            raise
        return error
    return None


def _insert(crud: CRUDBase[Any], unit: UnitOfWork, rows: Sequence[Row], start: int) -> list[Row]:
    """Insert a block; one that fails is halved until the element is found."""
    names = tuple(rows[0])
    bound = {numbered(name, position): row[name] for position, row in enumerate(rows) for name in names}
    try:
        with unit.savepoint():
            stored = unit.run(crud.statements.insert_many(names, len(rows)), bound)
    except (ConflictError, InvalidInputError) as error:
        if len(rows) > 1:
            half = len(rows) // 2
            return _insert(crud, unit, rows[:half], start) + _insert(crud, unit, rows[half:], start + half)
        raise _named(crud, unit, error, rows[0]).element_error(start) from None
    return _in_order(crud, stored, [row.get(crud.resource.key.name) for row in rows])


def _in_order(crud: CRUDBase[Any], stored: list[Row], keys: Sequence[Any]) -> list[Row]:
    """RETURNING promises no order: keys that the database counts up follow the rows, others are known."""
    name = crud.resource.key.name
    if keys[0] is None:
        return sorted(stored, key=lambda row: row[name])
    by_key = {row[name]: row for row in stored}
    return [by_key[key] for key in keys]


def update_many(crud: CRUDBase[Any], unit: UnitOfWork, changes: Sequence[Change]) -> list[Row]:
    """Change rows and give them as stored then, in order.

    Raises:
        NotFoundError, PermissionDeniedError, ConflictError, InvalidInputError: as for `CRUDBase.update`, naming the element.
    """
    unit.begin()
    keys = [key for key, _ in changes]
    _refuse_repeated(keys)
    seen = crud.guards.queue_for_changes(unit, changes)
    if not crud.takes_many("update", *crud.hooks):
        return each_row(unit, changes, lambda change: crud.update(unit, *change))
    faults = FirstError()
    found = _lock(crud, unit, keys)
    if crud.guards.resources_changed([seen.get(key, {}) for key in found], list(found.values())):
        raise TransactionRetryError  # by another, between the two looks: begin anew
    with faults.stage():
        _require_all(crud, unit, keys, found)
    with faults.stage():
        crud.references.check_many(unit, [values for _, values in faults.before(changes)])
    given: Sequence[Row] = [{**values, "updated_at": now()} for _, values in faults.before(changes)]
    if crud.has_hooks:
        given = crud.inspection.validate_changes(
            given, stored=[found[key] for key in keys[: len(given)]], unit=unit, faults=faults
        )
    stored: dict[Any, Row] = {}
    with faults.stage():
        for members in _grouped(given, in_order=bool(crud.guards)):
            for _start, block in blocks(members, columns=len(members[0][1]) + 1):
                stored.update(_update(crud, unit, keys, block))
    faults.settle()
    crud.keeper.record(unit, Action.UPDATE, [(found[key], stored[key]) for key in keys])
    unit.expire_session()
    return [stored[key] for key in keys]


def _grouped(rows: Sequence[Row], *, in_order: bool) -> Collection[Sequence[Numbered]]:
    """The rows, each with its position, by the columns that they set; `in_order`, only neighbours share a group."""
    groups: dict[tuple[int, frozenset[str]], list[Numbered]] = {}
    run, before = 0, frozenset[str]()
    for position, row in enumerate(rows):
        names = frozenset(row)
        run += in_order and names != before
        before = names
        groups.setdefault((run, names), []).append((position, row))
    return groups.values()


def _update(crud: CRUDBase[Any], unit: UnitOfWork, keys: Sequence[Any], block: Sequence[Numbered]) -> dict[Any, Row]:
    """Update a block of rows that set the same columns; one that fails is halved until the element is found."""
    bound: Row = {}
    for row, (position, values) in enumerate(block):
        bound[numbered(ROW_KEY, row)] = keys[position]
        bound.update({numbered(name, row): value for name, value in values.items()})
    try:
        with unit.savepoint():
            rows = unit.run(crud.statements.update_many(tuple(sorted(block[0][1])), len(block)), bound)
    except (ConflictError, InvalidInputError) as error:
        if len(block) > 1:
            half = len(block) // 2
            return _update(crud, unit, keys, block[:half]) | _update(crud, unit, keys, block[half:])
        position, values = block[0]
        raise _named(crud, unit, error, values).element_error(position) from None
    return {row[crud.resource.key.name]: row for row in rows}


def delete_many(crud: CRUDBase[Any], unit: UnitOfWork, keys: Sequence[Any]) -> None:
    """Remove rows.

    Raises:
        NotFoundError, PermissionDeniedError, StillReferencedError: as for `CRUDBase.delete`, naming the element.
    """
    unit.begin()
    _refuse_repeated(keys)
    if not crud.takes_many("delete"):
        each_row(unit, keys, lambda key: crud.delete(unit, key))
        return
    _require_all(crud, unit, keys, _lock(crud, unit, keys))
    if not _delete(crud, unit, keys):
        # Greater keys first: what refers to another row is mostly younger, and then does not hold it any more.
        held = set(_held(crud, unit, sorted(keys, reverse=True)))
        raise StillReferencedError().element_error(next(n for n, key in enumerate(keys) if key in held))
    unit.expire_session()


def _delete(crud: CRUDBase[Any], unit: UnitOfWork, keys: Sequence[Any]) -> bool:
    """Remove rows with one statement, for rows that go together may refer to each other; whether nothing else held them."""
    named = pad_to_power_of_two(keys)
    try:
        with unit.savepoint():
            gone = unit.run(crud.statements.delete_many(len(named)), _numbered_keys(named))
            crud.keeper.record(unit, Action.DELETE, [(row, None) for row in gone])
    except ForeignKeyError:
        return False
    return True


def _held(crud: CRUDBase[Any], unit: UnitOfWork, keys: Sequence[Any]) -> list[Any]:
    """Those that other rows refer to, once what can go has gone."""
    if _delete(crud, unit, keys):
        return []
    half = len(keys) // 2
    return [*_held(crud, unit, keys[:half]), *_held(crud, unit, keys[half:])] if half else list(keys)


def _named(crud: CRUDBase[Any], unit: UnitOfWork, error: RowhouseError, row: Row) -> RowhouseError:
    return crud.references.error(unit, error, row) if isinstance(error, ForeignKeyError) else error


def _lock(crud: CRUDBase[Any], unit: UnitOfWork, keys: Sequence[Any]) -> dict[Any, Row]:
    """Lock those rows that are the caller's in the order of their keys, so that two batches cannot wait for each other."""
    predicate = crud.write_predicate(unit.caller)
    found = {}
    ordered = sorted(keys)
    for _start, block in blocks(ordered, columns=1):
        rows = unit.run(
            crud.statements.lock_many(len(block), predicate, whole=crud.has_hooks), _numbered_keys(block), predicate
        )
        found.update({row[crud.resource.key.name]: row for row in rows})
    return found


def _require_all(crud: CRUDBase[Any], unit: UnitOfWork, keys: Sequence[Any], found: Mapping[Any, Row]) -> None:
    """Refuse the first key that leads to no row of the caller's."""
    for position, key in enumerate(keys):
        if key not in found:
            raise crud.refusal(unit, key).element_error(position)


def _numbered_keys(keys: Sequence[Any]) -> Row:
    return {numbered(ROW_KEY, position): key for position, key in enumerate(keys)}


def _refuse_repeated(keys: Sequence[Any]) -> None:
    seen = set()
    for position, key in enumerate(keys):
        if key in seen:
            raise InvalidInputError.at("body", "id", message="name each row once", kind="repeated").element_error(
                position
            )
        seen.add(key)

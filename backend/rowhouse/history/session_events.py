"""Record the changes that hand-written code makes through a session, as the verbs of `CRUDBase` record theirs.

Bulk statements of a session (`session.exec(update(...))`) and plain SQL name no rows, so they are not recorded.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlalchemy import event
from sqlmodel import Session

from rowhouse.db.compiled import Row
from rowhouse.db.database import Database
from rowhouse.db.unit_of_work import UNIT, UnitOfWork
from rowhouse.history.entries import Action
from rowhouse.history.recorder import ChangeRecorder
from rowhouse.query.resource import Resource
from rowhouse.sql.statements import is_row, key_names, read_expression

TRACKED, PENDING = "tracked entities", "pending changes"


class Tracked(NamedTuple):
    """An entity whose changes are recorded: the recorder, and the statement that reads and locks one row."""

    recorder: ChangeRecorder
    select_row: sa.Select[Any]


class PendingChange(NamedTuple):
    """An object that is being flushed, and its row before the flush."""

    tracked: Tracked
    instance: Any
    action: Action
    before: Row | None


def tracked(resource: Resource) -> Tracked:
    """Return how to record the changes of one entity."""
    keys = [column.column for column in resource.key.columns]
    select_row = sa.select(*(read_expression(column) for column in resource.columns.values()))
    return Tracked(
        ChangeRecorder(resource),
        select_row.where(is_row(keys)).with_for_update(key_share=True),
    )


def track_session_changes(resource: Resource) -> None:
    """Record the changes of an entity in sessions that belong to no application, as in a script."""
    resource.table.info[TRACKED] = tracked(resource)


def track_sessions_of(database: Database, entities: Mapping[str, Tracked]) -> None:
    """Record changes in the sessions of one application; `entities` are those of its registries, by table name."""
    database.info[TRACKED] = entities


@event.listens_for(Session, "before_flush")
def _read_rows(session: Session, _context: object, _instances: object) -> None:
    """Read each row that the flush changes, as it is in the database."""
    unit: UnitOfWork | None = session.info.get(UNIT)
    if unit is None:
        return
    changed = [instance for instance in session.dirty if session.is_modified(instance)]
    with unit.flushing():
        session.info[PENDING] = [
            *_pending(unit, session.new, Action.CREATE),
            *_pending(unit, changed, Action.UPDATE),
            *_pending(unit, session.deleted, Action.DELETE),
        ]


def _pending(unit: UnitOfWork, instances: Iterable[Any], action: Action) -> list[PendingChange]:
    found = []
    for instance in instances:
        state: Any = sa.inspect(instance)
        table = state.mapper.local_table
        registered: Mapping[str, Tracked] | None = unit.database.info.get(TRACKED)
        entity: Tracked | None = table.info.get(TRACKED) if registered is None else registered.get(table.fullname)
        if entity is not None:
            before = _row(unit, entity, state.identity) if state.identity else None
            if before is not None or action is Action.CREATE:  # otherwise the row is gone, and the flush will fail
                found.append(PendingChange(entity, instance, action, before))
    return found


def _row(unit: UnitOfWork, entity: Tracked, identity: Sequence[Any]) -> Row | None:
    rows = unit.fetch(entity.select_row, dict(zip(key_names(len(identity)), identity, strict=True)))
    return rows[0] if rows else None


@event.listens_for(Session, "after_flush")
def _record(session: Session, _context: object) -> None:
    """Record the changes, in the transaction of the flush."""
    unit: UnitOfWork | None = session.info.get(UNIT)
    if unit is None:
        return
    with unit.flushing():
        for entity, instance, action, before in session.info.pop(PENDING, ()):
            is_compared = entity.recorder.history is not None and action is not Action.DELETE
            state: Any = sa.inspect(instance)
            identity = state.mapper.primary_key_from_instance(instance)
            after = _row(unit, entity, identity) if is_compared else None
            entity.recorder.record(unit, action, [(before, after)])

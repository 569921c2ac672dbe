"""What hand-written code changes through the session is kept as the verbs keep it: in the archive and in the history.

A session's bulk statements (`session.exec(update(...))`) name no rows and are not seen here, nor is SQL written by hand.
"""

from collections.abc import Iterable, Mapping
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
from rowhouse.sql.statements import ROW_KEY

KEPT, SEEN = "kept", "kept changes"


class Tracked(NamedTuple):
    """What is kept of one entity, and how one of its rows is read and locked."""

    keeper: ChangeRecorder
    select_row: sa.Select[Any]


class PendingChange(NamedTuple):
    """An object that is being flushed, and its row before."""

    kept: Tracked
    thing: Any
    action: Action
    before: Row | None


def track_session_changes(resource: Resource) -> None:
    """Have sessions keep what they flush of this entity where no application has said what is kept, as in a script."""
    resource.table.info[KEPT] = kept_of(resource)


def kept_of(resource: Resource) -> Tracked:
    """What is kept of the rows of one entity that a session flushes."""
    key = resource.key.column
    select_row = sa.select(*(column.column for column in resource.columns.values()))
    return Tracked(
        ChangeRecorder(resource),
        select_row.where(key == sa.bindparam(ROW_KEY, type_=key.type)).with_for_update(key_share=True),
    )


def keep_in(database: Database, kept: Mapping[str, Tracked]) -> None:
    """Have the sessions of one application keep what its registries say, by the name of the table."""
    database.info[KEPT] = kept


@event.listens_for(Session, "before_flush")
def _look(session: Session, _context: object, _instances: object) -> None:
    """Remember each row that a flush is about to change, as the database has it."""
    unit: UnitOfWork | None = session.info.get(UNIT)
    if unit is None:
        return
    changed = [thing for thing in session.dirty if session.is_modified(thing)]
    with unit.flushing():
        session.info[SEEN] = [
            *_seen(unit, session.new, Action.CREATE),
            *_seen(unit, changed, Action.UPDATE),
            *_seen(unit, session.deleted, Action.DELETE),
        ]


def _seen(unit: UnitOfWork, things: Iterable[Any], action: Action) -> list[PendingChange]:
    found = []
    for thing in things:
        state: Any = sa.inspect(thing)
        table = state.mapper.local_table
        registered: Mapping[str, Tracked] | None = unit.database.info.get(KEPT)
        kept: Tracked | None = table.info.get(KEPT) if registered is None else registered.get(table.fullname)
        if kept is not None:
            before = _row(unit, kept, state.identity[0]) if state.identity else None
            if before is not None or action is Action.CREATE:  # else it is gone already, and the session will say so
                found.append(PendingChange(kept, thing, action, before))
    return found


def _row(unit: UnitOfWork, kept: Tracked, key: Any) -> Row | None:
    rows = unit.fetch(kept.select_row, {ROW_KEY: key})
    return rows[0] if rows else None


@event.listens_for(Session, "after_flush")
def _keep(session: Session, _context: object) -> None:
    """Keep what has changed, in the flush's own transaction."""
    unit: UnitOfWork | None = session.info.get(UNIT)
    if unit is None:
        return
    with unit.flushing():
        for kept, thing, action, before in session.info.pop(SEEN, ()):
            is_followed = kept.keeper.history is not None and action is not Action.DELETE
            after = _row(unit, kept, thing.id) if is_followed else None
            kept.keeper.record(unit, action, [(before, after)])

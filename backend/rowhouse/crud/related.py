"""Related rows: read them for rows, and select rows by them, only as far as the caller may read them."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import sqlalchemy as sa

from rowhouse.core.security import Caller
from rowhouse.crud.hooks import Hooks
from rowhouse.db.compiled import CompiledStatement, NeedsCustomPlan, Predicate, Row
from rowhouse.db.unit_of_work import UnitOfWork
from rowhouse.query.resource import Relation, Resource
from rowhouse.sql.chunks import pad_to_power_of_two
from rowhouse.sql.count_estimate import estimated_cost, estimated_rows
from rowhouse.sql.pages import COMMON
from rowhouse.sql.statements import CACHED_SHAPES, LINKED, PAGE_LIMIT, RELATED, Statements, numbered

# What PostgreSQL's planner takes for reading a small table, and for a row that an index finds, about.
SMALL_TABLE, FOUND_ROW = 100.0, 5.0


class SearchedRows(sa.Exists, NeedsCustomPlan):
    """The condition that one of many related rows matches. A plan for any value would expect few of them."""

    inherit_cache = True


class RelatedRows:
    """The rows of one relation. `target` has the rules of the related entity.

    `link` has those of the table between the two, if it is registered.
    """

    def __init__(
        self,
        relation: Relation,
        source: Resource,
        target: Hooks[Any],
        *,
        statements: Statements,
        link: Hooks[Any] | None,
    ) -> None:
        self.relation = relation
        self.target = target
        self.link = link
        self._local: Any = source.columns[relation.local].column
        self._remote: Any = relation.target.columns[relation.remote].column
        self.statements = statements
        self._estimate = lru_cache(maxsize=CACHED_SHAPES)(self._compile_estimate)

    def check_read(self, caller: Caller | None) -> None:
        """Require that the caller may read the related entity, and the link if it is an entity.

        Raises:
            NotAuthenticatedError, PermissionDeniedError: 401 and 403.
        """
        self.relation.target.read.check(caller)
        if self.link is not None:
            self.link.resource.read.check(caller)

    def read(self, unit: UnitOfWork, values: Sequence[Any], *, limit: int) -> list[tuple[Any, Row]]:
        """Return the visible rows related to rows with these values, each with its value, in the relation's order."""
        padded = pad_to_power_of_two(values)
        bound: Row = {numbered(RELATED, position): value for position, value in enumerate(padded)}
        bound[PAGE_LIMIT] = limit
        link, remote = self.relation.link, self.relation.remote
        scope, order = self._visible(unit.caller), self.relation.order
        if link is None:
            statement = self.statements.related(remote, len(padded), scope, order)
            found = [(row[remote], row) for row in unit.run(statement, bound, scope)]
        else:
            statement = self.statements.linked(link, remote, len(padded), scope, order)
            found = [(row.pop(LINKED), row) for row in unit.run(statement, bound, scope)]
        self.target.load_extra_fields([row for _, row in found], unit=unit)
        return found

    def matching(
        self, unit: UnitOfWork, conditions: Sequence[sa.ColumnElement[bool]], *, is_alternative: bool = False
    ) -> sa.ColumnElement[bool]:
        """Return the condition of the rows with a visible related row that meets all `conditions`.

        With one related row at most, the condition is `IN`: the related rows that match are found first. With many,
        PostgreSQL's planner is asked (`EXPLAIN`). Few that an index finds are found first (`= ANY`): for a page the
        planner would compare each of them with each row of the list, in the hope to find the page soon. Otherwise it
        gets `EXISTS`, which uses the index of the reference and ends with the first match. SQLite always gets `IN`.

        Below an OR (`is_alternative`), PostgreSQL would run `IN` again for each row, so it always gets `EXISTS` there:
        35 ms instead of 13 s.

        Raises:
            NotAuthenticatedError, PermissionDeniedError: 401 and 403 if the caller may not read the related entity.
        """
        self.check_read(unit.caller)
        visible = self._visible(unit.caller).clause
        conditions = conditions if visible is None else [*conditions, visible]
        matching = self._linked_values().where(*conditions)
        is_postgresql = unit.database.dialect.name == "postgresql"
        if is_postgresql and is_alternative:
            # The subquery has names of its own: the related table may be the table itself.
            return sa.exists().where(matching.subquery().c[LINKED] == self._local)
        if is_postgresql and (self.relation.many or self.relation.link is not None):
            if self._finds_few(unit, conditions):
                values = sa.func.array(matching.correlate(None).scalar_subquery())
                is_found: sa.ColumnElement[bool] = self._local == sa.any_(values)
                return is_found
            return SearchedRows().where(matching.subquery().c[LINKED] == self._local)
        found: sa.ColumnElement[bool] = self._local.in_(matching.correlate(None))
        return found

    def _linked_values(self) -> sa.Select[Any]:
        """Select the values of the reference from the related rows, or from the table of a link joined to them."""
        link = self.relation.link
        if link is None:
            return sa.select(self._remote.label(LINKED))
        near, far = link.table.columns[link.near], link.table.columns[link.far]
        joined = link.table.join(self._remote.table, far == self._remote)
        return sa.select(near.label(LINKED)).select_from(joined)

    def _finds_few(self, unit: UnitOfWork, conditions: Sequence[sa.ColumnElement[bool]]) -> bool:
        """Return whether PostgreSQL expects few related rows that meet these conditions, and finds them by an index."""
        expected = Predicate(*conditions)
        plan = unit.run(self._estimate(expected), {}, expected)[0]
        rows = estimated_rows(plan)
        return rows < COMMON and estimated_cost(plan) < SMALL_TABLE + rows * FOUND_ROW

    def _compile_estimate(self, expected: Predicate) -> CompiledStatement:
        source = self._linked_values() if expected.clause is None else self._linked_values().where(expected.clause)
        plan: Any = sa.literal_column("plan")
        return CompiledStatement(source, self.statements.dialect, columns=[plan], predicate=expected, explain=True)

    def visible(self, caller: Caller | None) -> Predicate:
        """Return the condition of the related rows that the caller sees.

        Raises:
            NotAuthenticatedError, PermissionDeniedError: 401 and 403 if the caller may not read the related entity.
        """
        self.check_read(caller)
        return self._visible(caller)

    def _visible(self, caller: Caller | None) -> Predicate:
        return Predicate(self.target.scope(caller), None if self.link is None else self.link.scope(caller))

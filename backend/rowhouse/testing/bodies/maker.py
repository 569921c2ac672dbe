"""Valid bodies and rows of an entity, derived from its schemas and from the rules of its table.

Does not store anything: it asks for a row of another entity where a reference needs one.
"""

import itertools
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from datetime import date, datetime, timedelta
from functools import cached_property
from typing import Any

import sqlalchemy as sa
from pydantic import TypeAdapter

from rowhouse.core.clock import now
from rowhouse.db.integrity import MEMBERS
from rowhouse.query.resource import Resource
from rowhouse.schemas.columns import Column
from rowhouse.testing.bodies.rules import Pairs, Reference, Rules, rules_for
from rowhouse.testing.bodies.values import Schema, Values, nullable

Row = dict[str, Any]
# What a project says where nothing can be guessed: by the name of the class, the values of its members, or a function
# that returns them. A value may be a function too. Both functions take a number, another one for each row.
ContractValues = Mapping[str, Mapping[str, Any] | Callable[[int], Mapping[str, Any]]]
# Returns a stored row of a table, as a response shows it.
Parent = Callable[[sa.Table], Row]
SLOT = timedelta(minutes=30)


class Bodies:
    """Makes bodies for one entity."""

    def __init__(self, resource: Resource) -> None:
        self.resource = resource
        self.rules: Rules = rules_for(resource)
        self._numbers = itertools.count(1)
        schema = resource.schemas.create.model_json_schema(mode="validation")
        self.values = Values(schema.get("$defs", {}), first_day=tomorrow())
        self.create: Mapping[str, Schema] = schema.get("properties", {})
        self.required: frozenset[str] = frozenset(schema.get("required", ()))

    @cached_property
    def update(self) -> Mapping[str, Schema]:
        """The members of a change."""
        names = self.resource.schemas.update.model_fields
        return {name: schema for name, schema in self.create.items() if name in names}

    @cached_property
    def referring(self) -> dict[str, Reference]:
        """The members that refer to rows."""
        return {name: reference for reference in self.rules.references for name in reference.local}

    @cached_property
    def plain(self) -> list[str]:
        """The members of a change that depend on no other row and on no other member."""
        paired = {name for pair in self.rules.pairs for name in pair}
        return [name for name in self.update if name not in self.referring and name not in paired]

    def next_number(self) -> int:
        """Return a number that no other row of the entity has."""
        return next(self._numbers)

    def body(
        self, parent: Parent, said: ContractValues, given: Row | None = None, *, full: bool = True, nulls: bool = False
    ) -> Row:
        """Return a valid body with all members, or with the required ones. `given` replaces what is generated."""
        number = self.next_number()
        self.values.first_day = tomorrow()
        fixed = {**self._said(said, number), **(given or {})}
        names = [name for name in self.create if full or name in self.required]
        made = {**self._references(names, parent, fixed, nulls=nulls and number % 4 == 3)}
        for name in names:
            if name not in made and name not in fixed:
                made[name] = self.value(name, number if nulls else 4 * number, number)
        return in_order({**made, **fixed}, self.rules.pairs, set(fixed))

    def change(self, name: str, row: Row, parent: Parent, said: ContractValues) -> Row:
        """Return a valid change of one member, with the members that must change together with it."""
        number = self.next_number()
        fixed = self._said(said, number)
        reference = self.referring.get(name)
        together = [name] if reference is None else list(reference.local)
        for pair in self.rules.pairs:
            together += [other for other in pair if name in pair and other not in together and other in self.update]
        values = self._references(together, parent, fixed, nulls=False)
        values |= {
            one: fixed[one] if one in fixed else self._other(one, number, row) for one in together if one not in values
        }
        return in_order(values, self.rules.pairs, {one for one in together if one in fixed})

    def _other(self, name: str, number: int, row: Row) -> Any:
        """Return a value that differs from the row's if another one can be found."""
        tried = [self.value(name, 4 * number + further, number + further) for further in range(3)]
        return next((value for value in tried if value != row.get(name)), tried[0])

    def value(self, name: str, number: int, unique_number: int) -> Any:
        """Return a value of a member. `unique_number` counts the rows."""
        schema = self.create[name]
        bounds = self.rules.bounds.get(name)
        is_unique = name in self.rules.unique
        if bounds and not nullable(schema):
            schema = {**self.values.resolve(schema), **bounds}
        return self.values.value(schema, unique_number if is_unique else number, is_unique=is_unique)

    def column_value(self, column: Column) -> Any:
        """Return a JSON value of a column that no client may set."""
        schema = TypeAdapter(column.annotation).json_schema()
        values = Values(schema.get("$defs", {}), first_day=tomorrow())
        return values.value({**schema, **self.rules.bounds.get(column.name, {})}, self.next_number(), is_unique=True)

    def _said(self, said: ContractValues, number: int) -> Row:
        """Return what the project says of this entity."""
        found = said.get(self.resource.name, {})
        values = found(number) if callable(found) else found
        return {name: value(number) if callable(value) else value for name, value in values.items()}

    def _references(self, names: list[str], parent: Parent, fixed: Row, *, nulls: bool) -> Row:
        """Return the members that refer to rows. Each refers to a new one."""
        found: Row = {}
        for reference in self.rules.references:
            wanted = [name for name in reference.local if name in names and name not in fixed]
            if not wanted:
                continue
            is_optional = all(self.resource.columns[name].nullable for name in wanted)
            if is_optional and (nulls or reference.table is self.resource.table):
                found |= dict.fromkeys(wanted)
                continue
            row = parent(reference.table)
            members = reference.table.info.get(MEMBERS, {})
            found |= {
                local: row[members.get(remote, remote)]
                for local, remote in zip(reference.local, reference.remote, strict=True)
                if local in wanted
            }
        return found


def tomorrow() -> date:
    """Return the next day. Rules about time mostly ask for the future, and for a near one."""
    return now().date() + timedelta(days=1)


def in_order(row: Row, pairs: Pairs, fixed: AbstractSet[str] = frozenset()) -> Row:
    """Put the values of each pair in order, without a change of `fixed` members."""
    for low, high in pairs * len(pairs):
        if row.get(low) is None or row.get(high) is None:
            continue
        if high not in fixed:
            row[high] = shifted(row[low], 1)
        elif low not in fixed:
            row[low] = shifted(row[high], -1)
    return row


def shifted(value: Any, steps: int) -> Any:
    """Return the next value, or the one before: a slot of 30 minutes, a day, or one."""
    if not isinstance(value, str):
        return value + steps
    if len(value) == len("2030-01-31") and value[4] == "-":
        return (date.fromisoformat(value) + timedelta(days=steps)).isoformat()
    if value[2] == ":":
        moment = datetime.fromisoformat(f"2030-01-31T{value}") + steps * SLOT
        return moment.time().isoformat() if moment.day == 31 else ("23:59:59" if steps > 0 else "00:00:00")
    return (datetime.fromisoformat(value) + steps * SLOT).isoformat()

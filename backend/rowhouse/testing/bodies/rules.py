"""The rules of a table beyond the types of its columns: order, bounds, unique values and references.

Reads the constraints of the class: `NoOverlap`, `CheckConstraint`, unique constraints and foreign keys. Makes no
values.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa
from sqlmodel import UTCDateTime

from rowhouse.entities.no_overlap import rules_of
from rowhouse.query.resource import Resource
from rowhouse.schemas.columns import Column
from rowhouse.testing.bodies.values import Schema

COMPARISON = re.compile(r'"?(\w+)"?\s*(<=|>=|<|>)\s*"?(\w+)"?(?!\s*\()')
NUMBER = re.compile(r'"?(\w+)"?\s*(<=|>=|<|>)\s*\(?(-?\d+(?:\.\d+)?)\b')
BETWEEN = re.compile(r'"?(\w+)"?\s+BETWEEN\s+(-?\d+(?:\.\d+)?)\s+AND\s+(-?\d+(?:\.\d+)?)', re.IGNORECASE)
KEYWORDS = {"<": "exclusiveMaximum", "<=": "maximum", ">": "exclusiveMinimum", ">=": "minimum"}
# Pairs of names: two columns of one type with such names are the beginning and the end of an interval.
ENDS = {
    "starts": ("ends",), "start": ("end",), "begins": ("ends",), "begin": ("end",), "first": ("last",),
    "from": ("until", "to"), "min": ("max",), "lower": ("upper",), "opens": ("closes",), "open": ("close",),
}  # fmt: skip
# The names of two columns of which the first is less.
Pairs = tuple[tuple[str, str], ...]
ORDERED = (sa.Integer, sa.Numeric, sa.Float, sa.DateTime, UTCDateTime, sa.Date, sa.Time)


class Reference(NamedTuple):
    """A foreign key: the columns of the row, the table, and the columns there."""

    local: tuple[str, ...]
    table: sa.Table
    remote: tuple[str, ...]


@dataclass(frozen=True)
class Rules:
    """The rules of one table. A pair names two columns of which the first is less.

    A column in `unique` needs a new value in each row. One in `fixed` needs none, because it is unique together with a
    reference to a row that is new each time; a change cannot renew that reference, so it must not name the column.
    """

    references: tuple[Reference, ...]
    pairs: Pairs
    unique: frozenset[str]
    fixed: frozenset[str]
    bounds: dict[str, Schema]


def rules_for(resource: Resource) -> Rules:
    """Read the rules of an entity's table."""
    table, columns = resource.table, dict(resource.columns)
    references = tuple(_references(table))
    referring = {name for reference in references for name in reference.local}
    ordered = {name for name, column in columns.items() if isinstance(column.column.type, ORDERED)} - referring
    pairs = dict.fromkeys([*_declared_pairs(table), *_named_pairs(columns)])
    kept = [(low, high) for low, high in pairs if low in ordered and high in ordered]
    # The server sets the owner, so it is the same one in many rows.
    renewed = {n for r in references if r.table is not table and resource.owner not in r.local for n in r.local}
    intervals = {rule.start for rule in rules_of(table)}
    sets = [*_unique_sets(table)]
    unique = {name for one in sets if not one & renewed for name in one}
    fixed = {name for one in sets if one & renewed - resource.schemas.update.model_fields.keys() for name in one}
    # A batch of changes names each row by its key.
    fixed -= set(resource.key.names)
    return Rules(references, tuple(kept), frozenset(unique | intervals), frozenset(fixed), _bounds(table))


def _references(table: sa.Table) -> Iterator[Reference]:
    for constraint in table.foreign_key_constraints:
        elements = constraint.elements
        yield Reference(
            tuple(element.parent.name for element in elements),
            constraint.referred_table,
            tuple(element.column.name for element in elements),
        )


def _declared_pairs(table: sa.Table) -> Iterator[tuple[str, str]]:
    for rule in rules_of(table):
        yield rule.start, rule.end
    for sql in _checks(table):
        for left, operator, right in COMPARISON.findall(sql):
            if left in table.columns and right in table.columns:
                yield (left, right) if operator in ("<", "<=") else (right, left)


def _named_pairs(columns: dict[str, Column]) -> Iterator[tuple[str, str]]:
    for name, column in columns.items():
        words = name.split("_")
        for begin, end in ((word, end) for word in words for end in ENDS.get(word, ())):
            other = "_".join(end if word == begin else word for word in words)
            if other in columns and columns[other].base == column.base:
                yield name, other


def _checks(table: sa.Table) -> Iterator[str]:
    for constraint in table.constraints:
        if isinstance(constraint, sa.CheckConstraint):
            yield str(constraint.sqltext)


def _bounds(table: sa.Table) -> dict[str, Schema]:
    found: dict[str, dict[str, float]] = {}
    for sql in _checks(table):
        for name, operator, number in NUMBER.findall(sql):
            found.setdefault(name, {})[KEYWORDS[operator]] = _number(number)
        for name, least, most in BETWEEN.findall(sql):
            found.setdefault(name, {}).update(minimum=_number(least), maximum=_number(most))
    return {name: bounds for name, bounds in found.items() if name in table.columns}


def _number(text: str) -> Any:
    return float(text) if "." in text else int(text)


def _unique_sets(table: sa.Table) -> Iterator[set[str]]:
    """Yield the columns of each unique constraint, unique index and key."""
    found = [list(c.columns) for c in table.constraints if isinstance(c, sa.UniqueConstraint | sa.PrimaryKeyConstraint)]
    found += [list(index.columns) for index in table.indexes if index.unique]
    yield from ({column.name for column in columns} for columns in found)

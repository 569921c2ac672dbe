"""The undocumented parts of SQLAlchemy for compiled statements: an upgrade that changes one fails here."""

import pytest
import sqlalchemy as sa

from rowhouse.db.sqlalchemy_internals import (
    cache_key_of,
    compile_text,
    elements_of,
    stored_name,
    write_standard_literals,
)

DIALECTS = [sa.make_url(f"{name}://").get_dialect()() for name in ("sqlite", "postgresql+psycopg")]
items = sa.table("items", sa.column("id", sa.Integer()), sa.column("name", sa.String()))


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_statement_without_values_is_compiled(dialect: sa.Dialect) -> None:
    """`render_postcompile`, `positiontup`, `bind_names` and `_post_compile_expanded_state`."""
    key = sa.bindparam("key", type_=sa.Integer())
    compiled = compile_text(sa.select(items.c.name).where(items.c.id == key, items.c.name.in_(["a", "b"])), dialect)
    (many,) = compiled.expansions.values()
    assert len(many) == 2
    assert {*compiled.constants} >= {"key", *many}
    assert compiled.names[key] == "key"
    assert "IN (" in compiled.text
    if dialect.name == "sqlite":
        assert list(compiled.order) == ["key", *many]


def test_equal_clauses_share_a_key() -> None:
    """`ClauseElement._generate_cache_key`: the values are apart; a clause with a list has no key."""
    one, two = cache_key_of(items.c.id == 1), cache_key_of(items.c.id == 2)
    assert one is not None
    assert two is not None
    assert one[0] == two[0]
    assert [bind.value for bind in (*one[1], *two[1])] == [1, 2]
    assert cache_key_of(items.c.id.in_([1, 2])) is None


def test_every_element_is_found() -> None:
    """`visitors.iterate`."""
    found = elements_of(sa.select(items.c.name).where(items.c.id == sa.bindparam("key")))
    assert "key" in [element.key for element in found if isinstance(element, sa.BindParameter)]


def test_literals_are_standard() -> None:
    """`_backslash_escapes`: a backslash in ESCAPE is not doubled."""
    dialect = sa.make_url("postgresql+psycopg://").get_dialect()()
    write_standard_literals(dialect)
    assert "ESCAPE '\\'" in str(items.c.name.like("x", escape="\\").compile(dialect=dialect))


def test_a_long_name_is_shortened_as_in_the_database() -> None:
    """`truncate_and_render_constraint_name`: at most 63 bytes."""
    assert len(stored_name(sa.schema.conv("uq_" + "x" * 100))) <= 63

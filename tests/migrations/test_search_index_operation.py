"""`op.create_search_index`: autogenerate finds a missing index, writes it in one line, and the line works.

On both databases.
"""

from typing import Any

import pytest
import sqlalchemy as sa
from alembic.autogenerate import produce_migrations, render_python_code
from alembic.operations import Operations
from alembic.operations.ops import DowngradeOps, MigrationScript, UpgradeOps
from alembic.runtime.migration import MigrationContext

from rowhouse.db.sql_functions import create_gram_functions, fold_with
from rowhouse.entities.search_index import SearchIndex, search_index_of
from rowhouse.migrations.operations.search_index import CreateSearchIndex, DropSearchIndex, is_ordinary

LINE = "op.create_search_index('ix_plays_search', 'plays', 'title', 'order')"
INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE indexname LIKE 'ix_%' ORDER BY indexname"


def declared(*columns: str) -> sa.MetaData:
    """Return a table of plays, searched by title and by a column whose name must be quoted."""
    metadata = sa.MetaData()
    fold_with(metadata)
    texts = [sa.Column("title", sa.Text()), sa.Column("order", sa.String(20)), sa.Column("place", sa.String(20))]
    index = [SearchIndex(*columns)] if columns else []
    sa.Table(
        "plays",
        metadata,
        sa.Column("id", sa.Integer(), primary_key=True),
        *texts,
        sa.Index("ix_place", "place"),
        *index,
    )
    return metadata


def missing(connection: sa.Connection, metadata: sa.MetaData) -> UpgradeOps:
    """Return the operations that autogenerate finds."""

    def include_object(element: Any, _name: Any, kind: str, _reflected: Any, _other: Any) -> bool:
        return is_ordinary(element, kind)

    options = {"include_object": include_object}
    script: MigrationScript = produce_migrations(MigrationContext.configure(connection, opts=options), metadata)
    found = script.upgrade_ops
    assert found is not None
    return found


def lines(operations: UpgradeOps | DowngradeOps) -> list[str]:
    """Return the lines of a migration."""
    return [line.strip() for line in render_python_code(operations).splitlines() if line.strip().startswith("op.")]


def indexes(connection: sa.Connection) -> dict[str, str]:
    """Return the search indexes by name, each with its definition."""
    if connection.dialect.name == "sqlite":
        return {}
    found = connection.execute(sa.text(INDEXES))
    return {name: definition for name, definition in found if "rowhouse_grams" in definition}


def test_a_new_table_brings_its_index(empty: sa.Connection) -> None:
    """On SQLite too, because the migration may run elsewhere. `create_all` creates it as well."""
    metadata = declared("title", "order")
    found = missing(empty, metadata)
    assert lines(found)[-1] == LINE
    assert lines(found.reverse())[0] == "op.drop_search_index('ix_plays_search', 'plays', 'title', 'order')"
    metadata.create_all(empty)
    assert missing(empty, metadata).is_empty()
    assert bool(indexes(empty)) == (empty.dialect.name == "postgresql")


def test_the_line_makes_the_index_and_its_undoing_drops_it(empty: sa.Connection) -> None:
    """A table without its index is found."""
    declared().create_all(empty)
    create_gram_functions(empty)
    metadata = declared("title", "order")
    assert lines(missing(empty, metadata)) == [LINE]
    operations: Any = Operations(MigrationContext.configure(empty))
    operations.create_search_index("ix_plays_search", "plays", "title", "order")
    assert missing(empty, metadata).is_empty()
    if empty.dialect.name == "postgresql":
        definition = indexes(empty)["ix_plays_search"].replace("'", "")
        assert "fastupdate=on" in definition
        assert "gin_pending_list_limit=128" in definition
    operations.drop_search_index("ix_plays_search", "plays", "title", "order")
    assert indexes(empty) == {}
    assert lines(missing(empty, declared())) == []


def test_what_a_renamed_column_has_left_goes_with_the_index(empty: sa.Connection) -> None:
    """PostgreSQL keeps statistics under the former name. Other statistics stay."""
    declared("title", "order").create_all(empty)
    empty.exec_driver_sql("ALTER TABLE plays RENAME COLUMN title TO heading")
    is_postgresql = empty.dialect.name == "postgresql"
    if is_postgresql:
        empty.exec_driver_sql("CREATE STATISTICS theirs ON (lower(place)) FROM plays")
    operations: Any = Operations(MigrationContext.configure(empty))
    operations.drop_search_index("ix_plays_search", "plays", "heading", "order")
    assert indexes(empty) == {}
    if is_postgresql:
        assert empty.exec_driver_sql("SELECT stxname FROM pg_statistic_ext").scalars().all() == ["theirs"]


@pytest.mark.parametrize("columns", [("title",), ("order", "title"), ()])
def test_other_columns_are_another_index(empty: sa.Connection, columns: tuple[str, ...]) -> None:
    """Also in another order. An undeclared index is dropped."""
    declared("title", "order").create_all(empty)
    kinds = [type(operation) for operation in missing(empty, declared(*columns)).ops]
    wanted = [DropSearchIndex, CreateSearchIndex][: 2 if columns else 1]
    assert kinds == wanted


def test_each_undoes_the_other() -> None:
    """As a downgrade needs it."""
    rule = search_index_of(declared("title").tables["plays"])
    assert rule is not None
    assert tuple(rule) == ("ix_plays_search", "plays", ("title",))
    assert isinstance(DropSearchIndex(rule).reverse(), CreateSearchIndex)


@pytest.mark.parametrize("columns", [("titel",), ("id",), ()])
def test_only_text_columns_are_searched(columns: tuple[str, ...]) -> None:
    """The error comes when the class is made, and names the text columns."""
    with pytest.raises(ValueError, match="which are title, order, place"):
        sa.Table(
            "plays", sa.MetaData(), sa.Column("id", sa.Integer(), primary_key=True),
            *(sa.Column(name, sa.String(20)) for name in ("title", "order", "place")), SearchIndex(*columns),
        )  # fmt: skip


def test_it_belongs_to_a_table() -> None:
    """Not to a column."""
    with pytest.raises(TypeError, match="__table_args__"):
        sa.Column("title", sa.String(20), SearchIndex("title"))

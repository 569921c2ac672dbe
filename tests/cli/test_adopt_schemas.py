"""`rowhouse adopt` where Rowhouse's tables have a schema of their own, which the URL names."""

from pathlib import Path

import pytest
import sqlalchemy as sa

from rowhouse.core.settings import Settings
from rowhouse.db.engine import create_engine, disposing
from tests.cli.conftest import Run
from tests.databases import Databases

LINE = 'registry.register({}, write=ADMIN, operations=("list", "get"))\n'


def make_tables(connection: sa.Connection) -> None:
    """Make a schema for Rowhouse, and the tables of another program."""
    connection.exec_driver_sql("CREATE SCHEMA rowhouse")
    connection.exec_driver_sql("CREATE TABLE users (id int PRIMARY KEY, name text)")
    connection.exec_driver_sql("CREATE TABLE plain (id int PRIMARY KEY, user_id int REFERENCES users)")
    connection.exec_driver_sql("CREATE TABLE history_entries (id int PRIMARY KEY)")


@pytest.mark.parametrize("backend", ["postgresql"], indirect=True)
def test_a_schema_for_the_tables_of_rowhouse(run: Run, project: Path, databases: Databases, backend: str) -> None:
    """A new table refers to one that was adopted before; a table of accounts is refused with what to do."""
    plain = databases.prepared(backend, "adopted_schemas", make_tables)
    url = f"{plain}{'&' if '?' in plain else '?'}options=-csearch_path%3Drowhouse"
    api, models = project / "backend/app/api.py", project / "backend/app/models.py"
    (api.parent / "__init__.py").write_text('"""The shop."""\n', "utf-8")
    done = run("adopt", url)
    assert done.exit_code == 0, done.output
    assert "    public.plain            /api/v1/plains\n" in done.output
    refused = (
        "    public.users: Rowhouse has a table of this name for its accounts, and its history knows no schemas; to "
    )
    assert done.output.partition("Left out:\n")[2].splitlines()[0].startswith(refused)
    with disposing(create_engine(Settings(database_url=plain))) as engine, engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE later (id int PRIMARY KEY, plain_id int REFERENCES plain)")
    done = run("adopt", url, "--schema", "public")
    assert done.exit_code == 0, done.output
    assert "Adopted 1 table, read-only" in done.output
    assert [line.partition(":")[0] for line in done.output.partition("Left out:\n")[2].splitlines()] == [
        "    public.users"
    ]
    assert (
        'sa.ForeignKeyConstraint(["plain_id"], ["public.plain.id"]' in models.read_text("utf-8").partition("Later")[2]
    )
    text = api.read_text("utf-8")
    api.write_text(text.replace("include_accounts(registry)\n", "").replace(", include_accounts", ""), "utf-8")
    done = run("adopt", url)
    assert done.exit_code == 0, done.output
    assert "    public.users  /api/v1/user-rows\n" in done.output
    assert LINE.format("UserRow") in api.read_text("utf-8")
    assert "There is no table to adopt" in run("adopt", url).output

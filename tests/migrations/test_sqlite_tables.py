"""The parser of `CREATE TABLE` reads every form that SQLite accepts."""

import pytest

from rowhouse.migrations.sqlite.tables import mentions, read


def test_quoted_names_and_comments_are_read() -> None:
    """In every quoting of SQLite. A comment belongs to no column."""
    table = read(
        'CREATE TABLE "t (x" ("a""b" TEXT, -- , no column\n `c``d` /* , */ INT, [e f] BLOB, \'g\'\'h\' REAL, plain) STRICT'
    )
    assert {column.name: column.type for column in table.columns.values()} == {
        'a"b': "TEXT", "c`d": "INT", "e f": "BLOB", "g'h": "REAL", "plain": "",
    }  # fmt: skip
    assert table.options == "STRICT"
    assert [column.text for column in table.columns.values()][2:] == ["[e f] BLOB", "'g''h' REAL", "plain"]


@pytest.mark.parametrize(
    ("column", "kinds"),
    [
        ("x INTEGER PRIMARY KEY ASC ON CONFLICT FAIL AUTOINCREMENT", ["PRIMARY"]),
        ("x UNSIGNED BIG INT NOT NULL DEFAULT NULL", ["NULL", "DEFAULT"]),
        ("x NULL UNIQUE COLLATE NOCASE", ["NULL", "UNIQUE", "COLLATE"]),
        ("x INT DEFAULT (CASE WHEN 1 NOT NULL THEN 2 END) CHECK (x NOT NULL)", ["DEFAULT", "CHECK"]),
        ("x REFERENCES t (y) ON DELETE SET NULL ON UPDATE SET DEFAULT NOT DEFERRABLE NOT NULL", ["REFERENCES", "NULL"]),
        ('x INT CONSTRAINT "not" NOT NULL CONSTRAINT c UNIQUE', ["NULL", "UNIQUE"]),
        ("x INT GENERATED ALWAYS AS (y + 1) VIRTUAL NOT NULL", ["GENERATED", "NULL"]),
        ("x INT AS (y + 1) STORED", ["GENERATED"]),
    ],
)
def test_clauses_after_the_type_are_separated(column: str, kinds: list[str]) -> None:
    (found,) = read(f"CREATE TABLE t ({column})").columns.values()
    assert [clause.kind for clause in found.clauses] == kinds
    assert found.text == column


def test_names_of_constraints_are_read() -> None:
    table = read("CREATE TABLE t (x INT CONSTRAINT one CHECK (x > 1), CONSTRAINT `two` UNIQUE (x), check (x < 9))")
    assert [clause.name for clause in table.columns["x"].clauses] == ["one"]
    assert [(clause.kind, clause.name) for clause in table.constraints] == [("UNIQUE", "two"), ("CHECK", None)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("CHECK (size > 0)", True),
        ('CHECK ("SIZE" > 0)', True),
        ("CHECK (kind <> 'size')", False),
        ("CHECK (size(name) > 0)", False),
        ("CHECK (resize > 0)", False),
    ],
)
def test_a_column_that_is_mentioned_is_found(text: str, *, expected: bool) -> None:
    """By its name, not in a literal, a function or a part of a word."""
    assert mentions(text, {"size"}) is expected

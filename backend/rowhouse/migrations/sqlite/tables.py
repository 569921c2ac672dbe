"""Parses a `CREATE TABLE` of SQLite and applies a change to it. The rest of its text stays the same.

SQLAlchemy's reflection does not see everything (a collation, AUTOINCREMENT, ON CONFLICT, what a column's own REFERENCES
says). So a rebuilt table is made from the stored statement, plus what differs between Alembic's two readings of it:
before and after the change. Must not know a connection.
"""

import itertools
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import NamedTuple

# Comments and spaces; then quoted texts and names, words, and every other character.
TOKEN = re.compile(
    r"(?P<gap>\s+|--[^\n]*|/\*.*?\*/)|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`(?:[^`]|``)*`|\[[^\]]*\]|[\w$]+|.", re.DOTALL
)
QUOTES = {'"': '"', "`": "`", "[": "]", "'": "'"}
OF_A_TABLE = ("CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN")
OF_A_COLUMN = (
    "CONSTRAINT", "PRIMARY", "NOT", "NULL", "UNIQUE", "CHECK", "DEFAULT", "COLLATE", "REFERENCES", "GENERATED", "AS",
)  # fmt: skip
# Words that begin a clause, except after these words: there they continue the clause.
CONTINUES = {"NULL": ("NOT", "DEFAULT", "SET"), "DEFAULT": ("SET",), "AS": ("ALWAYS",)}
KINDS = {"NOT": "NULL", "AS": "GENERATED"}


class Token(NamedTuple):
    """A word, a quoted text or name, or a character."""

    text: str
    start: int
    end: int

    @property
    def word(self) -> str:
        """The word in capitals, as SQL compares it. A quoted name keeps its quotes, so it equals no keyword."""
        return self.text.upper()


class Clause(NamedTuple):
    """A constraint of a table or of a column. NOT NULL and NULL are of the kind NULL."""

    kind: str
    name: str | None
    text: str

    @property
    def key(self) -> str:
        """The identity of the clause within its table."""
        return self.name or " ".join(token.word for token in tokens_of(self.text))

    def renamed(self, names: Mapping[str, str]) -> "Clause":
        """Return the clause under the name that `names` has for it, or unchanged."""
        if self.name is None or self.name not in names:
            return self
        written, token = names[self.name], tokens_of(self.text)[1]
        text = f"{self.text[: token.start]}{written}{self.text[token.end :]}"
        return Clause(self.kind, unquoted(written), text)


@dataclass(frozen=True)
class Column:
    """A column of a `CREATE TABLE`."""

    name: str
    written_name: str
    type: str
    clauses: tuple[Clause, ...]

    def of_kind(self, kind: str) -> list[str]:
        """Return the clauses of a kind."""
        return [clause.text for clause in self.clauses if clause.kind == kind]

    @property
    def text(self) -> str:
        """The SQL of the column in `CREATE TABLE`."""
        return " ".join(filter(None, (self.written_name, self.type, *(clause.text for clause in self.clauses))))


@dataclass(frozen=True)
class TableText:
    """A parsed `CREATE TABLE`."""

    columns: Mapping[str, Column]
    constraints: tuple[Clause, ...]
    options: str

    def has_constraint(self, name: str) -> bool:
        """Return True if a constraint of the table or of a column has the name."""
        clauses = itertools.chain(self.constraints, *(column.clauses for column in self.columns.values()))
        return any(clause.name == name for clause in clauses)

    def with_renamed(self, names: Mapping[str, str]) -> "TableText":
        """Return the table with other names of constraints; the values are SQL, with quotes where needed."""
        columns = {
            key: replace(column, clauses=tuple(clause.renamed(names) for clause in column.clauses))
            for key, column in self.columns.items()
        }
        return replace(self, columns=columns, constraints=tuple(clause.renamed(names) for clause in self.constraints))

    def create(self, name: str) -> str:
        """Return the statement, for a table of this quoted name."""
        parts = [column.text for column in self.columns.values()] + [clause.text for clause in self.constraints]
        body = ",\n\t".join(parts)
        return f"CREATE TABLE {name} (\n\t{body}\n) {self.options}".rstrip()


def tokens_of(text: str) -> list[Token]:
    """Return the tokens of an SQL text, without spaces and comments."""
    found = TOKEN.finditer(text)
    return [Token(match[0], match.start(), match.end()) for match in found if match["gap"] is None]


def unquoted(text: str) -> str:
    """Return a name without its quotes."""
    closing = QUOTES.get(text[0])
    if closing is None:
        return text
    return text[1:-1].replace(closing * 2, closing)


def unqualified(statement: str, table: str) -> str:
    """Return a statement without the table's name before its columns, for a table of another name."""
    tokens = tokens_of(statement)
    for first, dot in reversed(list(itertools.pairwise(tokens))):
        if dot.text == "." and unquoted(first.text).upper() == table.upper():
            statement = statement[: first.start] + statement[dot.end :]
    return statement


def mentions(text: str, names: Collection[str]) -> bool:
    """Return True if an SQL text mentions a column of these names. Literals and functions do not count."""
    tokens = tokens_of(text)
    sought = {name.upper() for name in names}
    following = [*(token.text for token in tokens[1:]), ""]
    return any(
        unquoted(token.text).upper() in sought and token.text[0] != "'" and after != "("
        for token, after in zip(tokens, following, strict=True)
    )


def read(statement: str) -> TableText:
    """Parse a `CREATE TABLE` statement."""
    tokens = tokens_of(statement)
    opening = next(at for at, token in enumerate(tokens) if token.text == "(")
    closing = _closing(tokens, opening)
    columns: dict[str, Column] = {}
    constraints: list[Clause] = []
    for item in _split(tokens[opening + 1 : closing]):
        if item[0].word in OF_A_TABLE:
            constraints.append(_clause(statement, item))
        else:
            column = _column(statement, item)
            columns[column.name] = column
    return TableText(columns, tuple(constraints), statement[tokens[closing].end :].strip())


def read_index(statement: str) -> tuple[list[str], str]:
    """Return the expressions of a `CREATE INDEX`, and its condition; empty without one."""
    tokens = tokens_of(statement)
    opening = next(at for at, token in enumerate(tokens) if token.text == "(")
    closing = _closing(tokens, opening)
    parts = [statement[item[0].start : item[-1].end] for item in _split(tokens[opening + 1 : closing])]
    condition = tokens[closing + 2 :]  # behind WHERE
    return parts, statement[condition[0].start : condition[-1].end] if condition else ""


def carry_over(stored: TableText, before: TableText, after: TableText) -> TableText:
    """Return the stored table with the differences between `before` and `after`.

    A constraint that mentions a column that is gone goes with it, as on PostgreSQL.
    """
    gone = set(before.columns) - set(after.columns)
    # Alembic reads a CHECK without a name and leaves it out of the new table; here it stays, unless it is restated.
    read_before = {clause.key: clause for clause in before.constraints if not _is_unnamed_check(clause)}
    read_after = {clause.key: clause for clause in after.constraints}
    added = [clause for key, clause in read_after.items() if read_before.get(key) != clause]
    removed = {key: clause.kind for key, clause in read_before.items() if read_after.get(key) != clause}
    restates_checks = any(map(_is_unnamed_check, added))
    # Alembic may give a constraint without a name one (`naming_convention`), by which the batch drops it.
    named = {
        clause.name for clause in (*stored.constraints, *(c for one in stored.columns.values() for c in one.clauses))
    }
    nameless = {_signature(read_before[key]) for key in removed if read_before[key].name not in named}

    def stays(clause: Clause, column: str | None = None) -> bool:
        if clause.name is None and _signature(clause, column) in nameless:
            return False
        loses_key = clause.kind == "PRIMARY" and "PRIMARY" in removed.values()
        if clause.kind in OF_A_TABLE and mentions(_own(clause), gone):
            return False
        return not (clause.key in removed or loses_key or (restates_checks and _is_unnamed_check(clause)))

    columns = {
        name: _merged(stored.columns[name], before.columns[name], after.columns[name], stays)
        if name in before.columns
        else after.columns[name]
        for name in after.columns
    }
    kept = [clause for clause in stored.constraints if stays(clause)]
    return TableText(columns, (*kept, *added), stored.options if before.options == after.options else after.options)


def _merged(stored: Column, before: Column, after: Column, stays: Callable[[Clause, str], bool]) -> Column:
    """Return a column with the differences between two readings of it."""
    kinds = {clause.kind for clause in (*before.clauses, *after.clauses)}
    changed = {kind for kind in kinds if before.of_kind(kind) != after.of_kind(kind)}
    kept = [clause for clause in stored.clauses if clause.kind not in changed and stays(clause, stored.name)]
    added = [clause for clause in after.clauses if clause.kind in changed]
    kind = stored.type if before.type == after.type else after.type
    return Column(stored.name, stored.written_name, kind, (*kept, *added))


def _is_unnamed_check(clause: Clause) -> bool:
    return clause.kind == "CHECK" and clause.name is None


def _own(clause: Clause) -> str:
    """Return the part of a constraint that names columns of its own table, without its name and its target."""
    tokens = tokens_of(clause.text)
    end = next((token.start for token in tokens if token.word == "REFERENCES"), None)
    return clause.text[tokens[2 if clause.name else 0].start : end]


def _signature(clause: Clause, column: str | None = None) -> tuple[str, tuple[str, ...]]:
    """Return the kind and the columns of a constraint of a table or of a column."""
    kind = "FOREIGN" if clause.kind == "REFERENCES" else clause.kind
    if column is not None:
        return kind, (column.upper(),)
    words = [token.word for token in tokens_of(_own(clause))]
    return kind, tuple(unquoted(word) for word in words[words.index("(") :] if word not in "(),")


def _closing(tokens: list[Token], opening: int) -> int:
    """Return the position of the parenthesis that closes the one at this position."""
    depths = itertools.accumulate({"(": 1, ")": -1}.get(token.text, 0) for token in tokens[opening:])
    return opening + next(at for at, depth in enumerate(depths) if depth == 0)


def _split(tokens: list[Token]) -> Iterator[list[Token]]:
    """Split the tokens at the commas outside parentheses."""
    depth, item = 0, list[Token]()
    for token in tokens:
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == "," and depth == 0:
            yield item
            item = []
        else:
            item.append(token)
    yield item


def _column(statement: str, tokens: list[Token]) -> Column:
    starts = [*_starts(tokens), len(tokens)]
    clauses = [_clause(statement, tokens[start:end]) for start, end in itertools.pairwise(starts)]
    kind = statement[tokens[1].start : tokens[starts[0] - 1].end] if starts[0] > 1 else ""
    return Column(unquoted(tokens[0].text), tokens[0].text, kind, tuple(clauses))


def _starts(tokens: list[Token]) -> Iterator[int]:
    """Return the positions at which the clauses of a column begin."""
    depth, named_at = 0, -len(tokens) - 2
    for at, token in enumerate(tokens):
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if at == 0 or depth or token.word not in OF_A_COLUMN or at in (named_at + 1, named_at + 2):
            continue
        if tokens[at - 1].word in CONTINUES.get(token.word, ()):
            continue
        if token.word == "NOT" and tokens[at + 1].word != "NULL":  # NOT DEFERRABLE
            continue
        named_at = at if token.word == "CONSTRAINT" else named_at
        yield at


def _clause(statement: str, tokens: list[Token]) -> Clause:
    is_named = tokens[0].word == "CONSTRAINT"
    word = tokens[2 if is_named else 0].word
    name = unquoted(tokens[1].text) if is_named else None
    return Clause(KINDS.get(word, word), name, statement[tokens[0].start : tokens[-1].end])

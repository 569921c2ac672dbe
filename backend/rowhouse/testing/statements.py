"""Lists the SQL statements that a block sends to any database, for tests that count them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from rowhouse.db.compiled import CompiledStatement

Statements = list[str]


@contextmanager
def count_statements() -> Iterator[Statements]:
    """Yield the text of every statement of the block, in order, without BEGIN and COMMIT.

    Example:
        with count_statements() as statements:
            client.get("/api/v1/books")
        assert len(statements) == 1
    """
    seen: Statements = []
    run = CompiledStatement.execute

    def counted(self: CompiledStatement, *arguments: Any) -> Any:
        seen.append(self.text)
        return run(self, *arguments)

    def listen(_connection: Any, _cursor: Any, statement: str, *_others: Any) -> None:
        seen.append(statement)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CompiledStatement, "execute", counted)
        event.listen(sa.Engine, "before_cursor_execute", listen)
        try:
            yield seen
        finally:
            event.remove(sa.Engine, "before_cursor_execute", listen)

"""What is sent to the database, for tests that count it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import event

from rowhouse.db.compiled import CompiledStatement


@contextmanager
def statements_sent() -> Iterator[list[str]]:
    """The beginnings of the compiled statements that are run within."""
    seen: list[str] = []
    run = CompiledStatement.execute

    def counted(self: CompiledStatement, *arguments: Any) -> Any:
        seen.append(self.text[:20])
        return run(self, *arguments)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(CompiledStatement, "execute", counted)
        yield seen


@contextmanager
def all_statements_sent() -> Iterator[list[str]]:
    """Yield the whole text of every statement, those of sessions too; without BEGIN and COMMIT."""
    seen: list[str] = []
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

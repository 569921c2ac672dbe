"""Records the statements that are sent to the database, for tests that count them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from rowhouse.db.compiled import CompiledStatement
from rowhouse.testing.statements import count_statements as all_statements_sent

__all__ = ["all_statements_sent", "statements_sent"]


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

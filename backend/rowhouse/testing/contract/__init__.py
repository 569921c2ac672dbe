"""The contract suite: every registered entity of a project keeps the promises of docs/contract.md, on both databases.

A project subclasses `Contract` in a test file, and has nothing else to write.
"""

from collections.abc import Mapping
from typing import ClassVar

from rowhouse.testing.contract.access import AccessPromises
from rowhouse.testing.contract.aggregates import AggregatePromises
from rowhouse.testing.contract.history import HistoryPromises
from rowhouse.testing.contract.lists import ListPromises
from rowhouse.testing.contract.many_rows import ManyRowPromises
from rowhouse.testing.contract.steps import StepPromises
from rowhouse.testing.contract.verbs import VerbPromises

__all__ = ["Contract"]


class Contract(
    VerbPromises, ListPromises, AggregatePromises, ManyRowPromises, AccessPromises, HistoryPromises, StepPromises
):
    """The tests of the contract, each for every entity that it concerns.

    Example:
        from rowhouse.testing.contract import Contract

        class TestContract(Contract):
            \"\"\"Every entity keeps the promises of the contract.\"\"\"

    Bodies are derived from the classes. What cannot be guessed is stated in the fixture `contract_values`; a failure
    names it. A subclass replaces a promise by a test of the same name.
    """

    # Entities that keep other promises, by class name, each with the reason.
    leave_out: ClassVar[Mapping[str, str]] = {}
    # "module:factory" of another application than that of [tool.rowhouse].
    app: ClassVar[str | None] = None

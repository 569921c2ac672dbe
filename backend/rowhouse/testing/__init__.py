"""For the tests of a project: a pytest plugin with databases, clients, factories, and a contract suite.

    from rowhouse.testing.contract import Contract

    class TestContract(Contract):
        \"\"\"Every entity keeps the promises of the contract.\"\"\"

pytest finds the fixtures by itself (`pytest_rowhouse`). This package holds what they return, and the types for
annotations. Nothing in the engine imports it.
"""

from rowhouse.testing.accounts import PASSWORD, Headers
from rowhouse.testing.bodies.maker import ContractValues
from rowhouse.testing.clock import FrozenClock
from rowhouse.testing.factory import BodyOf, Make, RefusedBodyError
from rowhouse.testing.statements import Statements

__all__ = ["PASSWORD", "BodyOf", "ContractValues", "FrozenClock", "Headers", "Make", "RefusedBodyError", "Statements"]

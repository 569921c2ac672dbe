"""The contract suite over the clinic, as a project has it."""

from rowhouse.testing.contract import Contract
from tests.testing.conftest import CLINIC


class TestContract(Contract):
    """Every entity of the clinic keeps the promises of the contract."""

    app = CLINIC

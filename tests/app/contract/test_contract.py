"""The contract suite over the entities of the product, as a project has it. The rules of single columns are tests/contract's."""

from rowhouse.testing.contract import Contract


class TestContract(Contract):
    """Every entity of the product keeps the promises of the contract."""

"""The contract suite over keys of every kind, and classes without timestamps, on both databases."""

from rowhouse.testing.contract import Contract
from tests.sample_entities.keys import APP


class TestContract(Contract):
    """Every entity keeps the promises of the contract, whatever its key."""

    app = APP

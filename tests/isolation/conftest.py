"""The entities of the contract suite, which the probes run over."""

from tests.contract.conftest import house, odd_world, product_world

__all__ = ["house", "odd_world", "product_world"]  # fixtures

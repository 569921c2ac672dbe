"""What a list should select and how it should sort: the model of `rowhouse.testing`, for this repository's own suite."""

from rowhouse.testing.contract.list_model import (
    EQUALITY,
    LISTS,
    MATCHES,
    ORDER,
    TEXT_KINDS,
    operators,
    selects,
    sorted_ids,
    written,
)

__all__ = ["EQUALITY", "LISTS", "MATCHES", "ORDER", "TEXT_KINDS", "operators", "selects", "sorted_ids", "written"]

"""A state machine that calls the API at random and compares every response with a model in plain Python."""

import pytest

# So that a failing comparison in a rule shows both sides, as one in a test does.
pytest.register_assert_rewrite(
    *(
        f"tests.stateful.{name}"
        for name in ("machine", "row_rules", "batch_rules", "list_rules", "history_rules", "projection_rules")
    )
)

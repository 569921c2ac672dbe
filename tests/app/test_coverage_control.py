"""The directories of tests/app that `tests.coverage_control` names exist."""

import pytest

from tests.coverage_control import INSIDE_OF_THE_PRODUCT, TESTS, UNFOLLOWED_OF_THE_PRODUCT


@pytest.mark.parametrize("directory", sorted(INSIDE_OF_THE_PRODUCT | UNFOLLOWED_OF_THE_PRODUCT))
def test_each_named_directory_has_tests(directory: str) -> None:
    """A renamed directory would be followed differently, and nobody would notice."""
    assert list((TESTS / "app" / directory).glob("test_*.py"))

"""Texts for patterns."""

import re

import pytest

from perf.load.patterns import matching


@pytest.mark.parametrize(
    "pattern",
    [
        r"^[A-Z]{2}-\d+$",
        r"^(red|green)_[^\s_]{3,5}$",
        r"^\w+@[a-z]+\.(com|org)$",
        r"^[^\x00]*$",
        r"^(?:[0-9a-f]{2}:){5}[0-9a-f]{2}$",
        r"^x?[\dA-F]{4}.$",
        r"^[äöü]+$",
    ],
)
def test_a_text_matches_its_pattern(pattern: str) -> None:
    """Each time."""
    for _ in range(50):
        text = matching(pattern)
        assert text is not None
        assert re.search(pattern, text)


def test_a_text_fits() -> None:
    """Repetition is shortened until it does."""
    text = matching(r"^[a-z]+$", fits=lambda candidate: len(candidate) <= 3)
    assert text is not None
    assert 1 <= len(text) <= 3


def test_texts_differ() -> None:
    """Where the pattern has room."""
    assert len({matching(r"^[A-Z]{2}-\d+$") for _ in range(200)}) == 200


@pytest.mark.parametrize("pattern", [r"(?!)", r"^(?=b)a$"])
def test_a_pattern_that_is_beyond_it_gives_none(pattern: str) -> None:
    """And no text that does not match."""
    assert matching(pattern) is None

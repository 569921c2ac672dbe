"""The application has one clock."""

from datetime import UTC, datetime, timedelta

import pytest

from rowhouse.core.clock import now, set_clock

NOON = datetime(2030, 1, 31, 12, tzinfo=UTC)


def test_now_is_aware_and_in_utc() -> None:
    """It advances."""
    first, second = now(), now()
    assert first.utcoffset() == timedelta(0)
    assert first <= second


def test_a_clock_holds_within_its_block() -> None:
    """The former clock returns, also after an error."""
    with set_clock(lambda: NOON):
        assert now() == NOON
        with set_clock(lambda: NOON + timedelta(hours=1)):
            assert now() == NOON + timedelta(hours=1)
        assert now() == NOON
        with pytest.raises(RuntimeError), set_clock(lambda: NOON - timedelta(hours=1)):
            raise RuntimeError
        assert now() == NOON
    assert now() != NOON

"""Decide whether a measure has changed between two revisions, from one ratio for each round.

The interval of a median follows from the sign test: it needs no assumption about how the ratios are distributed, and
one disturbed round does not move it. Nothing here measures anything.
"""

import math
import statistics
from collections.abc import Sequence
from enum import StrEnum
from typing import NamedTuple

# How sure an interval is to hold the true median, and the rounds without which none is.
CONFIDENCE, LEAST_ROUNDS = 0.95, 6
# A change by less is not called one, and within the wider bound it is called none.
CHANGE, NO_CHANGE = 0.02, 0.05


class Verdict(StrEnum):
    """What an interval says."""

    SLOWER = "slower"
    FASTER = "faster"
    SAME = "same"
    UNCLEAR = "unclear"


class Interval(NamedTuple):
    """A median, and the bounds between which the true one lies."""

    low: float
    median: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """What the interval says about a ratio of costs, now to before."""
        if self.low > 1 + CHANGE:
            return Verdict.SLOWER
        if self.high < 1 - CHANGE:
            return Verdict.FASTER
        is_narrow = self.low >= 1 - NO_CHANGE and self.high <= 1 + NO_CHANGE
        return Verdict.SAME if is_narrow else Verdict.UNCLEAR


def interval_of(ratios: Sequence[float]) -> Interval:
    """Return the median of the rounds' ratios and its interval.

    Raises:
        ValueError: there are fewer rounds than `LEAST_ROUNDS`.
    """
    if len(ratios) < LEAST_ROUNDS:
        raise ValueError(f"{len(ratios)} rounds say nothing; measure at least {LEAST_ROUNDS}")
    ordered = sorted(ratios)
    outside = _left_out(len(ordered))
    return Interval(ordered[outside], statistics.median(ordered), ordered[-1 - outside])


def _left_out(rounds: int) -> int:
    """Return how many of the smallest, and of the greatest ratios, lie outside the interval."""
    least = (1 - CONFIDENCE) / 2 * 2**rounds
    ways, count = 0, -1
    while ways + math.comb(rounds, count + 1) <= least:
        count += 1
        ways += math.comb(rounds, count)
    return count

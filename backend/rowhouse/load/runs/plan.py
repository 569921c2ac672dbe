"""Computes how long a load must take for meaningful percentiles."""

from rowhouse.load.operations import Api

# With fewer requests, the 95th percentile of an operation is its slowest response.
HITS = 20
# A share for responses, sign-ups and rows that must exist first, beside the pause between two tasks.
MARGIN = 1.1


def seconds_needed(api: Api, *, users: int, think: float) -> float:
    """Return the seconds in which this number of users calls the rarest operation `HITS` times.

    Users shuffle the operations by their weights, so in one round of the shuffle every operation is called.
    """
    tasks = sum(operation.weight for operation in api.operations) * HITS
    return tasks * think * MARGIN / users

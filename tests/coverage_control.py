"""Switches coverage off for tests that add nothing to it, because tracing nearly doubles their time.

The traced tests cover everything that the gates require; the others run at full speed. Coverage traces threads, so each
thread asks here before it works for a test: the threads of the tests, of the application's event loop
(`tests/fast_client.py`) and of its requests.
"""

import re
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any

import rowhouse
from rowhouse.workers.pool import Job
from tests import sample_entities

TESTS = Path(__file__).resolve().parent
# Here tests call some of what is to be covered themselves; elsewhere they speak HTTP, and only what answers is worth
# following.
INSIDE = {
    "admin",
    "auth",
    "cli",
    "core",
    "crud",
    "hand_written",
    "load",
    "migrations",
    "pages",
    "security",
    "testing",
    "transfer",
}
INSIDE_OF_THE_PRODUCT = {"demo"}  # below tests/app
# These find what nobody thought of, by chance or by number; what was thought of is covered without them.
UNFOLLOWED = {"clients", "concurrency", "perf", "stateful"}
UNFOLLOWED_OF_THE_PRODUCT = {"fuzz"}  # below tests/app
# Locust replaces parts of Python where it is imported; `__main__` runs the command.
CHANGES_PYTHON = re.compile(r"rowhouse\.(__main__|load\.(locust_user|runs\.generator))$")
# A test that runs on both databases is followed on SQLite. These cover what PostgreSQL does in its own way.
FOLLOWED_ON_BOTH = {
    "test_adopted_classes.py",
    "test_aggregates.py",
    "test_autogenerate_options.py",
    "test_chain.py",
    "test_dry_run.py",
    "test_enum_uses.py",
    "test_estimate.py",
    "test_fidelity.py",
    "test_first_administrator.py",
    "test_fixtures.py",
    "test_integrity.py",
    "test_long_references.py",
    "test_native_enum_operation.py",
    "test_no_overlap_operation.py",
    "test_plans.py",
    "test_postgresql.py",
    "test_readiness.py",
    "test_related_plans.py",
    "test_relationships.py",
    "test_rules_of_the_database.py",
    "test_schemas.py",
    "test_server_defaults.py",
    "test_sort_by_parent.py",
    "test_unit_of_work.py",
    "test_words_of_one_database.py",
}
# These call every operation there is, walk along random changes, run commands, or repeat what others cover.
UNFOLLOWED_FILES = {
    "app/contract/test_contract.py",
    "app/hand_written/test_every_operation.py",
    "app/isolation/test_ownership.py",
    "app/test_commands.py",
    "app/test_guide.py",
    "auth/test_login.py",
    "auth/test_sign_up_bound.py",
    "auth/test_slow_login.py",
    "auth/test_useless_tokens.py",
    "auth/test_users.py",
    "contract/test_any_case.py",
    "contract/test_filters.py",
    "contract/test_input.py",
    "contract/test_problems.py",
    "contract/test_verbs.py",
    "crud/test_random_classes.py",
    "crud/test_statements.py",
    "hand_written/test_every_operation.py",
    "isolation/test_composite_keys.py",
    "isolation/test_ownership.py",
    "migrations/test_chains_of_changes.py",
    "security/test_bodies.py",
    "security/test_mass_assignment.py",
    "security/test_secrets.py",
    "test_engine_alone.py",
    "test_references.py",
}


# The first cases of a test that speaks HTTP, or runs over every entity, cover what all of them do, or nearly.
FOLLOWED_CASES = 2
WITH_MANY_CASES = {"security"}
EACH_CASE_COUNTS = {"test_any_of.py"}
_cases: Counter[tuple[Path, str, bool]] = Counter()


class Follower(threading.local):
    """What traced this thread before it was left alone."""

    tracer: Any = None


_here = Follower()
_is_followed = True


def follow(*, wanted: bool) -> None:
    """Have this thread traced, if anything traces it at all, or leave it alone."""
    tracer = sys.gettrace()
    if tracer is not None and not wanted:
        _here.tracer = tracer
        sys.settrace(None)
    elif tracer is None and wanted and _here.tracer is not None:
        sys.settrace(_here.tracer)


def follow_the_test() -> None:
    """Do in this thread, which works for the application, as the test that runs now wants it."""
    follow(wanted=_is_followed)


def is_measured() -> bool:
    """Whether coverage is on."""
    return sys.gettrace() is not None


def import_all() -> None:
    """Import the engine and the sample entities, so that coverage sees what runs when they are imported."""
    for package in (rowhouse, sample_entities):
        for found in walk_packages(package.__path__, f"{package.__name__}."):
            if not CHANGES_PYTHON.match(found.name):
                import_module(found.name)


@contextmanager
def unfollowed() -> Iterator[None]:
    """Work that adds nothing to coverage."""
    follow(wanted=False)
    try:
        yield
    finally:
        follow(wanted=True)


@contextmanager
def measured(path: Path, name: str) -> Iterator[None]:
    """One test's time."""
    global _is_followed  # noqa: PLW0603  one test runs at a time in a process, and its threads have no other way to know it
    first, *further = path.relative_to(TESTS).parts
    directory = further[0] if first == "app" else first
    is_inside = directory in INSIDE | INSIDE_OF_THE_PRODUCT
    function, _, parameters = name.partition("[")
    is_on_postgresql = "postgresql" in parameters
    case = path, function, is_on_postgresql
    _cases[case] += 1
    _is_followed = (
        directory not in UNFOLLOWED | UNFOLLOWED_OF_THE_PRODUCT
        and path.relative_to(TESTS).as_posix() not in UNFOLLOWED_FILES
        and (path.name in FOLLOWED_ON_BOTH or not is_on_postgresql)
        and (
            (is_inside and directory not in WITH_MANY_CASES)
            or path.name in EACH_CASE_COUNTS
            or _cases[case] <= FOLLOWED_CASES
        )
    )
    follow(wanted=_is_followed and is_inside)
    yield
    follow(wanted=True)
    _is_followed = True


def measure_crews() -> None:
    """Have the threads of every application ask before each request."""
    perform = Job.perform

    def ask_and_perform(task: Job[Any]) -> None:
        follow_the_test()
        perform(task)

    Job.perform = ask_and_perform  # type: ignore[method-assign, assignment]  # there is no other place that every request's thread passes

"""The contract suite, unchanged, on other PostgreSQL versions and behind poolers."""

import pytest

from tests.world import hostile_settings
from tests.world.nested import TEXT_AND_VALUES, assert_passed, run_tests
from tests.world.services.pgbouncer import pgbouncer
from tests.world.services.postgresql import ICU, C, postgresql, set_for_role

ON_POSTGRESQL = ("-k", "postgresql")
WHOLE, MANY = ("tests/contract", "tests/app/contract"), 1_250
VERBS = ("tests/contract/test_verbs.py", "tests/contract/test_conflicts.py", "tests/contract/test_problems.py")
PARTS = {("transaction", "defaults"): WHOLE, ("session", "defaults"): (*VERBS, *TEXT_AND_VALUES)}
LOCALES = {"icu": ICU, "c": C}
# By default it refuses a client that sends `options`, as `PGOPTIONS` would have it.
POOLERS: dict[str, dict[str, str]] = {"defaults": {}, "ignoring-options": {"ignore_startup_parameters": "options"}}
CLIENTS = {"max_client_conn": "2000"}  # of hundreds of tests' applications


@pytest.mark.parametrize("locale", LOCALES)
def test_the_contract_holds_on_debians_postgresql(locale: str) -> None:
    """All of it, with an ICU locale and with none, as a role that owns its databases and nothing else."""
    with postgresql(*LOCALES[locale]) as cluster:
        outcome = run_tests(*WHOLE, *ON_POSTGRESQL, environment={"ROWHOUSE_TEST_POSTGRESQL": cluster.url()})
    assert_passed(outcome, at_least=MANY)


def test_no_setting_of_role_or_environment_changes_the_contract() -> None:
    """Time zone, date style, interval style, float digits and escapes of the role and of the server's environment."""
    with postgresql(*ICU) as cluster:
        set_for_role(cluster, hostile_settings.STORED)
        outcome = run_tests(
            *TEXT_AND_VALUES, *ON_POSTGRESQL,
            environment={"ROWHOUSE_TEST_POSTGRESQL": cluster.url(), **hostile_settings.ENVIRONMENT},
        )  # fmt: skip
    assert_passed(outcome, at_least=MANY // 10)


@pytest.mark.parametrize("mode", ["session", "transaction"])
@pytest.mark.parametrize("settings", POOLERS)
def test_the_contract_holds_behind_pgbouncer(mode: str, settings: str) -> None:
    """All of it in transaction mode with the defaults; verbs and conflicts otherwise, and texts in session mode."""
    parts = PARTS.get((mode, settings), VERBS)
    with postgresql(*ICU) as cluster, pgbouncer(cluster, mode=mode, settings=POOLERS[settings] | CLIENTS) as pooler:
        outcome = run_tests(
            *parts, *ON_POSTGRESQL,
            environment={
                "ROWHOUSE_TEST_POSTGRESQL": cluster.url(),
                "ROWHOUSE_TEST_POOLER": f"127.0.0.1:{pooler.port}",
            },
        )  # fmt: skip
    assert_passed(outcome, at_least=MANY // 10)

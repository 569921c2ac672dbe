"""Settings are frozen and validated, and `.env.example` equals them."""

from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from rowhouse.core.settings import DEVELOPMENT_SECRET, Settings
from tests.conftest import ROOT

EXAMPLE = ROOT / ".env.example"
SECRET = "s" * 32


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the settings of the machine and the `.env` of the working directory."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def made(**values: Any) -> Settings:
    """Return settings from values as the environment has them."""
    return Settings.model_validate(values)


def example_lines() -> list[str]:
    """Return the lines of `.env.example`."""
    return EXAMPLE.read_text(encoding="utf-8").splitlines()


def example_values() -> dict[str, str]:
    """Return the values in `.env.example`, by lower-case name."""
    lines = [line for line in example_lines() if line and not line.startswith("#")]
    values = dict(line.lower().split("=", 1) for line in lines)
    assert len(values) == len(lines), "a setting stands in .env.example twice"
    return values


def test_example_lists_every_setting() -> None:
    """The engine's first, in the order of the class; then the project's."""
    assert list(example_values())[: len(Settings.model_fields)] == list(Settings.model_fields)


def test_example_holds_the_defaults(tmp_path: Path) -> None:
    """Read as a file and value by value."""
    defaults = Settings()
    (tmp_path / ".env").write_bytes(EXAMPLE.read_bytes())
    assert Settings() == defaults
    engine = {name: value for name, value in example_values().items() if value and name in Settings.model_fields}
    assert made(**engine) == defaults


def test_example_leaves_out_only_what_has_no_default() -> None:
    """A secret, an empty list, a limit that is off."""
    empty = {name for name, value in example_values().items() if not value}
    assert empty == {"cors_origins", "jwt_secret", "admin_email", "admin_password", "rate_limit"} | {
        "metrics_token",
        "metrics_directory",
    }


def test_example_explains_every_setting() -> None:
    """In a comment on the line above."""
    for above, line in pairwise(example_lines()):
        assert above.startswith("# ") or not line or line.startswith("# "), line


def test_settings_are_frozen() -> None:
    """Nothing changes a setting after start."""
    settings: Any = Settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.worker_threads = 3
    assert settings.worker_threads == 8


def test_the_environment_overrides_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Other lines of `.env` belong to other programs."""
    (tmp_path / ".env").write_text("WORKER_THREADS=3\nQUEUE_SECONDS=2\nSOMETHING_ELSE=1\n", encoding="utf-8")
    monkeypatch.setenv("WORKER_THREADS", "5")
    settings = Settings()
    assert (settings.worker_threads, settings.queue_seconds) == (5, 2)


def test_an_empty_variable_means_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """No administrator without an address."""
    defaults = Settings()
    for name in ("ADMIN_EMAIL", "ADMIN_PASSWORD", "WORKER_THREADS"):
        monkeypatch.setenv(name, "")
    assert Settings() == defaults


def test_origins_are_a_comma_separated_list(monkeypatch: pytest.MonkeyPatch) -> None:
    """In code they are a tuple."""
    monkeypatch.setenv("CORS_ORIGINS", "https://a.example, https://b.example,")
    assert Settings().cors_origins == ("https://a.example", "https://b.example")
    assert Settings(cors_origins=("https://c.example",)).cors_origins == ("https://c.example",)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"jwt_secret": "s" * 31}, "JWT_SECRET needs at least 32 bytes"),
        ({"environment": "production"}, "set JWT_SECRET outside development"),
        ({"environment": "production", "jwt_secret": DEVELOPMENT_SECRET}, "set JWT_SECRET outside development"),
        ({"admin_email": "a@example.com"}, "together, or neither"),
        ({"admin_password": "long enough"}, "together, or neither"),
        ({"admin_email": "a@example.com", "admin_password": "7 chars"}, "ADMIN_PASSWORD needs 8 characters"),
        ({"admin_email": "a@example.com", "admin_password": "é" * 37}, "ADMIN_PASSWORD needs 8 characters"),
        ({"worker_threads": 0}, "worker_threads"),
        ({"bcrypt_cost": 9}, "bcrypt_cost"),
        ({"log_level": "loud"}, "log_level"),
        ({"environment": "staging"}, "environment"),
    ],
)
def test_an_invalid_setting_stops_the_start(values: dict[str, Any], message: str) -> None:
    """The message names it."""
    with pytest.raises(ValidationError, match=message):
        made(**values)


def test_production_takes_a_secret_of_its_own() -> None:
    """And a password of the maximum length."""
    settings = made(environment="production", jwt_secret=SECRET, admin_email="a@example.com", admin_password="é" * 36)
    assert settings.jwt_secret.get_secret_value() == SECRET


def test_no_secret_is_printed() -> None:
    """Neither with the settings nor in an error message."""
    settings = made(admin_email="a@example.com", admin_password="very-hidden", jwt_secret=SECRET)
    assert "very-hidden" not in repr(settings)
    assert SECRET not in repr(settings)
    with pytest.raises(ValidationError) as refused:
        made(admin_email="a@example.com", admin_password="very-hidden", jwt_secret="short-and-hidden")
    assert "hidden" not in str(refused.value)

"""The settings of bookings, and their lines in `.env.example`."""

from pathlib import Path

import pytest

from app.bookings.settings import BookingSettings
from rowhouse import Settings
from tests.conftest import ROOT


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Remove the settings of the machine and the `.env` of the working directory."""
    for name in BookingSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)


def test_the_example_lists_each_setting_with_its_default(tmp_path: Path) -> None:
    """After the engine's settings, in the order of the class, and no others."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    names = [line.partition("=")[0].lower() for line in lines if line and not line.startswith("#")]
    assert names[len(Settings.model_fields) :] == list(BookingSettings.model_fields)
    (tmp_path / ".env").write_text("\n".join(lines), encoding="utf-8")
    assert BookingSettings() == BookingSettings.model_construct()


def test_the_environment_overrides_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """As for the settings of the engine."""
    monkeypatch.setenv("BOOKING_HOLD_MINUTES", "1")
    assert BookingSettings().booking_hold_minutes == 1

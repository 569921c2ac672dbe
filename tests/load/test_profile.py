"""A profile is imported by its name."""

import pytest

from rowhouse.load import Profile, load_profile


def test_no_name_is_an_empty_profile() -> None:
    assert load_profile("") == Profile()


@pytest.mark.parametrize(
    "name", ["rowhouse.load.profile", "rowhouse.load.profile:load_profile", "rowhouse.load.profile:missing"]
)
def test_a_name_of_something_else_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="is no profile"):
        load_profile(name)


def test_a_profile_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.load.sample_runs.PROFILE", Profile(title="Things"), raising=False)
    assert load_profile("tests.load.sample_runs:PROFILE").title == "Things"

"""A profile is imported by its name; without the product there is an empty one."""

import pytest

from perf import product
from perf.load.profile import Profile, default_name, load_profile


def test_without_a_product_the_profile_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "is_there", lambda: False)
    monkeypatch.delenv("LOAD_PROFILE", raising=False)
    assert default_name() == ""
    assert load_profile() == Profile()


def test_a_benchmark_of_a_missing_product_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "is_there", lambda: False)
    with pytest.raises(SystemExit, match=r"perf\.app\.micro\.burst is missing"):
        product.run("micro.burst")


@pytest.mark.parametrize("name", ["perf.load.profile", "perf.load.profile:VARIABLE", "perf.load.profile:missing"])
def test_a_name_of_something_else_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="is no profile"):
        load_profile(name)

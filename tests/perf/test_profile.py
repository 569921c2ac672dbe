"""The default profile is the product's; without the product there is none."""

import pytest

from perf import product


def test_without_a_product_there_is_no_profile(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "is_there", lambda: False)
    assert product.default_profile() == ""


def test_a_benchmark_of_a_missing_product_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product, "is_there", lambda: False)
    with pytest.raises(SystemExit, match=r"perf\.app\.micro\.burst is missing"):
        product.run("micro.burst")

"""`rowhouse_fold` in the database folds case exactly as Python's `str.casefold`."""

import sys
import unicodedata

import pytest
import sqlalchemy as sa

from tests.migrations import schema

AWKWARD = (
    "", "plain ascii", "ÀÉÎÕÜ", "Straße", "STRASSE", "ẞ", "ﬁ ﬃ ﬆ", "İstanbul", "ISPARTA \u0131sparta", "ΣΊΣΥΦΟΣ ς", "ὈΔΥΣΣΕΎΣ",
    "ᾼ ῼ ᾳ", "ΐ ΰ", "Ǆ ǅ ǆ", "ŉ", "Ⅷ Ⓐ", "K Å Ω", "\u13a0 \uab70", "Ⴀ ა Ა", "𐐀 𐐨", "ПРИВЕТ Ѐ", "ՙ և ՖՓ", "e\u0301 É", "q\u0307\u0323", "I\u0307",
    "日本語", "عربى", "🚗 🏳️‍🌈", "a%b_c\\d", "'; DROP TABLE books; --",
)  # fmt: skip


@pytest.mark.parametrize("text", AWKWARD)
def test_folds_like_casefold(migrated: sa.Connection, text: str) -> None:
    """Texts on which lower-casing and folding differ, and those that must stay as they are."""
    assert migrated.scalar(sa.select(sa.func.rowhouse_fold(text))) == text.casefold()


def test_folds_every_character_that_python_knows(migrated: sa.Connection) -> None:
    """Every assigned character of Unicode, in one text."""
    kinds = {"Cn", "Cs", "Co"}  # unassigned, surrogates, private: newer databases know more letters than Python does
    known = "".join(c for c in map(chr, range(1, sys.maxunicode + 1)) if unicodedata.category(c) not in kinds)
    folded = migrated.scalar(sa.select(sa.func.rowhouse_fold(known)))
    assert folded == known.casefold()


def test_null_folds_to_null(migrated: sa.Connection) -> None:
    """A missing value stays missing."""
    assert migrated.scalar(sa.select(sa.func.rowhouse_fold(sa.null()))) is None


def test_the_functions_are_immutable_so_that_an_index_may_use_them(migrated: sa.Connection) -> None:
    """SQLite's is registered on every connection; PostgreSQL's stand in the database."""
    definitions = schema.functions(migrated)
    names = {definition.partition("public.")[2].partition("(")[0] for definition in definitions}
    assert names == ({"rowhouse_fold", "rowhouse_trigrams"} if migrated.dialect.name == "postgresql" else set())
    assert all("IMMUTABLE" in definition for definition in definitions)

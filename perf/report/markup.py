"""Makes markup in which everything that came from outside is escaped: mypy refuses a plain text where markup belongs.

What it makes is well-formed XML too, so that a test can parse it. Knows no report.
"""

import html
import re
from collections.abc import Iterable
from typing import Any, NewType

Markup = NewType("Markup", str)
# What neither XML nor UTF-8 can hold: control characters, lone surrogates, and the two that are no characters.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(value: object) -> str:
    """The text of a value on one line, with a sign in place of what cannot be shown."""
    return " ".join(UNPRINTABLE.sub("\ufffd", str(value)).split())


def text(value: object) -> Markup:
    """A value as markup that shows it."""
    return Markup(html.escape(clean(value)))


def path(value: object) -> Markup:
    """As `text`, and it may be broken into lines behind a slash."""
    return Markup(text(value).replace("/", "/<wbr />"))


def join(parts: Iterable[Markup]) -> Markup:
    """One after the other."""
    return Markup("".join(parts))


def tag(element: str, *children: Markup, **attributes: Any) -> Markup:
    """An element. An attribute that is None is left out; `class_` is `class`, `stroke_width` is `stroke-width`."""
    words = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{text(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Markup(f"<{element}{words}>{join(children)}</{element}>" if children else f"<{element}{words} />")


def paragraph(words: object, class_: str | None = None) -> Markup:
    """A sentence."""
    return tag("p", text(words), class_=class_)

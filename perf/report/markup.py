"""Build HTML and SVG from elements and escaped texts. mypy rejects a plain string where markup is required.

The result is well-formed XML too, so a test can parse it.
"""

import re
from collections.abc import Iterable
from typing import Any

from markupsafe import Markup, escape

# Characters that XML or UTF-8 cannot represent: control characters, lone surrogates, and two non-characters.
UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def clean(value: object) -> str:
    """Return the text of a value on one line, with a replacement character for each unprintable one."""
    return " ".join(UNPRINTABLE.sub("\ufffd", str(value)).split())


def text(value: object) -> Markup:
    """Escape a value."""
    return escape(clean(value))


def path(value: object) -> Markup:
    """Escape a value, and allow a line break after each slash."""
    return text(value).replace("/", Markup("/<wbr />"))


def join(parts: Iterable[Markup]) -> Markup:
    """Concatenate parts."""
    return Markup().join(parts)


def tag(element: str, *children: Markup, **attributes: Any) -> Markup:
    """Return an element.

    An attribute that is None is left out; `class_` is `class`, and `stroke_width` is `stroke-width`.

    Example:
        tag("p", text("1 < 2"), class_="quiet")  # <p class="quiet">1 &lt; 2</p>
    """
    words = join(
        Markup(' {}="{}"').format(name.rstrip("_").replace("_", "-"), clean(value))
        for name, value in attributes.items()
        if value is not None
    )
    if children:
        return Markup("<{0}{1}>{2}</{0}>").format(element, words, join(children))
    return Markup("<{}{} />").format(element, words)


def paragraph(words: object, class_: str | None = None) -> Markup:
    """Return a paragraph with an escaped sentence."""
    return tag("p", text(words), class_=class_)

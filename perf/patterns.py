"""Text that matches a regular expression, another one each time. Knows no schema."""

import random
import re
import string
from collections.abc import Callable, Iterator, Sequence
from importlib import import_module
from typing import Any

# Python's own parser of expressions; typeshed does not describe it.
_parser: Any = import_module("re._parser")
_constants: Any = import_module("re._constants")

LETTERS = string.ascii_letters + string.digits + " -_.,:/@#+"
# How often `+` and `*` repeat at most; the later ones make shorter texts, for a limit on the length.
REPEATS = (12, 12, 12, 6, 3, 2, 1, 0)
CATEGORIES = {
    _constants.CATEGORY_DIGIT: r"\d",
    _constants.CATEGORY_NOT_DIGIT: r"\D",
    _constants.CATEGORY_SPACE: r"\s",
    _constants.CATEGORY_NOT_SPACE: r"\S",
    _constants.CATEGORY_WORD: r"\w",
    _constants.CATEGORY_NOT_WORD: r"\W",
}


def matching(pattern: str, *, fits: Callable[[str], bool] = lambda _text: True) -> str | None:
    """A random text that matches `pattern` and for which `fits` holds; None when none was found.

    It follows what a pattern of a column has: classes, groups, choices and repetition. Look-arounds and back-references are
    not followed, so a pattern that needs them gives None.
    """
    tree, expression = _parser.parse(pattern), re.compile(pattern)
    for repeat in REPEATS:
        text = "".join(_texts(tree, repeat))
        if expression.search(text) and fits(text):
            return text
    return None


def _texts(tree: Sequence[tuple[Any, Any]], repeat: int) -> Iterator[str]:
    for kind, argument in tree:
        if kind is _constants.SUBPATTERN:
            yield from _texts(argument[-1], repeat)
        elif kind is _constants.BRANCH:
            yield from _texts(random.choice(argument[1]), repeat)
        elif kind in (_constants.MAX_REPEAT, _constants.MIN_REPEAT):
            least, most, part = argument
            for _ in range(max(least, min(int(most), repeat))):
                yield from _texts(part, repeat)
        elif kind in (_constants.LITERAL, _constants.NOT_LITERAL, _constants.IN, _constants.ANY):
            yield _letter(kind, argument)


def _letter(kind: Any, argument: Any) -> str:
    """One letter out of those that the expression takes here."""
    if kind is _constants.LITERAL:
        return chr(argument)
    if kind is _constants.ANY:
        return random.choice(LETTERS)
    members = argument if kind is _constants.IN else [(_constants.NEGATE, None), (_constants.LITERAL, argument)]
    taken = {letter for member in members for letter in _letters(*member)}
    is_negated = any(member[0] is _constants.NEGATE for member in members)
    candidates = [letter for letter in LETTERS if letter not in taken] if is_negated else sorted(taken)
    return random.choice(candidates) if candidates else ""


def _letters(kind: Any, argument: Any) -> Iterator[str]:
    """The letters of one member of a class such as `[a-z_]`."""
    if kind is _constants.LITERAL:
        yield chr(argument)
    elif kind is _constants.RANGE:
        yield from map(chr, range(argument[0], min(argument[1], argument[0] + len(LETTERS)) + 1))
    elif kind is _constants.CATEGORY:
        yield from (letter for letter in LETTERS if re.match(CATEGORIES[argument], letter))

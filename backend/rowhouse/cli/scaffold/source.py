"""Edits the text of Python modules: adds names to their imports, and finds their classes. Must not run them."""

import ast
import sys
from collections.abc import Iterable, Iterator, Sequence

MAX_LINE = 120
FUTURE, STANDARD, THIRD_PARTY, FIRST_PARTY = range(4)
AnyImport = ast.Import | ast.ImportFrom
Position = tuple[int, bool, str]  # the section, whether it is `from … import`, and the module


def add_imports(text: str, imports: Iterable[tuple[str, str]], *, package: str) -> str:
    """Return the text with `from module import name` for each pair, sorted as isort sorts.

    `package` is the project's own, whose modules come last.
    """
    for module, name in dict.fromkeys(imports):
        text = _add_import(text, module, name, package)
    return text


def add_module(text: str, module: str, alias: str, *, package: str) -> str:
    """Return the text with `import module as alias`, sorted as isort sorts."""
    found = [node for node in ast.parse(text).body if isinstance(node, AnyImport)]
    for node in found:
        if isinstance(node, ast.Import) and (module, alias) in [(one.name, one.asname) for one in node.names]:
            return text
    at, added = _place(
        text, found, (_section(module, package), False, module), package, f"import {module} as {alias}\n"
    )
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:at], added, *lines[at:]])


def classes(text: str) -> Iterator[ast.ClassDef]:
    """Yield the classes that a module defines at its top level."""
    for node in ast.parse(text).body:
        if isinstance(node, ast.ClassDef):
            yield node


def call(before: str, arguments: Sequence[str], *, indent: int) -> str:
    """Return `before(arguments)` as lines of code, broken where ruff breaks them."""
    space = " " * indent
    line = f"{space}{before}({', '.join(arguments)})\n"
    if len(line) <= MAX_LINE + 1:
        return line
    inner = f"{space}    {', '.join(arguments)}\n"
    if len(inner) > MAX_LINE + 1:
        inner = "".join(f"{space}    {argument},\n" for argument in arguments)
    return f"{space}{before}(\n{inner}{space})\n"


def _add_import(text: str, module: str, name: str, package: str) -> str:
    found = [node for node in ast.parse(text).body if isinstance(node, AnyImport)]
    lines = text.splitlines(keepends=True)
    for node in found:
        if isinstance(node, ast.ImportFrom) and node.module == module and not node.level:
            if any(alias.name == name and alias.asname in (None, name) for alias in node.names):
                return text
            if _is_plain(node, lines):
                names = {name, *(alias.name for alias in node.names)}
                lines[node.lineno - 1 : node.end_lineno] = [_render(module, names)]
                return "".join(lines)
    at, added = _place(text, found, (_section(module, package), True, module), package, _render(module, {name}))
    return "".join([*lines[:at], added, *lines[at:]])


def _is_plain(node: ast.ImportFrom, lines: list[str]) -> bool:
    """Return whether nothing is lost when the statement is written anew."""
    return not any(alias.asname or alias.name == "*" for alias in node.names) and not any(
        "#" in line for line in lines[node.lineno - 1 : node.end_lineno]
    )


def _place(text: str, found: list[AnyImport], position: Position, package: str, statement: str) -> tuple[int, str]:
    """Return the line after which a new import goes, and its text with the blank lines that it needs."""
    positions = [_position(node, package) for node in found]
    earlier = [index for index, other in enumerate(positions) if other <= position]
    if earlier:
        before = earlier[-1]
        gap = "" if positions[before][0] == position[0] else "\n"
        return found[before].end_lineno or 0, f"{gap}{statement}"
    if found:
        gap = "" if positions[0][0] == position[0] else "\n"
        return found[0].lineno - 1, f"{statement}{gap}"
    body = ast.parse(text).body
    has_docstring = bool(body) and isinstance(body[0], ast.Expr) and isinstance(body[0].value, ast.Constant)
    return (body[0].end_lineno or 0, f"\n{statement}") if has_docstring else (0, statement)


def _position(node: AnyImport, package: str) -> Position:
    if isinstance(node, ast.ImportFrom):
        module = "." * node.level + (node.module or "")
        return FIRST_PARTY if node.level else _section(module, package), True, module
    return _section(node.names[0].name, package), False, node.names[0].name


def _section(module: str, package: str) -> int:
    top = module.partition(".")[0]
    if top == "__future__":
        return FUTURE
    if top in sys.stdlib_module_names:
        return STANDARD
    return FIRST_PARTY if top in (package, "tests") else THIRD_PARTY


def _render(module: str, names: Iterable[str]) -> str:
    ordered = sorted(names, key=_order)
    line = f"from {module} import {', '.join(ordered)}\n"
    if len(line) <= MAX_LINE + 1:
        return line
    return "\n".join([f"from {module} import (", *(f"    {name}," for name in ordered), ")\n"])


def _order(name: str) -> tuple[int, str]:
    """Constants first, then classes, then functions, as isort sorts."""
    if name.isupper():
        return 0, name
    return (1 if name[0].isupper() else 2), name

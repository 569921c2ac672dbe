"""The front door: what a project imports from `rowhouse`, and that the product needs nothing else."""

import ast
import inspect
import re
from textwrap import dedent

import pytest

import rowhouse
from tests.conftest import ROOT

PRODUCT = sorted((ROOT / "backend" / "app").rglob("*.py"))
SOURCE = (ROOT / "backend/rowhouse/__init__.py").read_text(encoding="utf-8")
EXAMPLE = re.compile(r":\n\n?((?: {4}.*(?:\n|$)|\n(?= {4}))+)")
MOST_LINES = 80


def home_of(name: str) -> str:
    """The module that the front door imports a name from."""
    for node in ast.walk(ast.parse(SOURCE)):
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            return str(node.module)
    raise LookupError(name)


def docstring_of(name: str) -> str:
    """The docstring of a name's definition: of a class, of a function, or the string below a constant."""
    path = ROOT / "backend" / f"{home_of(name).replace('.', '/')}.py"
    body = ast.parse(path.read_text(encoding="utf-8")).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return str(ast.get_docstring(node)).partition("\nRaises:")[0]
        if isinstance(node, ast.Assign) and [ast.unparse(target) for target in node.targets] == [name]:
            assert isinstance(following, ast.Expr), f"{path} has no string below {name}"
            return inspect.cleandoc(ast.literal_eval(following.value))
    raise LookupError(name)


def imported(source: str) -> set[str]:
    """The modules that a file imports."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom):
            found.add(node.module or "")
        elif isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
    return found


def test_the_product_imports_the_front_door_alone() -> None:
    """No module below it, so that each may move. The product may be removed."""
    found = {str(path.relative_to(ROOT)): imported(path.read_text(encoding="utf-8")) for path in PRODUCT}
    below = {path: {name for name in names if name.startswith("rowhouse.")} for path, names in found.items()}
    assert {path: names for path, names in below.items() if names} == {}


def test_every_name_is_exported_once_and_exists() -> None:
    """`__all__` and the imports name the same."""
    assert len(set(rowhouse.__all__)) == len(rowhouse.__all__)
    public = {name for name, value in vars(rowhouse).items() if name[0] != "_" and not inspect.ismodule(value)}
    assert public == set(rowhouse.__all__)


def test_the_front_door_is_one_screen() -> None:
    """A reader sees the docstring, the imports and the names without scrolling far."""
    assert len(inspect.getsource(rowhouse).splitlines()) < MOST_LINES


@pytest.mark.parametrize("name", sorted(rowhouse.__all__))
def test_every_name_is_explained_with_an_example(name: str) -> None:
    """By its docstring, or for a constant by the string below it; each example is Python."""
    said = docstring_of(name)
    assert re.match(r"\S.*[.:]\n", said), said
    examples = [dedent(block) for block in EXAMPLE.findall(said)]
    assert examples, said
    for example in examples:
        compile(example, name, "exec")


def test_the_reference_names_every_name() -> None:
    """`docs/reference.md`, in the order of `__all__`; the site takes the texts from the docstrings."""
    page = (ROOT / "docs/reference.md").read_text(encoding="utf-8")
    assert re.findall(r"^::: rowhouse\.(\w+)$", page, re.MULTILINE) == list(rowhouse.__all__)

"""The blocks of docs/tutorial.md, as a reader types them: files are written, and commands run in one shell."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.conftest import ROOT

BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
FILE = re.compile(r"# ([\w/]+\.py)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, its text, and the heading above it."""

    language: str
    text: str
    heading: str

    @property
    def file(self) -> str | None:
        """The file that a block of Python is, named in its first line; None if it only shows a part of one."""
        named = FILE.match(self.text) if self.language == "python" else None
        return named[1] if named else None

    @property
    def body(self) -> str:
        """The text of the file, without the line that names it."""
        return self.text.partition("\n")[2]


def blocks() -> Iterator[Block]:
    """Yield the blocks of the page, in order."""
    page = (ROOT / "docs/tutorial.md").read_text("utf-8")
    for section in page.split("\n## ")[1:]:
        heading = section.partition("\n")[0]
        for language, text in BLOCK.findall(section):
            yield Block(language, text, heading)

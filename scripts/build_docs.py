"""Builds the site of the documentation: `scripts/docs [FOLDER]`. A broken link, anchor or docstring fails.

Copies docs/ and the changelog into a temporary folder, adds the list of decisions, and runs Zensical there.
"""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).parent.parent
# Links that GitHub follows and the site has elsewhere.
ELSEWHERE = (
    (re.compile(r"\]\((?:\.\./)+CHANGELOG\.md"), "](changelog.md"),
    (re.compile(r"\]\(decisions\)"), "](decisions/index.md)"),
    (re.compile(r"\]\(deploy\)"), "](deploy/compose.yaml)"),
)
IN_THE_CHANGELOG = ((re.compile(r"\]\(docs/deploy\)"), "](deploy/compose.yaml)"), (re.compile(r"\]\(docs/"), "]("))
TITLE = re.compile(r"# (\d{4}): (.*)")


def main(folder: Path) -> int:
    """Build the site into a folder. Return the exit status of Zensical, which names each broken link."""
    with TemporaryDirectory() as temporary:
        work = Path(temporary)
        write_pages(work / "pages")
        configuration = (ROOT / "docs/site/mkdocs.yml").read_text("utf-8")
        (work / "mkdocs.yml").write_text(configuration.replace("[PATHS]", f"[{ROOT / 'backend'}]"), "utf-8")
        words = [sys.executable, "-m", "zensical", "build", "--strict"]
        done = subprocess.run(  # noqa: S603  our own words
            words, cwd=work, check=False, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        if done.returncode:
            print(done.stdout.partition("Traceback")[0] or done.stdout)
        else:
            shutil.copytree(work / "site", folder, dirs_exist_ok=True)
            print(f"Built {folder / 'index.html'}")
        return done.returncode


def write_pages(pages: Path) -> None:
    """Copy the pages into a folder, with links that lead to each other there."""
    shutil.copytree(ROOT / "docs", pages, ignore=shutil.ignore_patterns("site"))
    shutil.copy(ROOT / "docs/site/theme.css", pages)
    shutil.copy(ROOT / "CHANGELOG.md", pages / "changelog.md")
    rewrite(pages / "changelog.md", IN_THE_CHANGELOG)
    for page in pages.rglob("*.md"):
        rewrite(page, ELSEWHERE)
    found = [(page.name, TITLE.match(page.read_text("utf-8"))) for page in sorted((pages / "decisions").glob("*.md"))]
    rows = "".join(f"| {title[1]} | [{title[2]}]({name}) |\n" for name, title in found if title)
    text = f"# Decisions\n\nWhy Rowhouse is built this way.\n\n| number | decision |\n|---|---|\n{rows}"
    (pages / "decisions/index.md").write_text(text, "utf-8")


def rewrite(page: Path, replacements: tuple[tuple[re.Pattern[str], str], ...]) -> None:
    """Replace patterns in a page."""
    text = page.read_text("utf-8")
    for pattern, replacement in replacements:
        text = pattern.sub(replacement, text)
    page.write_text(text, "utf-8")


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1] if len(sys.argv) > 1 else "site")))

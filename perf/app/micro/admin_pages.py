"""Measure the pages of `/admin` over a large table in a browser: `python -m perf.admin_pages --rows 1000000`.

One Rowhouse has this number of books with all their indexes; on PostgreSQL, also rows of the other tables in
proportion. Chromium opens the home page, lists, searches, rows and forms, and looks a foreign key up by typing.

A page takes from the start of its navigation to the end of its load event, and a look-up from the last letter until its
rows are shown, both by the browser's clock. A look-up includes the 120 ms for which the page waits for another letter.
The cases take turns, round after round. The first round, right after the start of the server, has a column of its own,
and so has the part that the browser waits for the server. The exit status is 1 if the p95 of a case is over the limit.
On SQLite, texts that are in few books are only shown, because no index finds them.
"""

import argparse
import json
import math
import statistics
import urllib.request
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from functools import cache, partial
from typing import NamedTuple
from urllib.parse import quote

from playwright.sync_api import Page, sync_playwright

from perf.app.compare.targets import ROWHOUSE
from perf.app.datasets.large_books import fill_books
from perf.app.datasets.load_rows import populate
from perf.app.micro.cursor import BACKENDS, PATH
from perf.harness.client import HOST
from perf.harness.servers import ADMIN_EMAIL, ADMIN_PASSWORD, migrate, postgres, serve, sqlite

# Cursors of deep pages are found by an offset, which may take long.
TARGET = replace(ROWHOUSE, name="admin", environment={"STATEMENT_SECONDS": "60", "LOG_LEVEL": "error"})
LIMIT_MS, PERCENTILE = 300, 0.95
PAGE_ROWS = 25
CHROMIUM = "/usr/bin/chromium"
BOOKS, NEW_REVIEW, LOOKED_UP = "/admin/books", "/admin/reviews/new", "[id='value.book_id']"
SORTS = ("id", "-id", "title", "-author")
# Texts of books whose authors are like "Author 4711".
SEARCHES = {
    "author": "in every book",
    "author 47": "in one of 45",
    "author 4711": "in one of 4,500",
    "471100": "in one",
    "nowhere": "in none",
    "au": "two letters, in every book",
    "xq": "two letters, in none",
}
LOOK_UPS = {**SEARCHES, "47": "two digits, the key of one and in many"}
# SQLite reads the whole table for these.
ONLY_SHOWN = {"postgresql": (), "sqlite": (" 4711,", " 471100,", " nowhere,", " xq,")}
Case = Callable[[], "Taken"]


class Taken(NamedTuple):
    """Milliseconds: until everything was shown, and of these until the server had responded."""

    shown: float
    server: float


# The end of the load event, and the part of the request.
OF_PAGE = """() => {
  const page = performance.getEntriesByType("navigation")[0];
  return [page.loadEventEnd, page.responseEnd - page.requestStart];
}"""
# Begins with all letters but the last, and waits for the next change of what the look-up shows.
BEGIN = """([selector, text]) => {
  const input = document.querySelector(selector);
  input.value = text;
  input.focus();
  performance.clearResourceTimings();
  let begun = 0;
  input.addEventListener("input", () => { begun = performance.now(); }, { once: true });
  window.shown = new Promise((resolve) => {
    const changes = new MutationObserver(() => {
      const taken = performance.now() - begun;
      changes.disconnect();
      setTimeout(() => {
        const asked = performance.getEntriesByType("resource").at(-1);
        resolve([taken, asked.responseEnd - asked.requestStart]);
      });
    });
    changes.observe(input.parentElement, { childList: true, subtree: true, characterData: true });
  });
}"""


class Admin:
    """The administrator's tab."""

    def __init__(self, page: Page, base: str) -> None:
        self._page, self._base = page, base

    def sign_in(self) -> None:
        """Sign in."""
        self.open("/admin/login")
        self._page.fill("#username", ADMIN_EMAIL)
        self._page.fill("#password", ADMIN_PASSWORD)
        with self._page.expect_navigation():
            self._page.keyboard.press("Enter")
        self._page.get_by_role("button", name="Sign out").wait_for()

    def open(self, address: str) -> Taken:
        """Open an address of the server.

        Raises:
            RuntimeError: the page is an error.
        """
        answer = self._page.goto(f"{self._base}{address}")
        if answer is None or not answer.ok or self._page.locator("#faults").count():
            message = f"{address}: {self._page.inner_text('#content')}"
            raise RuntimeError(message)
        return self._taken()

    def open_next(self, address: str) -> Taken:
        """Open an address, then measure its link to the next page."""
        self.open(address)
        with self._page.expect_navigation():
            self._page.click("a[rel=next]")
        return self._taken()

    def look_up(self, text: str) -> Taken:
        """Open the form of a review, then measure the look-up of a book."""
        self.open(NEW_REVIEW)
        self._page.evaluate(BEGIN, [LOOKED_UP, text[:-1]])
        self._page.keyboard.type(text[-1])
        return Taken(*self._page.evaluate("window.shown"))

    def _taken(self) -> Taken:
        self._page.wait_for_function("performance.getEntriesByType('navigation')[0].loadEventEnd > 0")
        return Taken(*self._page.evaluate(OF_PAGE))


@contextmanager
def served(backend: str, rows: int) -> Iterator[int]:
    """Yield the port of Rowhouse on a database with this number of books."""
    with ExitStack() as stack:
        is_postgresql = backend == "postgresql"
        url = stack.enter_context(stack.enter_context(postgres()).database("perf_admin") if is_postgresql else sqlite())
        migrate(TARGET, url)
        if is_postgresql:
            populate(url, rows)
        else:
            fill_books(url, rows, is_searched=True)
        server = stack.enter_context(serve(replace(TARGET, migrate_command=()), url))
        yield server.port


@contextmanager
def opened(port: int) -> Iterator[Admin]:
    """Yield the tab of an administrator who is signed in."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        admin = Admin(browser.new_page(), f"http://{HOST}:{port}")
        admin.sign_in()
        yield admin
        browser.close()


@cache
def page_before(port: int, sort: str, row: int) -> str:
    """Return the address of the page of the list whose next page begins after this number of rows."""
    before = f"http://{HOST}:{port}{PATH}?sort={sort}&skip={row - PAGE_ROWS - 10}&limit=10&fields=id"
    with urllib.request.urlopen(before, timeout=600) as answer:  # nosec B310  our own server
        cursor = json.load(answer)["next_cursor"]
    return f"{BOOKS}?sort={sort}&cursor={cursor}"


def open_after(admin: Admin, port: int, sort: str, row: int) -> Taken:
    """Measure the page of the list that begins after this number of rows."""
    return admin.open_next(page_before(port, sort, row))


def cases_of(admin: Admin, port: int, rows: int) -> dict[str, Case]:
    """Return what is measured, by its name."""
    row = rows // 2
    found: dict[str, Case] = {"home": partial(admin.open, "/admin")}
    for sort in SORTS:
        found |= {
            f"list by {sort}, first page": partial(admin.open, f"{BOOKS}?sort={sort}"),
            f"list by {sort}, next page": partial(admin.open_next, f"{BOOKS}?sort={sort}"),
            f"list by {sort}, page after row {row:,}": partial(open_after, admin, port, sort, row),
            f"list by {sort}, last page": partial(open_after, admin, port, sort, rows - 10),
        }
    addresses = {
        "list by -created_at, which has no index": f"{BOOKS}?sort=-created_at",
        "list of one category": f"{BOOKS}?category_id=1",
        "list of a price": f"{BOOKS}?price__lte=20&sort=price",
        "a book": f"{BOOKS}/{row}",
        "form of a book": f"{BOOKS}/{row}/edit",
        **{f"search {text}, {where}": f"{BOOKS}?search={quote(text)}" for text, where in SEARCHES.items()},
    }
    found |= {name: partial(admin.open, address) for name, address in addresses.items()}
    return found | {f"look-up {text}, {where}": partial(admin.look_up, text) for text, where in LOOK_UPS.items()}


def p95(taken: Sequence[float]) -> float:
    """Return the 95th percentile by nearest rank."""
    return sorted(taken)[math.ceil(len(taken) * PERCENTILE) - 1]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m perf.admin_pages", description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--database", choices=BACKENDS, default="postgresql")
    parser.add_argument("--rounds", type=int, default=40)
    options = parser.parse_args(arguments)
    taken: dict[str, list[Taken]] = defaultdict(list)
    with served(options.database, options.rows) as port, opened(port) as admin:
        cases = cases_of(admin, port, options.rows)
        for _ in range(options.rounds + 1):
            for name, case in cases.items():
                taken[name].append(case())
    print(f"{options.database}, {options.rows:,} books, {options.rounds} rounds, milliseconds\n")
    print("| page | first | median | p95 | slowest | server, p95 |\n|---|---:|---:|---:|---:|---:|")
    slow = []
    for name, (first, *others) in taken.items():
        shown, server = ([one[part] for one in others] for part in (0, 1))
        numbers = (first.shown, statistics.median(shown), p95(shown), max(shown), p95(server))
        print(f"| {name} | {' | '.join(f'{number:.0f}' for number in numbers)} |")
        if p95(shown) > LIMIT_MS and not any(part in name for part in ONLY_SHOWN[options.database]):
            slow.append(name)
    print(f"\nover {LIMIT_MS} ms: {', '.join(slow) or 'none'}")
    return 1 if slow else 0

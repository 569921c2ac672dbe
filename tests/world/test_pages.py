"""Pages in Chromium: `/docs`, where the bodies that are shown can be sent as they are, and the site of the guides.

`PAGES_PICTURES` names a folder for pictures of them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator

from tests.conftest import ADMIN_EMAIL, ADMIN_PASSWORD, ROOT
from tests.world.conftest import Figure
from tests.world.services.chromium import Tab, chromium, new_tab
from tests.world.services.process import HOST, free_port, is_listening, start, wait_until
from tests.world.services.server import migrate, rowhouse

pytestmark = pytest.mark.xdist_group("admin")  # one browser at a time
PICTURES = Path(os.environ["PAGES_PICTURES"]) if "PAGES_PICTURES" in os.environ else None
CREATED = 201


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A browser."""
    with chromium() as opened:
        yield opened


@pytest.fixture(scope="module")
def docs(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tab]:
    """The product's `/docs`, where an administrator has signed in."""
    url = f"sqlite:///{tmp_path_factory.mktemp('docs')}/product.db"
    migrate(url)
    with rowhouse(url) as server:
        tab = new_tab(browser, server.url, pictures=PICTURES)
        tab.open("/docs")
        tab.page.locator(".opblock-tag").first.wait_for()
        tab.picture("docs")
        tab.page.locator("button.authorize").first.click()
        tab.fill("oauth_username", ADMIN_EMAIL)
        tab.fill("oauth_password", ADMIN_PASSWORD)
        tab.page.locator(".modal-ux button.authorize").first.click()
        tab.page.get_by_role("button", name="Close", exact=True).click()
        yield tab


def operation(tab: Tab, tag: str, name: str) -> Locator:
    """Open the section of a tag, and in it the operation with this id, ready to be sent."""
    found = tab.page.locator(f"[id='operations-{tag}-{name}']")
    if not found.count():
        tab.page.locator(f"[id='operations-tag-{tag}']").click()
    found.locator(".opblock-summary-control").click()
    found.locator(".try-out__btn").click()
    return found


def send(found: Locator) -> tuple[int, str]:
    """Send the request of an operation as the page shows it. Return the status and the response."""
    found.locator("button.execute").click()
    response = found.locator(".live-responses-table .response").first
    response.wait_for()
    return int(response.locator(".response-col_status").inner_text().split()[0]), response.inner_text()


def test_a_body_can_be_sent_as_it_is_shown(docs: Tab) -> None:
    """A category, a book in it, and changes of the book by each verb. The values look like data."""
    status, shown = send(operation(docs, "categories", "create_category"))
    assert status == CREATED, shown
    create = operation(docs, "books", "create_book")
    body = create.locator("textarea").input_value()
    assert '"title": "The first book"' in body
    assert '"author": "Ada Lovelace"' in body
    status, shown = send(create)
    assert status == CREATED, shown
    for name in ("update_book", "put_book", "update_books"):
        change = operation(docs, "books", name)
        assert "Ada Lovelace" in change.locator("textarea").input_value()
        for key in change.get_by_placeholder("id", exact=True).all():
            key.fill("1")
        status, shown = send(change)
        assert (status, "Ada Lovelace" in shown) == (200, True), shown
        docs.picture(name)
    assert docs.faults == []


def test_put_and_patch_are_told_apart(docs: Tab) -> None:
    """Each operation has a summary of its own."""
    docs.open("/docs")
    docs.page.locator("[id='operations-tag-books']").click()
    section = docs.page.locator(".opblock-tag-section", has=docs.page.locator("[id='operations-tag-books']"))
    section.locator(".opblock").first.wait_for()
    summaries = section.locator(".opblock-summary-description").all_inner_texts()
    assert "Change a book" in summaries
    assert "Change a book, as PATCH does" in summaries
    assert len(set(summaries)) == len(summaries)


def test_the_site_of_the_guides_asks_no_other_host_and_finds_words(
    browser: Browser, tmp_path: Path, figure: Figure
) -> None:
    """As `scripts/docs` builds it, behind a server that serves only files."""
    subprocess.run([sys.executable, "-m", "scripts.build_docs", str(tmp_path)], cwd=ROOT, check=True)
    port = free_port()
    command = [sys.executable, "-m", "http.server", "--directory", str(tmp_path), "--bind", HOST, str(port)]
    running = start(command, log=tmp_path / "log", cwd=ROOT)
    try:
        url = f"http://{HOST}:{port}"
        wait_until(lambda: is_listening(port), running)
        tab = new_tab(browser, url, pictures=PICTURES)
        asked: list[str] = []
        tab.page.on("request", lambda request: asked.append(request.url))
        tab.open("/index.html")
        tab.picture("guides")
        tab.page.wait_for_load_state("networkidle")  # the search is ready only after its index
        tab.page.locator(".md-search__button").click()
        tab.page.get_by_role("combobox").fill("cursor")
        tab.page.get_by_text("results", exact=False).first.wait_for()
        tab.picture("search")
        assert [one for one in asked if not one.startswith((url, "data:", "blob:"))] == []
        assert tab.faults == []
        figure(f"the first page of the guides and a search: {len(asked)} requests, none to another host")
    finally:
        running.stop()

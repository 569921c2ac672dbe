"""Make the pictures of README: `python -m perf.screenshots --report perf-report/report.html`.

It serves the demo on a SQLite file of its own and opens it in Chromium: `/docs`, a list of `/admin`, and a booking that
overlaps another one. `--report` adds the top of a report of `scripts/perf`. The files are in docs/pictures, which the
wheel does not contain. A picture of 150 KB or more is an error.
"""

import argparse
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

from playwright.sync_api import Page, sync_playwright

from app.demo.accounts import PASSWORD
from perf.app.compare.targets import ROWHOUSE
from perf.harness.client import HOST
from perf.harness.servers import REPOSITORY, environment_of, migrate, run_to_end, serve, sqlite

FOLDER = REPOSITORY / "docs/pictures"
MOST_BYTES = 150_000
SIZE: Any = {"width": 1000, "height": 640}
CHROMIUM = "/usr/bin/chromium"
WAIT_MS = 120_000
ADMINISTRATOR, DRIVER = "admin@example.com", "driver@example.com"
# Drivers may use the pages too. The demo brings the accounts.
TARGET = replace(
    ROWHOUSE, name="pictures", environment={"ADMIN_ROLES": "admin,driver", "ADMIN_EMAIL": "", "ADMIN_PASSWORD": ""}
)
FORM = "[id='value.{}']"


def keep(page: Page, name: str) -> None:
    """Write a picture of what the window shows.

    Raises:
        RuntimeError: it is too large.
    """
    path = FOLDER / f"{name}.png"
    page.screenshot(path=path)
    print(f"{path.relative_to(REPOSITORY)}: {path.stat().st_size:,} bytes", file=sys.stderr)
    if path.stat().st_size >= MOST_BYTES:
        message = f"{path} has {MOST_BYTES:,} bytes or more: make the window smaller"
        raise RuntimeError(message)


def sign_in(page: Page, base: str, email: str) -> None:
    """Sign in at `/admin`."""
    page.context.clear_cookies()
    page.goto(f"{base}/admin/login")
    page.fill("#username", email)
    page.fill("#password", PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("button", name="Sign out").wait_for()


def picture_docs(page: Page, base: str) -> None:
    """Keep `/docs`."""
    page.goto(f"{base}/docs")
    tag = page.locator("#operations-tag-books")
    tag.click()
    page.locator(".opblock").first.wait_for()
    tag.evaluate("tag => tag.scrollIntoView()")
    keep(page, "docs")


def picture_list(page: Page, base: str) -> None:
    """Keep a list with a search and a filter."""
    sign_in(page, base, ADMINISTRATOR)
    page.goto(f"{base}/admin/books?price__gte=10&sort=-price")
    keep(page, "admin-list")


def picture_conflict(page: Page, base: str) -> None:
    """Keep the form of a driver who books a time that the demo has booked."""
    sign_in(page, base, DRIVER)
    page.goto(f"{base}/admin/bookings?sort=start_time")
    page.locator("tbody a").first.click()
    page.get_by_role("link", name="Edit").click()
    start, end = (page.input_value(FORM.format(name)) for name in ("start_time", "end_time"))
    page.goto(f"{base}/admin/charge-points?connector=ccs&status=available&sort=id")
    point = page.locator("tbody a").first.inner_text()
    page.goto(f"{base}/admin/bookings/new?charge_point_id={point}")
    page.fill(FORM.format("start_time"), start)
    page.fill(FORM.format("end_time"), end)
    page.get_by_role("button", name="Save").click()
    page.get_by_text("Slot already booked").first.wait_for()
    keep(page, "admin-conflict")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(prog="python -m perf.screenshots", description=__doc__)
    parser.add_argument("--report", type=Path, help="the HTML file of a load run")
    options = parser.parse_args(arguments)
    FOLDER.mkdir(exist_ok=True)
    with ExitStack() as stack:
        url = stack.enter_context(sqlite())
        migrate(TARGET, url)
        run_to_end([sys.executable, "-m", "app.demo.seed"], environment_of(TARGET, url))
        server = stack.enter_context(serve(TARGET, url))
        base = f"http://{HOST}:{server.port}"
        browser = stack.enter_context(sync_playwright()).chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox"]
        )
        page = browser.new_page(viewport=SIZE, color_scheme="light", timezone_id="Europe/Vienna")
        page.set_default_timeout(WAIT_MS)
        for picture in (picture_docs, picture_list, picture_conflict):
            picture(page, base)
        if options.report is not None:
            page.goto(options.report.resolve().as_uri())
            keep(page, "load-report")
        browser.close()

"""Debian's Chromium, which Playwright drives: a person's browser, with scripts, a content policy and a time zone."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from playwright.sync_api import Browser, Page, sync_playwright

PROGRAM = "/usr/bin/chromium"
ZONE = "Europe/Vienna"


@dataclass
class Tab:
    """One tab. `faults` are the errors that the browser has reported: of scripts, of the content policy, of requests."""

    page: Page
    url: str
    pictures: Path | None = None
    faults: list[str] = field(default_factory=list)

    def open(self, path: str) -> None:
        """Open an address of the server."""
        self.page.goto(f"{self.url}{path}")

    def sign_in(self, email: str, password: str) -> None:
        """Sign in at `/admin`."""
        self.open("/admin/login")
        self.fill("username", email)
        self.fill("password", password)
        self.press_enter()

    def press_enter(self) -> None:
        """Send a form by the keyboard, and wait for the next page."""
        with self.page.expect_navigation():
            self.page.keyboard.press("Enter")

    def fill(self, name: str, text: str) -> None:
        """Replace the text of the input with this id."""
        self.page.locator(f"[id='{name}']").fill(text)

    def click(self, name: str, *, role: str = "button") -> None:
        """Use the button or the link with this name, and wait for the next page."""
        found = self.page.get_by_role(role, name=name, exact=True)  # type: ignore[arg-type]  # a word of ARIA
        with self.page.expect_navigation():
            found.first.click()

    def text(self, name: str = "content") -> str:
        """The text of the element with this id."""
        return " ".join(self.page.locator(f"[id='{name}']").inner_text().split())

    def picture(self, name: str) -> None:
        """Keep a picture of the page, if somebody wants to look at it."""
        if self.pictures is not None:
            self.page.screenshot(path=self.pictures / f"{name}.png", full_page=True)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A browser. There can be one at a time in a process."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=PROGRAM, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def new_tab(browser: Browser, url: str, *, pictures: Path | None = None, width: int = 1200) -> Tab:
    """A tab without cookies, for a server at `url`."""
    context = browser.new_context(viewport={"width": width, "height": 900}, timezone_id=ZONE)
    tab = Tab(context.new_page(), url, pictures)
    tab.page.on("console", lambda said: tab.faults.append(said.text) if said.type == "error" else None)
    tab.page.on("pageerror", lambda error: tab.faults.append(str(error)))
    return tab

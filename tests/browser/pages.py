"""A report that is open in a browser, used as a person would."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pytest_convergence.report.html import write_page


class Page:
    """One report, opened from disk."""

    def __init__(self, browser: Any, path: Path, *, width: int = 1280, height: int = 900) -> None:
        self.browser = browser
        browser.execute_cdp_cmd(
            "Emulation.setDeviceMetricsOverride",
            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500},
        )
        browser.get("about:blank")
        self.console(), self.requests()
        browser.get(path.as_uri())
        self.until(lambda: self.run("return document.documentElement.dataset.ready") == "yes")

    @classmethod
    def of(cls, browser: Any, run: Mapping[str, Any], folder: Path, **size: int) -> Page:
        """Write the report of a run and open it."""
        path = folder / "report.html"
        write_page(run, path)
        return cls(browser, path, **size)

    def run(self, script: str, *arguments: Any) -> Any:
        """Run a script in the page."""
        return self.browser.execute_script(script, *arguments)

    def until(self, holds: Callable[[], Any], seconds: float = 20.0) -> Any:
        """Wait for something to hold; its value."""
        end = time.monotonic() + seconds
        while not (found := holds()):
            assert time.monotonic() < end, "the page never came to it"
            time.sleep(0.02)
        return found

    def find(self, css: str) -> Any:
        """The first element."""
        return self.browser.find_element("css selector", css)

    def all(self, css: str) -> list[Any]:
        """All elements."""
        return list(self.browser.find_elements("css selector", css))

    def texts(self, css: str) -> list[str]:
        """The text of all elements, hidden ones too; what is no Unicode as U+FFFD."""
        found = self.run(
            "return [...document.querySelectorAll(arguments[0])]"
            ".map((one) => one.textContent.toWellFormed())",
            css,
        )
        return list(found)

    def choose(self, label: str, value: str) -> None:
        """Choose an option of the list with this label, by its text."""
        path = f"//label[span[text()='{label}']]/select/option[text()='{value}']"
        self.browser.find_element("xpath", path).click()

    def console(self) -> list[Any]:
        """What the console said since it was last asked."""
        return list(self.browser.get_log("browser"))

    def requests(self) -> list[str]:
        """Addresses requested since last asked, but files and what the page makes itself."""
        entries = [
            json.loads(one["message"])["message"] for one in self.browser.get_log("performance")
        ]
        asked = [
            entry["params"]["request"]["url"]
            for entry in entries
            if entry["method"] == "Network.requestWillBeSent"
        ]
        return [url for url in asked if not url.startswith(("file:", "data:", "about:", "blob:"))]

    def opened_case(self) -> Any:
        """The panel of the first open case, when its responses are there."""
        return self.until(
            lambda: self.run(
                "return [...document.querySelectorAll('#cases .opened')]"
                ".find((row) => !row.hidden && row.querySelector('.answers:not([aria-busy])'))"
            )
        )

"""The README's picture: ``python -m tests.browser.screenshot docs/images/report.png``.

Six simulated models are asked anew, into a folder of their own, so that the picture needs neither
keys nor recordings and shows models that differ.
"""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from tests.browser.conftest import ROOT, chromium
from tests.browser.pages import Page

MODELS = ("alpha", "beta", "gamma", "delta", "epsilon", "zeta")
SUITES = ("facts", "refusals", "uncertainty", "instructions")
FOLD = """
const open = document.querySelectorAll('#groups .opener[aria-expanded=true]');
for (const opener of open) opener.click();
scrollTo(0, 0);
"""


def simulated_study(folder: Path) -> dict[str, Any]:
    """A run of four suites over six simulated models."""
    path = folder / "run.json"
    subprocess.run(
        [
            *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--tb=no"),
            *(f"evals/test_{suite}.py" for suite in SUITES),
            f"--convergence-cassettes={folder / 'cassettes'}",
            "--convergence-record=new_episodes",
            f"--convergence-models={','.join(f'sim/{name}' for name in MODELS)}",
            f"--convergence-json={path}",
        ],
        cwd=ROOT,
        check=False,
    )
    run: dict[str, Any] = json.loads(path.read_text())
    run["command"] = [f"evals/test_{suite}.py" for suite in SUITES]
    return run


def picture(page: Page, path: Path, height: int) -> None:
    """Save what the window shows, and below, down to a height."""
    size = page.run("return [innerWidth, document.documentElement.scrollHeight]")
    clip = {"x": 0, "y": 0, "width": size[0], "height": min(size[1], height), "scale": 1}
    shot = page.browser.execute_cdp_cmd(
        "Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True, "clip": clip}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(shot["data"]))


def main(target: Path) -> None:
    """Write the picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        run = simulated_study(folder)
        with chromium(folder / "profile") as browser:
            page = Page.of(browser, run, folder)
            page.run(FOLD)
            page.until(lambda: page.all("#panel .tree svg"))
            picture(page, target, 1790)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""How large the report of a large study is, and how soon it can be used, in a real Chromium.

Run: ``python -m benchmarks.report_page [--quick]``. Two in five words of an answer are its own,
drawn as words are: few of them often. The last line is JSON.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from tests.browser.conftest import chromium
from tests.browser.pages import Page

from pytest_convergence.report.html import write_page

MODELS, SAMPLES, WORDS = 15, 5, 115
WATCH = """
window.tasks = [];
const note = (list) => window.tasks.push(...list.getEntries().map((one) => one.duration));
new PerformanceObserver(note).observe({ type: 'longtask', buffered: true });
"""


def study(prompts: int, seed: int = 0) -> dict[str, Any]:
    """A run of 15 models and 5 samples in ten groups, a third of its cases failing."""
    rng = random.Random(seed)
    letters = "etaoinshrdlucmfwygpbvk"
    words = ["".join(rng.choices(letters, k=rng.randint(1, 11))) for _ in range(6000)]
    weights = [1 / (rank + 3) for rank in range(len(words))]
    names = [f"vendor-{number % 5}/model-{number}" for number in range(MODELS)]
    matrix = [[1.0 if a == b else rng.random() for b in range(MODELS)] for a in range(MODELS)]
    for a in range(MODELS):
        for b in range(a):
            matrix[a][b] = matrix[b][a]
    cases = [_case(number, names, matrix, words, weights, rng) for number in range(prompts)]
    models = [
        {"name": name, "simulated": True, "responses": prompts * SAMPLES, "missing": {}}
        | {"served": {}, "usage": {}}
        for name in names
    ]
    groups = [_group(k, cases[k::10], names, matrix) for k in range(10)]
    head = {"version": 1, "created": "2026-11-21T10:00:00+00:00", "command": ["evals/"]}
    rest: dict[str, Any] = {"settings": {}, "problems": [], "extra": {}}
    return {**head, **rest, "models": models, "cases": cases, "groups": groups}


def _judged(value: float) -> dict[str, Any]:
    passed = value >= 0.33
    shown = {"value": value, "interval": {"low": value - 0.1, "high": value + 0.1}, "reason": ""}
    told = {"threshold": 0.33, "direction": "converges", "settled": True, "passed": passed}
    word = "converged" if passed else "diverged"
    return {**shown, **told, "verdict": word, "metric": "embedding", "samples": SAMPLES}


def _case(
    number: int,
    names: list[str],
    matrix: list[list[float]],
    words: list[str],
    weights: list[float],
    rng: random.Random,
) -> dict[str, Any]:
    base = rng.choices(words, weights, k=WORDS)
    drawn = iter(rng.choices(words, weights, k=MODELS * SAMPLES * WORDS))
    said = {
        name: [
            {
                "text": " ".join(next(drawn) if rng.random() < 0.4 else word for word in base),
                "finish": "stop",
            }
            for _ in range(SAMPLES)
        ]
        for name in names
    }
    places = {
        name: [
            [round(rng.gauss(0, 1), 3), round(rng.gauss(0, 1), 3), rng.randrange(3)]
            for _ in range(SAMPLES)
        ]
        for name in names
    }
    identity = f"evals/test_large.py::test_large[prompt-{number}]"
    named = {"id": identity, "nodeid": identity, "prompt_id": f"prompt-{number}"}
    text = {"prompt": " ".join(base[:30]), "family": str(number), "responses": said}
    panel = {"present": names, "pairs": {"similarity": matrix}, "places": places, "missing": []}
    return {**named, **text, **panel, **_judged(rng.random()), "quantity": "similarity"}


def _group(
    number: int, cases: list[dict[str, Any]], names: list[str], matrix: list[list[float]]
) -> dict[str, Any]:
    identity = f"evals/test_large.py::test_large[group-{number}]"
    named = {"id": identity, "nodeid": identity, "capability": f"capability {number}", "arm": ""}
    numbers = {"similarity": 0.5, "within": 0.8, "floor": 0.2, "ceiling": 0.8, "score": 0.5}
    kinds = ("similarity", "floor", "ceiling", "score", "low", "high", "mmd2")
    panel = {"models": names, "present": names, "pairs": dict.fromkeys(kinds, matrix)}
    rest = {"missing": [], "cases": [case["id"] for case in cases], "quantity": "score"}
    return {**named, **numbers, **panel, **rest, **_judged(0.5)}


def measure(prompts: int) -> dict[str, float]:
    """Size in MB, seconds to build, to be ready, and of the longest task in the first 10 s."""
    run = study(prompts)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "report.html"
        started = time.perf_counter()
        write_page(run, path)
        built = time.perf_counter() - started
        with chromium(Path(name) / "profile") as browser:
            browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": WATCH})
            page = Page(browser, path)
            time.sleep(10)
            ready = page.run("return performance.getEntriesByName('ready')[0].startTime")
            longest = page.run("return Math.max(0, ...window.tasks)")
        return {
            "responses": prompts * MODELS * SAMPLES,
            "megabytes": round(path.stat().st_size / 1e6, 2),
            "build_seconds": round(built, 2),
            "ready_seconds": round(ready / 1000, 3),
            "longest_task_seconds": round(longest / 1000, 3),
        }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a tenth of the prompts")
    print(json.dumps(measure(75 if parser.parse_args().quick else 750)))

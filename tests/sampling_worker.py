"""One process of a run, as a worker of xdist is one: ``python -m tests.sampling_worker JSON``.

It takes every ``workers``-th test of the plan, and at last waits for all units, as an item for
a group does. It prints the texts, its report, and what went wrong, as one line of JSON.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from pytest_convergence.errors import ConvergenceError
from pytest_convergence.sampling.sampler import Sampler
from pytest_convergence.sampling.settings import Limits
from tests.sampling_parts import plan, recordings, settings, texts


def work(
    folder: str,
    url: str,
    worker: int = 0,
    workers: int = 1,
    group: bool = True,
    shape: dict[str, Any] | None = None,
    **changes: Any,
) -> dict[str, Any]:
    units = plan(url, **(shape or {}))
    models = len({unit.model.name for unit in units})
    tests = [units[start : start + models] for start in range(0, len(units), models)]
    if "domain_limits" in changes:
        changes["domain_limits"] = Limits(**changes["domain_limits"])
    sampler = Sampler(recordings(Path(folder)), settings(Path(folder), **changes), worker, workers)
    problem = ""
    said: list[tuple[str, ...]] = []
    try:
        sampler.start(units)
        for test in tests[worker::workers]:
            texts(sampler, test)
        said = texts(sampler, units) if group else []
    except ConvergenceError as error:
        problem = str(error)
    report = sampler.close()
    return {"texts": said, "report": report.as_dict(), "problem": problem}


def launch(folder: Path, url: str, **arguments: Any) -> subprocess.Popen[str]:
    """Start one process of a run."""
    given = json.dumps({"folder": str(folder), "url": url, **arguments})
    command = [sys.executable, "-m", "tests.sampling_worker", given]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def launch_run(folder: Path, url: str, workers: int, **arguments: Any) -> list[dict[str, Any]]:
    """Run all the workers of a run to their end, between a start and a finish."""
    kept = recordings(folder)
    kept.start()
    processes = [
        launch(folder, url, worker=worker, workers=workers, **arguments)
        for worker in range(workers)
    ]
    results = [json.loads(process.communicate(timeout=30)[0]) for process in processes]
    kept.finish()
    return results


if __name__ == "__main__":
    print(json.dumps(work(**json.loads(sys.argv[1]))))

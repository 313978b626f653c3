"""One process of a run, as a worker of xdist is one.

It takes every ``workers``-th test of the plan, and at last waits for all units, as an item for
a group does. It sends the texts, its report, and what went wrong.
"""

from __future__ import annotations

import multiprocessing
import sys
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from pytest_convergence.errors import ConvergenceError
from pytest_convergence.sampling.sampler import Sampler
from pytest_convergence.sampling.settings import Limits
from tests.sampling_parts import plan, recordings, settings, texts

# Loading takes longer than all the work: where it can, each process is a fork of one that has.
_LOADED = ["tests.sampling_worker", "pytest_convergence.sampling.engine", "pytest", "httpx"]
_LOADED += ["httpcore", "vcr.serialize", "anyio._backends._asyncio"]
if sys.platform == "win32":
    PROCESSES = multiprocessing.get_context("spawn")
else:
    PROCESSES = multiprocessing.get_context("forkserver")
    PROCESSES.set_forkserver_preload(_LOADED)


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


def _say(results: Connection, given: dict[str, Any]) -> None:
    results.send(work(**given))


class Launched:
    """One process of a run, started: ``Launched(folder, url, **what_work_takes)``."""

    def __init__(self, folder: Path, url: str, **arguments: Any) -> None:
        self._results, results = PROCESSES.Pipe(duplex=False)
        given = {"folder": str(folder), "url": url, **arguments}
        self._process = PROCESSES.Process(target=_say, args=(results, given), daemon=True)
        self._process.start()
        results.close()

    def running(self) -> bool:
        return bool(self._process.is_alive())

    def kill(self) -> None:
        self._process.kill()
        self._process.join()

    def result(self) -> dict[str, Any]:
        """What it came to; an error where it died before."""
        assert self._results.poll(60), "the process hangs"
        result: dict[str, Any] = self._results.recv()
        self._process.join()
        return result


def launch_run(folder: Path, url: str, workers: int, **arguments: Any) -> list[dict[str, Any]]:
    """Run all the workers of a run to their end, between a start and a finish."""
    kept = recordings(folder)
    kept.start()
    processes = [
        Launched(folder, url, worker=worker, workers=workers, **arguments)
        for worker in range(workers)
    ]
    results = [process.result() for process in processes]
    kept.finish()
    return results

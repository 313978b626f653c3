"""Everything that knows about workers."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Any

import pytest


class Worker:
    """This process among the workers of a run; a run without workers is its only one."""

    def __init__(
        self, index: int = 0, count: int = 1, name: str = "main", run: str | None = None
    ) -> None:
        self.index = index
        self.count = count
        self.name = name
        self.run = run

    @property
    def alone(self) -> bool:
        """Whether there are no workers: this process collects, runs and reports."""
        return self.name == "main"


def this_worker(config: pytest.Config) -> Worker:
    """Which worker this process is."""
    given: dict[str, Any] | None = getattr(config, "workerinput", None)
    if given is None:
        return Worker()
    name = str(given["workerid"])
    number = name.removeprefix("gw")
    # A worker that was named by hand has no number; which models it prefers does not matter.
    index = int(number) if number.isdecimal() else 0
    return Worker(index, int(given["workercount"]), name, str(given["testrunuid"]))


def name_run(config: pytest.Config) -> str:
    """Called before workers begin: one name for the run in all its processes."""
    given: str | None = config.getoption("testrunuid", None)
    name = given or uuid.uuid4().hex
    config.option.testrunuid = name
    return name


def run_without_workers(config: pytest.Config) -> None:
    """Called before the run is distributed: keep it in this process."""
    config.option.numprocesses = 0
    config.option.dist = "no"
    config.option.tx = []


def hand_over(config: pytest.Config, key: str, value: str) -> None:
    """Called in a worker at its end: give the controller one ASCII string."""
    config.workeroutput[key] = value  # type: ignore[attr-defined]  # set by xdist in workers


def is_controller(config: pytest.Config) -> bool:
    """Whether this process hands out tests to workers and runs none itself."""
    return config.pluginmanager.hasplugin("dsession")


class ReportCount:
    """On the controller: every test that a worker collected must report.

    A worker that dies takes its queue along, and a run can end green with tests that never ran.
    """

    def __init__(self) -> None:
        self.collected: dict[str, None] = {}
        self.reported: set[str] = set()
        self.handed_over: list[dict[str, Any]] = []

    def pytest_xdist_node_collection_finished(self, ids: Sequence[str]) -> None:
        """Called by xdist when a worker has collected."""
        self.collected.update(dict.fromkeys(ids))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for each phase of each test that a worker ran."""
        self.reported.add(report.nodeid)

    def pytest_testnodedown(self, node: Any) -> None:
        """Called when a worker has ended; one that crashed hands nothing over."""
        self.handed_over.append(getattr(node, "workeroutput", None) or {})

    def unreported(self) -> list[str]:
        """Collected tests of which no phase was reported."""
        return [nodeid for nodeid in self.collected if nodeid not in self.reported]

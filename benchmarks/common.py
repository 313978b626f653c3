"""What the benchmarks share: processes timed from outside, medians of interleaved rounds."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

# Recordings are given; nothing may be downloaded, and no plugin but those named is loaded.
_ENVIRONMENT = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
    "HF_HUB_OFFLINE": "1",
}
_DROPPED = ("CI", "PYTEST_ADDOPTS", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE")


@dataclass(frozen=True)
class Cost:
    """What one process took, its children included: seconds, processor seconds, peak bytes.

    Linux counts the peak of the process that started it, too: that one has to stay small.
    """

    wall: float
    cpu: float
    peak: int


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The caller's environment without what would change a run."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name not in _DROPPED and not name.startswith("CONVERGENCE_")
    }
    return {**kept, **_ENVIRONMENT, **(more or {})}


def run(
    command: Sequence[str | Path], *, folder: Path, more: Mapping[str, str] | None = None
) -> Cost:
    """Run a command that has to succeed, in a process of its own."""
    with tempfile.TemporaryFile("w+") as said:
        started = time.perf_counter()
        child = subprocess.Popen(
            list(map(str, command)), cwd=folder, env=environment(more), stdout=said, stderr=said
        )
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            said.seek(0)
            tail = "\n".join(said.read().splitlines()[-30:])
            raise SystemExit(f"{' '.join(map(str, command))} exited {child.returncode}:\n{tail}")
    unit = 1 if sys.platform == "darwin" else 1024
    return Cost(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * unit)


def rounds(
    count: int, measures: Mapping[str, Callable[[], Cost]], *, warm: bool = True
) -> dict[str, list[Cost]]:
    """Every measure once a round, so that what else the machine does falls on all alike.

    The first round only fills the caches of files and bytecode, where ``warm`` is asked for.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in measures}
    for number in range(-1 if warm else 0, count):
        for name, measure in measures.items():
            cost = measure()
            if number >= 0:
                costs[name].append(cost)
    return costs


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each figure; of the peak, the largest."""
    return Cost(
        statistics.median(cost.wall for cost in costs),
        statistics.median(cost.cpu for cost in costs),
        max(cost.peak for cost in costs),
    )


def ratio(ours: Sequence[Cost], floor: Sequence[Cost]) -> tuple[float, float]:
    """The medians over rounds of ours to the floor's, each round by itself: of wall and CPU."""
    pairs = list(zip(ours, floor, strict=True))
    return (
        statistics.median(a.wall / b.wall for a, b in pairs),
        statistics.median(a.cpu / b.cpu for a, b in pairs),
    )


def load() -> str:
    """How busy the machine is, for the reader to judge the figures by."""
    busy = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return f"{os.cpu_count()} processors, load {busy}"


def rules_table(rules: Sequence[str], rows: Mapping[str, Mapping[str, float]]) -> None:
    """Print how often each rule fails a suite: false alarms first, then by share of prompts."""
    head = "| share of prompts changed | " + " | ".join(r.replace("_", " ") for r in rules) + " |"
    print(f"{head}\n|{'---|' * (len(rules) + 1)}")
    for name, row in rows.items():
        print(f"| {name} | " + " | ".join(f"{100 * row[rule]:.1f} %" for rule in rules) + " |")


def rules_figures(
    rules: Sequence[str], alarms: Mapping[str, float], curve: Mapping[float, Mapping[str, float]]
) -> dict[str, Any]:
    """The figures of the last line: the gate's, the first of the rules, and the rivals'."""
    gate, *rivals = rules
    return {
        "false_alarm": alarms[gate],
        "power": curve[0.5][gate],
        "curve": {str(share): row[gate] for share, row in curve.items()},
        "rivals": {
            rule: {"false_alarm": alarms[rule], "power": curve[0.5][rule]} for rule in rivals
        },
    }

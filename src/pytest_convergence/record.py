"""What a run has found so far, on the process that reports, and what makes it fail."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

ATTRIBUTE = "_convergence"


def as_attribute(entries: Sequence[Mapping[str, Any]], *, crossing: bool) -> Any:
    """Entries as they ride on a report.

    ``crossing`` a process boundary they are one ASCII string: execnet serialises by exact type,
    and a lone surrogate would kill the worker.
    """
    return json.dumps(entries, ensure_ascii=True) if crossing else list(entries)


class RunRecord:
    """Entries of every eval test that reported, and the reasons for which the run must fail."""

    def __init__(self) -> None:
        self.entries: list[dict[str, Any]] = []
        self.evals: set[str] = set()
        self.skipped: set[str] = set()
        self.incomplete: set[str] = set()
        self.problems: list[str] = []
        self.sampling: list[dict[str, Any]] = []

    def add(self, report: Any) -> None:
        """Take what a test's report carries off it; called once for each phase of each test."""
        carried = vars(report).pop(ATTRIBUTE, None)
        if carried is None:
            return
        self.evals.add(report.nodeid)
        entries = json.loads(carried) if isinstance(carried, str) else carried
        if report.skipped and not entries:
            self.skipped.add(report.nodeid)
        self.entries.extend(entries)
        if report.skipped and any(e["result"]["verdict"] == "incomplete" for e in entries):
            self.incomplete.add(report.nodeid)

    def conclude(self, *, unreported: Sequence[str], failed: bool) -> list[str]:
        """Why a run that pytest would call a success is none; empty where there is no reason.

        Parameters
        ----------
        unreported
            Tests that were collected and of which nothing was heard.
        failed
            Whether tests have failed or the run was stopped: then silence has another reason.
        """
        problems = []
        if unreported and not failed:
            shown = ", ".join(unreported[:3]) + (" …" if len(unreported) > 3 else "")
            problems.append(f"{len(unreported)} collected tests never reported: {shown}")
        if self.incomplete:
            problems.append(
                f"{len(self.incomplete)} incomplete: too many responses are missing to judge them"
            )
        judged = any(entry["result"]["verdict"] != "incomplete" for entry in self.entries)
        if self.evals - self.skipped and not judged and not self.incomplete and not failed:
            problems.append(
                f"{len(self.evals)} convergence tests ran and none came to a verdict: "
                "assert something about their responses"
            )
        self.problems = problems
        return problems


def unfinished(
    record: RunRecord,
    handed_over: Sequence[Mapping[str, Any]],
    *,
    stopped: bool,
    unreported: Sequence[str],
) -> str | None:
    """Why a run is not whole, so that nothing may be concluded from it for later; None if it is.

    ``handed_over`` is what each worker gave at its end; one that crashed gave nothing.
    """
    if stopped:
        return "the run was stopped before its end"
    if any(not given for given in handed_over):
        return "a worker crashed"
    if unreported:
        return f"{len(unreported)} collected tests never reported"
    if record.incomplete:
        return f"{len(record.incomplete)} tests are incomplete: responses are missing"
    return None

"""What a test's report carries: its results, and an error told so that it helps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from pytest_convergence.detect import is_eval, is_group, let_go, results_key
from pytest_convergence.errors import ConvergenceError
from pytest_convergence.record import ATTRIBUTE, RunRecord, as_attribute

if TYPE_CHECKING:
    from pytest_convergence.repeats import Repeats
    from pytest_convergence.results import CaseResponses, Result
    from pytest_convergence.settings import Settings


def end_traceback_at_user(call: pytest.CallInfo[None]) -> None:
    """Where an error is the user's to mend, the way through this package explains nothing."""
    if call.excinfo is None or not isinstance(call.excinfo.value, ConvergenceError):
        return
    package = str(Path(__file__).parent)
    last, entry = None, call.excinfo.value.__traceback__
    while entry is not None and not entry.tb_frame.f_code.co_filename.startswith(package):
        last, entry = entry, entry.tb_next
    if last is not None:
        last.tb_next = None


class ReportReader:
    """Takes the results off the reports, on the process that reports."""

    def __init__(self, record: RunRecord) -> None:
        self._record = record

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for each phase of each test, here or relayed from a worker."""
        self._record.add(report)


class ReportWriter:
    """Puts results on the reports, in the process that runs the tests.

    ``crossing`` says whether a report goes on to another process.
    """

    def __init__(self, config: pytest.Config, settings: Settings, *, crossing: bool) -> None:
        self._config = config
        self._settings = settings
        self._crossing = crossing
        self._repeats: Repeats | None = None
        self._latest: tuple[Sequence[CaseResponses], list[dict[str, Any]]] | None = None

    def forget(self) -> None:
        """Called when the run has ended: let go of what was reported last."""
        self._latest = None

    def tell(
        self, item: pytest.Item, call: pytest.CallInfo[None], report: pytest.TestReport
    ) -> None:
        """Make a report say what its test found, or what kept it from finding anything."""
        self._attach(item, report)
        error = call.excinfo.value if call.excinfo is not None else None
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None and getattr(error, "result", None) is not None:
            # The failure of one of our assertions: the short summary shows what it found.
            crash.message = str(error).split("\n", 1)[0]
        if report.failed and isinstance(error, ConvergenceError):
            if self._repeats is None:
                from pytest_convergence.repeats import Repeats

                self._repeats = Repeats()
            self._repeats.tell(item, error, report, whole=self._config.option.verbose > 1)

    def _attach(self, item: pytest.Item, report: pytest.TestReport) -> None:
        """Put a test's results on the report of its call (or of the phase that ended it)."""
        if report.when == "teardown":
            let_go(item)
        if report.when == "teardown" or (report.when == "setup" and report.passed):
            return
        entries = self._entries(item)
        if entries:
            from pytest_convergence.report.junit import properties
            from pytest_convergence.report.pytest_html import add_panels

            # The teardown's report, from which JUnit takes them, has the item's.
            item.user_properties += properties(entries)
            add_panels(self._config, report, entries)
        if entries or is_eval(item):
            setattr(report, ATTRIBUTE, as_attribute(entries, crossing=self._crossing))

    def _entries(self, item: pytest.Item) -> list[Mapping[str, Any]]:
        results = item.stash.get(results_key, [])
        if not results:
            return []
        kind = "group" if is_group(item) else "case"
        from pytest_convergence.entries import result_entry
        from pytest_convergence.garbage import collector_paused

        with collector_paused():
            entries: list[Mapping[str, Any]] = [
                {"kind": kind, "result": result_entry(result), "cases": self._cases_of(result)}
                for result in results
            ]
        if self._settings["baseline"] is not None or self._settings["candidate"] is not None:
            from pytest_convergence.baseline.gate import with_gate

            entries = with_gate(entries, item, results)
        return entries

    def _cases_of(self, result: Result) -> list[dict[str, Any]]:
        """A test with all prompts and the group behind it have the same cases: made once."""
        from pytest_convergence.entries import case_entry

        if self._latest is None or self._latest[0] is not result.cases:
            self._latest = (result.cases, [case_entry(case) for case in result.cases])
        return self._latest[1]

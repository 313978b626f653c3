"""An error that many tests share is told in full once, and in one line from then on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest
from _pytest._code.code import (
    ReprEntryNative,
    ReprExceptionInfo,
    ReprFileLocation,
    ReprTraceback,
)

from pytest_convergence.collect import cases_of
from pytest_convergence.detect import group_key
from pytest_convergence.errors import ConvergenceError


class Repeats:
    """The errors that tests of this process have met, each with the first that met it."""

    def __init__(self) -> None:
        self._first: dict[tuple[object, ...], str] = {}

    def tell(
        self, item: pytest.Item, error: ConvergenceError, report: pytest.TestReport, *, whole: bool
    ) -> None:
        """Head the report with what is wrong, and shorten it where another test told the same.

        Parameters
        ----------
        whole
            Whether a repeated error is told in full as well.
        """
        crash = getattr(report.longrepr, "reprcrash", None)
        if crash is not None:
            crash.message = error.headline
        first = self._first.setdefault(_without_names(item, error), item.nodeid)
        if first != item.nodeid and not whole:
            path, line, _ = report.location
            report.longrepr = plain_failure(
                f"{error.headline}\n(told in full at {first}; -vv tells it at each test)",
                path,
                line,
            )


def plain_failure(message: str, path: str, line: int | None) -> Any:
    """A failure that is its message alone, with no code to show; ``line`` counts from 0.

    The shape that survives the way from a worker, and whose first line JUnit and the short summary
    show.
    """
    where = ReprFileLocation(path, (line or 0) + 1, message.split("\n", 1)[0])
    traceback = ReprTraceback([ReprEntryNative([f"{message}\n"])], None, style="native")
    return ReprExceptionInfo(reprtraceback=traceback, reprcrash=where)


def _without_names(item: pytest.Item, error: ConvergenceError) -> tuple[object, ...]:
    """What an error says when it does not say which test and which prompt it is about."""
    group = item.stash.get(group_key, None)
    cases = cases_of(item) if group is None else group.cases
    names = [item.nodeid]
    for case in cases:
        names += [case.nodeid, f"prompt {case.prompt_id!r}"]
    return (type(error), *(_cut(text, names) for text in (error.headline, *error.details)))


def _cut(text: str, names: Iterable[str]) -> str:
    for name in names:
        text = text.replace(name, "")
    return text

"""A verdict over a group of prompts is a test like any other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence.declaration import Group
from pytest_convergence.detect import group_key
from pytest_convergence.errors import ConvergenceError, SettingsError
from pytest_convergence.repeats import plain_failure

# Marks that belong to a function's own cases, not to the verdict over them.
_OWN_MARKS = ("parametrize", "usefixtures", "filterwarnings")


class GroupItem(pytest.Item):
    """``test_facts[group]``: the score of all collected cases of a test, selected or not.

    It waits for responses, never for other tests, so it runs anywhere and on its own.
    """

    def __init__(self, *, group: Group, function: pytest.Function, **arguments: Any) -> None:
        super().__init__(**arguments)
        self.group = group
        self.stash[group_key] = group
        self._line = function.reportinfo()[:2]
        callspec = getattr(function, "callspec", None)
        of_one_prompt = list(callspec.marks) if callspec else []
        for mark in function.own_markers:
            if mark.name not in _OWN_MARKS and mark not in of_one_prompt:
                self.own_markers.append(mark)
                self.keywords[mark.name] = mark
        self.extra_keyword_matches.add("group")
        if group.capability:
            self.extra_keyword_matches.add(group.capability)

    def runtest(self) -> None:
        """Judge the group; fails, or skips where it is incomplete."""
        from pytest_convergence.session import session_of

        session_of(self.config).evaluation.judge_group_item(self)

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """The line of the test function, for annotations and JUnit."""
        path, line = self._line
        return Path(path), line, self.name

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *_: Any, **__: Any) -> Any:
        """The message alone: there is no user code to show."""
        if not isinstance(excinfo.value, AssertionError | ConvergenceError):
            return super().repr_failure(excinfo)
        path, line = self._line
        return plain_failure(str(excinfo.value), str(path), line)


def group_items(functions: Sequence[pytest.Function], groups: Sequence[Group]) -> list[GroupItem]:
    """One item for each group, to be appended to the functions it is made of."""
    items = []
    for group in groups:
        first = next(item for item in functions if item.nodeid == group.cases[0].nodeid)
        if first.parent is None:
            raise SettingsError(f"{first.nodeid} has no parent to collect its group under")
        item = GroupItem.from_parent(
            first.parent,
            name=group.id.rsplit("::", 1)[1],
            nodeid=group.id,
            group=group,
            function=first,
        )
        items.append(item)
    return items

"""The controller's side of the gate: what vanished, and the one writer of the baseline.

It loads nothing heavy before a run with evals has ended.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence.errors import BaselineError, SettingsError
from pytest_convergence.record import ATTRIBUTE
from pytest_convergence.settings import Settings

_NAMED = 3


def check_settings(settings: Settings) -> None:
    """Options of the gate that make no sense without one another.

    Raises
    ------
    SettingsError
        For an update, or a requirement, of no baseline.
    """
    for name in ("update_baseline", "require_baseline"):
        if settings[name] and settings["baseline"] is None:
            raise SettingsError(
                f"--convergence-{name.replace('_', '-')} needs a baseline",
                fix=["add --convergence-baseline=PATH, or convergence_baseline = PATH to the ini"],
            )


class Keeper:
    """Listens to the reports of a run that names a baseline, on the process that reports."""

    def __init__(self, settings: Settings, arguments: Sequence[str]) -> None:
        self._settings = settings
        self._arguments = arguments
        self._blocks: dict[str, dict[str, Any]] = {}
        self._judged: set[str] = set()
        self._failed: set[str] = set()
        self._seen: set[str] = set()
        self.vanished: list[str] = []
        self.said: list[str] = []
        if settings["update_baseline"]:
            # Stands where the run ends in a way that concludes nothing.
            name = Path(str(settings["baseline"])).name
            self.said.append(f"the baseline {name} was not updated: the run was interrupted")

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Called for each phase of each test, here or relayed from a worker."""
        self._seen.add(report.nodeid.split("::", 1)[0])
        carried = getattr(report, ATTRIBUTE, None)
        entries = json.loads(carried) if isinstance(carried, str) else carried or []
        for entry in entries:
            self._judged.add(entry["result"]["id"])
            if "baseline" in entry:
                self._blocks[entry["result"]["id"]] = entry.pop("baseline")
        if report.failed and not entries:
            self._failed.add(report.nodeid)

    def conclude(self, *, made: Collection[str], unfinished: str | None) -> list[str]:
        """Called when all tests have run; returns why the run must fail, as problems.

        Parameters
        ----------
        made
            Ids of all groups that collection made, selected or not.
        unfinished
            Why the run is not whole: it was stopped, a worker crashed, responses are missing.
        """
        self.said.clear()
        if not made and not self._blocks:
            return []  # a run without evals is left alone
        from pytest_convergence.baseline.file import read_entries

        path = self._settings.path("baseline")
        assert path is not None
        updating = bool(self._settings["update_baseline"])
        if updating and not path.exists():
            before: dict[str, dict[str, Any]] = {}
        else:
            try:
                before = read_entries(path)
            except BaselineError:
                return []  # each group has told it, and failed
        self.vanished = sorted(name for name in before if self._gone(name, made))
        if updating:
            return self._update(path, before, made, unfinished)
        if self.vanished and self._settings["require_baseline"]:
            return [f"{len(self.vanished)} groups of the baseline vanished: {_some(self.vanished)}"]
        return []

    def _gone(self, name: str, made: Collection[str]) -> bool:
        """Whether a group of the baseline should have been collected and was not."""
        file = name.split("::", 1)[0]
        if name in made:
            return False
        if file in self._seen or any(other.split("::", 1)[0] == file for other in made):
            return True
        return not (self._settings.rootpath / file).exists() and self._covered(file)

    def _covered(self, file: str) -> bool:
        """Whether the command's arguments would have collected this file."""
        root = self._settings.rootpath
        for argument in self._arguments:
            place = Path(argument.split("::", 1)[0])
            place = place if place.is_absolute() else Path.cwd() / place
            if (root / file).resolve().is_relative_to(place.resolve()):
                return True
        return False

    def _update(
        self,
        path: Path,
        before: dict[str, dict[str, Any]],
        made: Collection[str],
        unfinished: str | None,
    ) -> list[str]:
        from pytest_convergence.baseline.file import write_baseline

        lost = sorted(name for name in made if name in self._failed and name not in self._blocks)
        if lost and unfinished is None:
            unfinished = f"{len(lost)} groups could not be judged: {_some(lost)}"
        if unfinished is None and not self._blocks:
            unfinished = "no group was judged that a baseline can keep"
        if unfinished is not None:
            return [f"the baseline {path.name} was not updated: {unfinished}"]
        # What was judged and made no block is now judged by a metric that a baseline cannot keep.
        gone = {*self.vanished, *(self._judged - set(self._blocks))}
        kept = {name: entry for name, entry in before.items() if name not in gone}
        after = {**kept, **self._blocks}
        try:
            write_baseline(path, after)
        except BaselineError as error:
            return [error.headline]
        changed = [name for name in after if after[name] != before.get(name)]
        self.said = [
            f"baseline {path.name}: {len(after)} groups, {len(changed)} written, "
            f"{len(after) - len(changed)} kept, {len(set(before) & gone)} removed"
        ]
        return []

    def entry(self) -> dict[str, Any]:
        """What the run file says of the gate beside each group's own decision."""
        return {
            "baseline": self._settings["baseline"],
            "updated": bool(self.said),
            "vanished": list(self.vanished),
        }


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED])
    return shown if len(names) <= _NAMED else f"{shown} and {len(names) - _NAMED} more"

"""Which tests are evals: asked of every collected test, so it costs next to nothing."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_convergence.declaration import Group
    from pytest_convergence.panel import EvalTest
    from pytest_convergence.results import Result

MARKER = "convergence"
_FIXTURES = ("convergence", "convergence_models")
_PLUGIN = "pytest_convergence.plugin"

group_key: pytest.StashKey[Group] = pytest.StashKey()
results_key: pytest.StashKey[list[Result]] = pytest.StashKey()
test_key: pytest.StashKey[EvalTest] = pytest.StashKey()


def is_eval(item: pytest.Item) -> bool:
    """Whether a test carries our marker or requests one of our fixtures."""
    if item.get_closest_marker(MARKER) is not None or is_group(item):
        return True
    names = getattr(item, "fixturenames", ())
    if any(name in names for name in _FIXTURES):
        return True
    return "models" in names and _our_models(item)


def is_group(item: pytest.Item) -> bool:
    """Whether an item is the verdict over a group."""
    return group_key in item.stash


def _our_models(item: pytest.Item) -> bool:
    # A suite that defines its own ``models`` fixture keeps it.
    information: Any = getattr(item, "_fixtureinfo", None)
    definitions: Sequence[Any] = (
        information.name2fixturedefs.get("models", ()) if information else ()
    )
    return bool(definitions) and definitions[-1].func.__module__ == _PLUGIN


def let_go(item: pytest.Item) -> None:
    """A test that has ended and told what it found needs its results no more."""
    if results_key in item.stash:
        del item.stash[results_key]
    if test_key in item.stash:
        del item.stash[test_key]

"""Which test is running: assertions over plain texts need to know whose they are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pytest_convergence.panel import EvalTest

_makers: list[Callable[[], EvalTest]] = []


@contextmanager
def running(make: Callable[[], EvalTest]) -> Iterator[None]:
    """While the block runs, ``make()`` is the test that assertions belong to."""
    _makers.append(make)
    try:
        yield
    finally:
        _makers.pop()


def current_test() -> EvalTest | None:
    """The running test, or None outside one."""
    return _makers[-1]() if _makers else None

"""The collector is left alone while a study is read, and has everything back at the end."""

from __future__ import annotations

import gc
from collections.abc import Iterator

import pytest

from pytest_convergence.garbage import collector_paused, release


@pytest.fixture(autouse=True)
def nothing_aside() -> Iterator[None]:
    release()
    yield
    release()


def test_little_is_not_set_aside() -> None:
    with collector_paused():
        assert not gc.isenabled()
        kept = [[number] for number in range(100)]
    assert gc.isenabled()
    assert gc.get_freeze_count() == 0
    del kept


def test_a_study_is_set_aside_until_it_is_released() -> None:
    with collector_paused():
        kept = [[number] for number in range(60_000)]
    assert gc.get_freeze_count() > len(kept)
    release()
    assert gc.get_freeze_count() == 0


def test_a_collector_that_was_off_stays_off() -> None:
    gc.disable()
    try:
        with collector_paused():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()

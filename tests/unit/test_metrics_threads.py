from __future__ import annotations

import inspect

import pytest
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

from pytest_convergence.metrics.convergence import estimate_group
from pytest_convergence.metrics.threads import one_thread


def blas_threads() -> list[int]:
    """Of numpy's own library: scipy brings another, for whoever loads it later."""
    found = ThreadpoolController().info()
    return [
        library["num_threads"]
        for library in found
        if library["user_api"] == "blas" and "scipy.libs" not in library["filepath"]
    ]


@one_thread
def threads_inside(*, fails: bool) -> list[int]:
    if fails:
        raise RuntimeError("for the test")
    return blas_threads()


def test_linear_algebra_has_one_thread_inside_and_what_it_had_after() -> None:
    before = blas_threads()
    if not before:
        pytest.skip("numpy is built without a BLAS whose threads can be limited")
    assert set(threads_inside(fails=False)) == {1}
    assert blas_threads() == before


def test_a_failure_gives_the_threads_back() -> None:
    before = blas_threads()
    with pytest.raises(RuntimeError, match="for the test"):
        threads_inside(fails=True)
    assert blas_threads() == before


def test_a_group_is_estimated_with_one_thread() -> None:
    assert inspect.unwrap(estimate_group) is not estimate_group

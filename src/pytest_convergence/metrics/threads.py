"""One thread for linear algebra."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import numpy  # noqa: F401  # the library whose threads are limited has to be loaded
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

_Given = ParamSpec("_Given")
_Result = TypeVar("_Result")

_libraries = ThreadpoolController()


def one_thread(function: Callable[_Given, _Result]) -> Callable[_Given, _Result]:
    """The function with BLAS held to one thread while it runs.

    A panel's matrices are small. Several threads gain little on them, lose twentyfold where
    processors are shared (by workers, on CI), and add up in an order that depends on their number.
    """

    @wraps(function)
    def alone(*arguments: _Given.args, **named: _Given.kwargs) -> _Result:
        with _libraries.limit(limits=1, user_api="blas"):
            return function(*arguments, **named)

    return alone

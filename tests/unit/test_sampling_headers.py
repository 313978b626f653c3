from __future__ import annotations

import pytest

from pytest_convergence.sampling.headers import pause_asked, quotas

DATE = "Fri, 20 Nov 2026 12:00:00 GMT"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, 0),
        ({"retry-after": "7"}, 7),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "1500", "retry-after": "2"}, 1.5),
        ({"retry-after": "Fri, 20 Nov 2026 12:00:30 GMT", "date": DATE}, 30),
        ({"retry-after": "Fri, 20 Nov 2026 11:00:00 GMT", "date": DATE}, 0),
        ({"retry-after": "soon"}, 0),
        ({"retry-after": "-3"}, 0),
        ({"retry-after": "nan"}, 0),
        ({"retry-after": "inf"}, 0),
        ({"retry-after": "1000000000", "date": DATE}, 1e9),
        ({"retry-after": "1795176030", "date": DATE}, 30),
        ({"retry-after": "1795175990", "date": DATE}, 0),
        ({"retry-after": "Fri, 31 Dec 9999 23:59:59 GMT", "date": DATE}, 251607124799),
        ({"retry-after": "Fri, 31 Dec 99999 23:59:59 GMT", "date": DATE}, 0),
    ],
)
def test_retry_after_is_read_in_every_spelling(headers: dict[str, str], seconds: float) -> None:
    assert pause_asked(headers) == seconds


@pytest.mark.parametrize(
    ("headers", "kind", "remaining", "reset"),
    [
        (
            {"x-ratelimit-remaining-requests": "59", "x-ratelimit-reset-requests": "1s"},
            "requests",
            59,
            1,
        ),
        (
            {"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"},
            "tokens",
            0,
            360,
        ),
        (
            {"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "20ms"},
            "requests",
            1,
            0.02,
        ),
        (
            {
                "anthropic-ratelimit-requests-remaining": "4",
                "anthropic-ratelimit-requests-reset": "2026-11-20T12:00:10Z",
                "date": DATE,
            },
            "requests",
            4,
            10,
        ),
        (
            {
                "x-ratelimit-remaining": "0",
                "x-ratelimit-reset": "1795176005000",
                "date": DATE,
            },
            "requests",
            0,
            5,
        ),
    ],
)
def test_quotas_are_read_from_three_kinds_of_providers(
    headers: dict[str, str], kind: str, remaining: float, reset: float
) -> None:
    (quota,) = quotas(headers)
    assert (quota.kind, quota.remaining) == (kind, remaining)
    assert quota.reset == pytest.approx(reset)


def test_headers_that_make_no_sense_say_nothing() -> None:
    assert not list(quotas({"x-ratelimit-remaining": "many", "x-ratelimit-reset": "1"}))
    assert not list(quotas({"x-ratelimit-remaining": "3"}))

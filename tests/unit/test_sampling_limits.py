from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from pytest_convergence.errors import SettingsError
from pytest_convergence.sampling.board import Board
from pytest_convergence.sampling.headers import Quota
from pytest_convergence.sampling.limits import Gate, Limiter, domain_key, fair_share
from pytest_convergence.sampling.settings import Limits, SamplingSettings
from tests.sampling_parts import KEY, model, settings

URL = "http://127.0.0.1:1/v1"


@contextmanager
def limiter(folder: Path, **changes: Any) -> Iterator[tuple[Limiter, Board]]:
    board = Board(folder / ".convergence" / "sampling", "r")
    board.join()
    try:
        yield Limiter(board, settings(folder, **changes)), board
    finally:
        board.leave()


def sync(pair: tuple[Limiter, Board]) -> None:
    with pair[1].transaction() as state:
        pair[0].sync(state)


def own(limits: Limiter) -> Gate:
    return limits.gates_of(model(URL))[1]


def press(limits: Limiter, calls: int) -> None:
    """Let calls wait for a place."""
    for gate in limits.gates_of(model(URL)):
        gate.waiting = calls


def filled(limits: Limiter) -> int:
    """How many places can be filled at once."""
    count = 0
    while limits.enter(model(URL)):
        count += 1
    return count


@pytest.mark.parametrize("name", ["in_flight", "requests_per_minute", "tokens_per_minute"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_limit_of_zero_is_a_settings_error(name: str, value: int) -> None:
    with pytest.raises(SettingsError, match=name):
        Limits(**{name: value})


@pytest.mark.parametrize("name", ["timeout", "total_seconds", "start"])
def test_a_budget_of_no_time_is_a_settings_error(name: str) -> None:
    changes: dict[str, Any] = {name: 0}
    with pytest.raises(SettingsError, match=name):
        SamplingSettings(**changes)


def test_a_model_starts_modestly_and_doubles_each_round_up_to_its_limit(tmp_path: Path) -> None:
    with limiter(tmp_path, start=4) as (limits, board):
        seen = []
        press(limits, 100)
        for _ in range(4):
            sync((limits, board))
            count = filled(limits)
            seen.append(count)
            for _ in range(count):
                limits.succeeded(model(URL))
                limits.leave(model(URL))
        assert seen == [4, 8, 16, 16]


def test_processes_share_the_places_of_a_gate_and_never_exceed_them(tmp_path: Path) -> None:
    with (
        limiter(tmp_path, start=16) as one,
        limiter(tmp_path, start=16) as two,
        limiter(tmp_path, start=16) as three,
    ):
        pairs = [one, two, three]
        press(one[0], 100)
        sync(one)
        assert filled(one[0]) == 16
        for pair in (two, three):
            press(pair[0], 100)
            sync(pair)
            assert filled(pair[0]) == 0
        for _ in range(16):
            one[0].leave(model(URL))
        for _ in range(3):
            for pair in pairs:
                sync(pair)
        shares = [filled(pair[0]) for pair in pairs]
        assert sum(shares) == 16
        assert min(shares) >= 5


def test_a_429_halves_what_is_allowed_once_a_round(tmp_path: Path) -> None:
    with limiter(tmp_path, start=16) as (limits, board):
        press(limits, 100)
        sync((limits, board))
        sent = time.monotonic()
        for _ in range(16):
            limits.refused(model(URL), sent=sent, weight=1.0, pause=0)
        sync((limits, board))
        assert own(limits).allowed == 8


def test_a_5xx_speaks_less_for_asking_less_than_a_429(tmp_path: Path) -> None:
    allowed = []
    for number, weight in enumerate((1.0, 0.25)):
        with limiter(tmp_path / str(number), start=16) as (limits, board):
            sync((limits, board))
            limits.refused(model(URL), sent=time.monotonic(), weight=weight, pause=0)
            sync((limits, board))
            allowed.append(own(limits).allowed)
    assert allowed[0] == 8
    assert allowed[1] == 15


def test_failures_that_do_not_depend_on_the_load_do_not_bring_sampling_to_a_standstill(
    tmp_path: Path,
) -> None:
    with limiter(tmp_path, start=8) as (limits, board):
        press(limits, 100)
        history = []
        for turn in range(200):
            sync((limits, board))
            now = time.monotonic()
            count = filled(limits)
            history.append(count)
            for number in range(count):
                if (turn * 7 + number) % 5 == 0:
                    limits.refused(model(URL), sent=now, weight=1.0, pause=0)
                else:
                    limits.succeeded(model(URL))
                limits.leave(model(URL))
        assert sum(history[50:]) / 150 > 6


def test_a_pause_asked_of_one_process_holds_for_all(tmp_path: Path) -> None:
    with limiter(tmp_path) as one, limiter(tmp_path) as two:
        for pair in (one, two):
            press(pair[0], 1)
            sync(pair)
        one[0].refused(model(URL), sent=time.monotonic(), weight=1.0, pause=30)
        assert filled(one[0]) == 0
        sync(one)
        sync(two)
        assert filled(two[0]) == 0
        assert 29 < two[0].paused(model(URL)) <= 30


def test_a_quota_that_is_used_up_waits_for_its_reset(tmp_path: Path) -> None:
    with limiter(tmp_path, start=16) as (limits, board):
        press(limits, 100)
        sync((limits, board))
        number = limits.started(model(URL))
        limits.note(model(URL), Quota("requests", 3, 0.2), number, 10)
        started = 0
        while limits.enter(model(URL)):
            limits.started(model(URL))
            started += 1
        assert started == 3
        time.sleep(0.25)
        assert limits.enter(model(URL))


def test_starts_under_a_rate_never_exceed_it_in_any_minute(tmp_path: Path) -> None:
    rate = 120
    with (
        limiter(tmp_path, domain_limits=Limits(requests_per_minute=rate)) as one,
        limiter(tmp_path, domain_limits=Limits(requests_per_minute=rate)) as two,
    ):
        now = time.monotonic()
        starts = sorted(
            time.monotonic() + pair[0].book(model(URL), 0) - now
            for _ in range(rate)
            for pair in (one, two)
        )
        worst = max(sum(start <= other < start + 60 for other in starts) for start in starts)
        assert worst <= rate
        assert starts[-1] < 2 * 61


def test_tokens_used_beyond_those_expected_delay_the_next_start(tmp_path: Path) -> None:
    with limiter(tmp_path, domain_limits=Limits(tokens_per_minute=6000)) as (limits, _):
        assert limits.book(model(URL), 100) == 0
        assert limits.book(model(URL), 0.1) < 0.2
        limits.correct(model(URL), 900)
        assert 8 < limits.book(model(URL), 100) < 10


def test_fifteen_models_behind_one_key_share_one_domain() -> None:
    keys = {domain_key(model(URL, f"m{number}")) for number in range(15)}
    assert len(keys) == 1
    assert domain_key(model(URL, key="sk-another-0123456789")) not in keys
    assert KEY not in keys.pop()


def test_places_are_shared_fairly_and_none_is_left_over() -> None:
    assert fair_share(16, {"a": 100, "b": 100}, 0) == {"a": 8, "b": 8}
    assert fair_share(16, {"a": 2, "b": 100}, 0) == {"a": 2, "b": 14}
    assert fair_share(16, {"a": 0, "b": 1}, 0) == {"a": 0, "b": 1}
    assert sum(fair_share(7, {"a": 9, "b": 9, "c": 9}, 3).values()) == 7


def test_a_place_that_cannot_be_divided_goes_round() -> None:
    turns = [fair_share(1, {"a": 5, "b": 5}, turn) for turn in range(4)]
    assert turns == [{"a": 1, "b": 0}, {"a": 0, "b": 1}] * 2

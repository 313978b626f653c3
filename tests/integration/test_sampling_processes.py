from __future__ import annotations

import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.sampling_parts import plan, recording, recordings, replaying, texts
from tests.sampling_worker import Launched, launch_run
from tests.servers import Asked, ChatServer, Reply

SHAPE: dict[str, Any] = {"models": 3, "prompts": 10, "samples": 2, "tests": ["a", "b"]}
CALLS = 3 * 10 * 2 * 2


def slow(asked: Asked) -> Reply:
    return Reply(after=0.02)


def kill(process: Launched, server: ChatServer) -> int:
    """Kill a process at once; how many of its calls were under way."""
    # What the server has sent a moment ago has not arrived yet.
    before = time.monotonic() - 0.1
    process.kill()
    return sum(asked.finished is None or asked.finished >= before for asked in server.asked)


@pytest.mark.parametrize("workers", [1, 2, 8])
def test_no_call_is_made_twice_whatever_the_number_of_workers(tmp_path: Path, workers: int) -> None:
    with ChatServer(slow).running() as server:
        results = launch_run(tmp_path, server.url, workers, run="r", shape=SHAPE)
        assert len(server.asked) == CALLS
        assert all(server.peak[name] <= 16 for name in ("m0", "m1", "m2"))
        said = replaying(tmp_path)
        units = plan(server.url, **SHAPE)
        kept = texts(said, units)
        assert [result["texts"] for result in results] == [kept] * workers
        assert (
            sum(
                r["report"]["by_model"]["test/m0"]["calls"]
                for r in results
                if "test/m0" in r["report"]["by_model"]
            )
            == CALLS / 3
        )


def test_two_runs_at_once_on_one_tree_pay_once_and_agree(tmp_path: Path) -> None:
    with ChatServer(slow).running() as server:
        more = {**SHAPE, "samples": 3, "tests": ["b", "a"]}
        one = Launched(tmp_path, server.url, run="one", shape=SHAPE)
        other = Launched(tmp_path, server.url, run="other", shape=more)
        said = [process.result() for process in (one, other)]
        recordings(tmp_path).start()
        assert len(server.asked) == 3 * 10 * 3 * 2
        assert [result["problem"] for result in said] == ["", ""]
        first, second = (
            dict(
                zip(
                    [(u.cassette, u.prompt_id) for u in plan(server.url, **shape)],
                    result["texts"],
                    strict=True,
                )
            )
            for shape, result in zip((SHAPE, more), said, strict=True)
        )
        assert {key: answers[:2] for key, answers in second.items()} == first


def test_killed_at_random_moments_a_study_loses_only_what_was_in_flight(tmp_path: Path) -> None:
    chance = random.Random(7)
    in_flight = 0
    with ChatServer(lambda asked: Reply(after=0.3)).running() as server:
        for _ in range(6):
            process = Launched(tmp_path, server.url, run="r", shape=SHAPE)
            before = len(server.asked)
            while len(server.asked) < before + 5:
                assert process.running()
                time.sleep(0.005)
            time.sleep(chance.random() * 0.5)
            in_flight += kill(process, server)
        with recording(tmp_path) as sampler:
            units = plan(server.url, **SHAPE)
            sampler.start(units)
            texts(sampler, units)
        assert 0 < len(server.asked) - CALLS <= in_flight


def test_a_worker_that_is_killed_blocks_nobody(tmp_path: Path) -> None:
    with ChatServer(slow).running() as server:
        recordings(tmp_path).start()
        doomed, other = (
            Launched(tmp_path, server.url, run="r", worker=worker, workers=2, shape=SHAPE)
            for worker in range(2)
        )
        while len(server.asked) < 20:
            time.sleep(0.005)
        lost = kill(doomed, server)
        result = other.result()
        assert result["problem"] == ""
        assert len(result["texts"]) == 60
        assert len(server.asked) <= CALLS + lost


def test_limits_of_a_domain_hold_over_all_workers(tmp_path: Path) -> None:
    with ChatServer(lambda asked: Reply(after=0.05)).running() as server:
        results = launch_run(
            tmp_path, server.url, 4, run="r", shape=SHAPE, domain_limits={"in_flight": 6}
        )
        assert [result["problem"] for result in results] == [""] * 4
        assert server.peak[""] == 6
        assert len(server.asked) == CALLS


def test_rates_of_a_domain_hold_over_all_workers(tmp_path: Path) -> None:
    shape = {"models": 2, "prompts": 15, "samples": 2}
    with ChatServer().running() as server:
        limits = {"requests_per_minute": 1200}
        launch_run(tmp_path, server.url, 3, run="r", shape=shape, domain_limits=limits)
        starts = sorted(asked.started for asked in server.asked)
        assert len(starts) == 60
        # Twenty a second, after what the first second's tolerance lets through at once; the
        # first call may have been under way for a while.
        assert starts[-1] - starts[0] >= (60 - 20) / 20 - 0.5

"""Ctrl-C while models are being asked: what is under way is kept, and nothing is asked twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.servers import Asked, ChatServer, Reply

EVAL = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact", samples=2)
@pytest.mark.parametrize("prompt", [f"p{number}" for number in range(20)])
def test_said(prompt, models):
    assert_converges(models, threshold=0)
"""
CALLS = 2 * 2 * 20
# A shell's background job, and with it all that it starts, is told to ignore Ctrl-C.
_HEARING = """
import signal, sys, pytest
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.exit(pytest.main())
"""


def start(project: Path, url: str, workers: int) -> subprocess.Popen[str]:
    panel = f"--convergence-models=local/a@{url},local/b@{url}"
    command = [sys.executable, "-c", _HEARING, "-p", "no:cacheprovider", "-n", str(workers), panel]
    return subprocess.Popen(
        [*command, "--convergence-record=new_episodes"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def wait_for(server: ChatServer, calls: int, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + 60
    while len(server.asked) < calls and time.monotonic() < until:
        assert process.poll() is None
        time.sleep(0.01)


@pytest.mark.parametrize(("workers", "whole_group"), [(0, True), (2, True), (2, False)])
def test_an_interrupted_run_keeps_what_was_under_way_and_goes_on(
    pytester: pytest.Pytester, workers: int, whole_group: bool
) -> None:
    pytester.makepyfile(test_evals=EVAL)
    latency = 3.0  # workers of a run that is interrupted have less time than this to end by
    with ChatServer(lambda asked: Reply(text="fine", after=latency)).running() as server:
        process = start(pytester.path, server.url, workers)
        wait_for(server, 8, process)
        time.sleep(0.2)
        # A terminal interrupts all processes at once, a service the one that it started.
        (os.killpg if whole_group else os.kill)(process.pid, signal.SIGINT)
        interrupted = time.monotonic()
        output = process.communicate(timeout=60)[0]
        assert time.monotonic() - interrupted < latency + 25
        assert process.returncode == pytest.ExitCode.INTERRUPTED
        asked = len(server.asked)
        assert all(call.status == 200 for call in server.asked)
        assert max(call.started for call in server.asked) < interrupted + 1.5
        assert "calls under way, which may have been paid for" in output
        assert f"interrupted: {asked} answers of this run are kept; the same command" in output
        assert "INTERNALERROR" not in output
        server.behave = lambda asked: Reply(text="fine")
        again = start(pytester.path, server.url, 2 - workers)
        assert "passed" in again.communicate(timeout=120)[0]
        assert len(server.asked) == CALLS


@pytest.mark.parametrize("workers", [0, 2])
def test_interrupted_again_a_run_leaves_the_calls_under_way(
    pytester: pytest.Pytester, workers: int
) -> None:
    pytester.makepyfile(test_evals=EVAL)

    def behave(asked: Asked) -> Reply:
        return Reply(text="fine", after=100.0 if asked.prompt == "p2" else 0.0)

    with ChatServer(behave).running() as server:
        process = start(pytester.path, server.url, workers)
        wait_for(server, 16, process)
        time.sleep(0.5)
        for _ in range(2):
            os.killpg(process.pid, signal.SIGINT)
            time.sleep(2.5)
        output = process.communicate(timeout=30)[0]
        assert process.returncode == pytest.ExitCode.INTERRUPTED
        assert "Ctrl-C again leaves them" in output
        assert "the same command asks for the rest" in output
        answered = len(server.answered)
        assert answered >= 8
        server.behave = lambda asked: Reply(text="fine")
        before = len(server.asked)
        again = start(pytester.path, server.url, 0)
        assert "passed" in again.communicate(timeout=120)[0]
        assert len(server.asked) - before == CALLS - answered

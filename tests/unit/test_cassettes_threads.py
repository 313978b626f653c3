"""Cassettes are written on several threads at once, the first of them in a fresh process."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys, threading
from pathlib import Path
from pytest_convergence.cassettes import serialise

start, problems = threading.Barrier(8), []

def write():
    start.wait()
    try:
        serialise([])
    except BaseException as problem:
        problems.append(repr(problem))

sys.setswitchinterval(1e-6)
threads = [threading.Thread(target=write) for _ in range(8)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
print(problems)
"""


def test_threads_that_load_vcr_at_the_same_time_do_not_meet_it_half_made() -> None:
    for _ in range(3):
        output = subprocess.run(
            [sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True
        ).stdout
        assert output.strip() == "[]"

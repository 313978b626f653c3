"""One process at a time holds the embedder, whatever the number of workers."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

# A worker: embeds its own texts and some that all share, by an embedder that keeps a log.
_WORKER = """
    import hashlib, json, os, sys, time
    from pathlib import Path
    import numpy as np
    from pytest_convergence.represent.embedding import vectors_for

    folder, number = Path(sys.argv[1]), sys.argv[2]
    count, pause = int(sys.argv[3]), float(sys.argv[4])

    def log(kind, value):
        with (folder / "log.jsonl").open("a") as stream:
            stream.write(json.dumps([kind, os.getpid(), value]) + "\\n")

    class Slow:
        name, revision, engine = "slow", "1", "test"
        def embed(self, texts):
            log("embed", list(texts))
            time.sleep(pause)
            seeds = [int.from_bytes(hashlib.sha256(text.encode()).digest()[:8]) for text in texts]
            return np.array([np.random.default_rng(seed).normal(size=64) for seed in seeds])

    def load(name):
        log("load", name)
        time.sleep(pause)
        return Slow()

    texts = [f"{number} {index}" for index in range(count)] + [f"all {i}" for i in range(20)]
    found = vectors_for({folder / f"{number}.json": texts}, "slow", record=True,
                        lock_dir=folder / "locks", load=load)
    print(hashlib.sha256(found[folder / f"{number}.json"].tobytes()).hexdigest(), flush=True)
    sys.stdin.readline()  # stay, and serve, until told to go
"""


def start(folder: Path, number: int, count: int, pause: float) -> subprocess.Popen[str]:
    script = folder / "worker.py"
    if not script.exists():  # an earlier worker may be reading it
        script.write_text(textwrap.dedent(_WORKER))
    command = [sys.executable, str(script), *map(str, (folder, number, count, pause))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    )


def digest(worker: subprocess.Popen[str]) -> str:
    """What a worker got; it stays."""
    assert worker.stdout is not None
    return worker.stdout.readline().strip()


def end(worker: subprocess.Popen[str]) -> None:
    _, errors = worker.communicate("\n", timeout=60)
    assert worker.returncode == 0, errors


def logged(folder: Path, kind: str) -> list[tuple[int, object]]:
    path = folder / "log.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [(pid, value) for what, pid, value in map(json.loads, lines) if what == kind]


def texts_embedded(folder: Path) -> Counter[str]:
    counter: Counter[str] = Counter()
    for _, texts in logged(folder, "embed"):
        assert isinstance(texts, list)
        counter.update(texts)
    return counter


def test_one_of_four_processes_loads_the_embedder_and_no_text_is_embedded_twice(
    tmp_path: Path,
) -> None:
    workers = [start(tmp_path, number, 30, 0.05) for number in range(4)]
    digests = [digest(worker) for worker in workers]
    for worker in workers:
        end(worker)
    assert len(set(digests)) == 4
    assert len(logged(tmp_path, "load")) == 1
    embedded = texts_embedded(tmp_path)
    assert set(embedded.values()) == {1}
    assert len(embedded) == 4 * 30 + 20
    assert len(list(tmp_path.glob("*.slow.npz"))) == 4


def test_each_process_gets_the_bits_it_would_have_got_alone(tmp_path: Path) -> None:
    together, alone = tmp_path / "together", tmp_path / "alone"
    together.mkdir()
    alone.mkdir()
    pair = [start(together, number, 10, 0.02) for number in range(2)]
    found = [digest(worker) for worker in pair]
    for worker in pair:
        end(worker)
    expected = []
    for number in range(2):
        worker = start(alone, number, 10, 0.02)
        expected.append(digest(worker))
        end(worker)
    assert found == expected
    assert all(len(one) == 64 for one in found)


@pytest.mark.skipif(os.name == "nt", reason="needs SIGKILL")
def test_where_the_holder_is_killed_another_process_takes_over(tmp_path: Path) -> None:
    first = start(tmp_path, 0, 500, 0.2)
    wait_until(lambda: len(logged(tmp_path, "embed")) >= 2)
    second = start(tmp_path, 1, 300, 0.1)
    wait_until(lambda: any("1 " in str(texts) for _, texts in logged(tmp_path, "embed")))
    os.kill(first.pid, signal.SIGKILL)
    first.communicate(timeout=30)
    assert len(digest(second)) == 64
    end(second)
    assert [pid for pid, _ in logged(tmp_path, "load")] == [first.pid, second.pid]


@pytest.mark.skipif(os.name == "nt", reason="permissions are Unix's")
def test_only_this_user_can_ask_the_holder(tmp_path: Path) -> None:
    worker = start(tmp_path, 0, 5, 0.0)
    address = tmp_path / "locks" / "embedder.address"
    wait_until(lambda: address.exists() and bool(address.read_bytes()))
    try:
        assert address.stat().st_mode & 0o777 == 0o600
    finally:
        worker.kill()
        worker.communicate(timeout=30)


def wait_until(condition: Callable[[], bool], seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)

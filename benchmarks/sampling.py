"""How fast models are asked, and what is lost when a run dies: ``python benchmarks/sampling.py``.

A server on loopback, in a process of its own, answers after a set latency. Studies run as real
pytest runs of the real plugin. ``--quick`` scales the number of calls, never the latency. The
last line is one JSON object:

ratio_to_ideal
    By ``-n``: seconds from the server's first request to its last answer, over calls x latency /
    in-flight. The ramp (until all places are filled) is part of it and printed apart.
duplicate_calls
    Calls whose question had been answered before, over all studies.
lost_after_kills
    After SIGKILLs at random moments: calls made, less answers kept, less calls in flight at the
    kills. Zero or less: nothing was lost that had arrived.
extra_calls_ratio
    With 20 % of calls answered by 429 or 503: calls made over samples / 0.8.
peak_mb
    Largest resident memory of any process of the studies: pytest, plugin and sampler.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chat_server import Server

MODELS, LATENCY, IN_FLIGHT = 15, 2.0, 16
_TESTS = """
import pytest

PROMPTS = [pytest.param(f"Question {{n}} of the study: what lies behind the hill?", id=f"q{{n}}")
           for n in range({prompts})]

@pytest.mark.convergence(metric="exact", samples=1)
@pytest.mark.parametrize("prompt", PROMPTS)
def test_study(prompt, convergence_models):
    assert len(convergence_models.samples) == {models}
"""
_CONFTEST = """
import os, resource, pathlib

def pytest_unconfigure(config):
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    folder = pathlib.Path(__file__).parent / "peaks"
    folder.mkdir(exist_ok=True)
    (folder / str(os.getpid())).write_text(str(peak))
"""


@dataclass(frozen=True)
class Study:
    """A folder with tests, to be recorded any number of times."""

    folder: Path
    prompts: int
    url: str

    @classmethod
    def make(cls, prompts: int, url: str) -> Study:
        """Lay the tests out in a new folder."""
        folder = Path(tempfile.mkdtemp(prefix="sampling-"))
        tests = _TESTS.format(prompts=prompts, models=MODELS)
        (folder / "test_study.py").write_text(tests, encoding="utf-8")
        (folder / "conftest.py").write_text(_CONFTEST, encoding="utf-8")
        (folder / "pytest.ini").write_text("[pytest]\n", encoding="utf-8")
        return cls(folder, prompts, url)

    def record(self, workers: int, *options: str) -> subprocess.Popen[bytes]:
        """Start a run that records; in a process group of its own."""
        specs = ",".join(f"bench/m{number}@{self.url}" for number in range(MODELS))
        plugins = ("-p", "xdist", "-p", "pytest_convergence.plugin", "-p", "no:cacheprovider")
        command = [sys.executable, "-m", "pytest", "-q", *plugins, "-n", str(workers)]
        command += [f"--convergence-models={specs}", "--convergence-record=new_episodes"]
        # The group's verdict is no part of sampling.
        command += ["-k", "not group", f"--convergence-in-flight={IN_FLIGHT}", *options]
        environment = {
            name: value
            for name, value in os.environ.items()
            if name[:10] != "PYTHONDONT" and name[:6] != "PYTEST"
        }
        environment |= {
            "BENCH_API_KEY": "bench-key-0123456789",
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
        }
        return subprocess.Popen(
            command,
            cwd=self.folder,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def remove(self) -> None:
        """Delete its folder."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def kept(self) -> int:
        """Answers that are on disk, in cassettes and journals."""
        answers = 0
        for path in self.folder.rglob("cassettes/**/*.json"):
            answers += len(json.loads(path.read_text("utf-8"))["interactions"])
        for path in self.folder.rglob("*.jsonl"):
            answers += max(path.read_bytes().count(b"\n") - 1, 0)
        return answers

    def peak_mb(self) -> int:
        """The largest resident memory of any process of its runs."""
        peaks = [int(path.read_text()) for path in (self.folder / "peaks").glob("*")]
        return max(peaks, default=0)


def study_at(workers: int, prompts: int) -> dict[str, Any]:
    """Record a study of set latency from nothing."""
    with Server(latency=LATENCY, full=MODELS * IN_FLIGHT) as server:
        study = Study.make(prompts, server.url)
        begun = time.monotonic()
        study.record(workers).wait()
        ended = time.monotonic()
        seen = server.stats()
    ideal = prompts * LATENCY / IN_FLIGHT
    peak = study.peak_mb()
    study.remove()
    return {
        "calls": seen["calls"],
        "duplicates": seen["duplicates"],
        "ideal": ideal,
        "wall": seen["wall"],
        "ratio": seen["wall"] / ideal,
        "ramp": seen["ramp"],
        "startup": seen["first"] - begun,
        "ending": ended - seen["first"] - seen["wall"],
        "peak_mb": peak,
    }


def overhead(prompts: int) -> dict[str, float]:
    """Calls a second at no latency: the sampler's, and a bare loop's over httpx."""
    with Server() as server:
        study = Study.make(prompts, server.url)
        study.record(0).wait()
        seen = server.stats()
    study.remove()
    with Server() as server:
        bare = asyncio.run(_bare(server.url, prompts))
    return {"sampler": seen["calls"] / seen["wall"], "bare_httpx": bare}


async def _bare(url: str, prompts: int) -> float:
    import httpx

    context = httpx.create_ssl_context()
    clients = [httpx.AsyncClient(verify=context) for _ in range(MODELS)]
    left = dict.fromkeys(clients, prompts)

    async def ask(client: httpx.AsyncClient) -> None:
        body = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        while left[client] > 0:
            left[client] -= 1
            (await client.post(f"{url}/chat/completions", json=body)).json()

    begun = time.monotonic()
    await asyncio.gather(*(ask(client) for client in clients for _ in range(IN_FLIGHT)))
    seconds = time.monotonic() - begun
    for client in clients:
        await client.aclose()
    return MODELS * prompts / seconds


def failing(prompts: int) -> dict[str, Any]:
    """A fifth of all calls is answered by 429 or 503."""
    with Server(latency=0.2, failing=0.2, seed=1) as server:
        study = Study.make(prompts, server.url)
        study.record(0).wait()
        seen = server.stats()
    samples, kept = MODELS * prompts, study.kept()
    study.remove()
    return {
        "samples": samples,
        "kept": kept,
        "calls": seen["calls"],
        "duplicates": seen["duplicates"],
        "ratio": seen["calls"] / (samples / 0.8),
        "wall": seen["wall"],
    }


def killed(prompts: int, kills: int) -> dict[str, Any]:
    """Runs are killed, all their processes at once, at random moments after their first call."""
    chance = random.Random(11)
    in_flight = 0
    with Server(latency=0.5) as server:
        study = Study.make(prompts, server.url)
        for number in range(kills):
            before = server.stats()["calls"]
            run = study.record((2, 0, 8, 0)[number % 4])
            while server.stats()["calls"] == before and run.poll() is None:
                time.sleep(0.02)
            time.sleep(chance.random() * 1.5 * prompts / (kills * IN_FLIGHT))
            in_flight += server.stats()["in_flight"]
            os.killpg(run.pid, signal.SIGKILL)
            run.wait()
        study.record(0).wait()
        seen = server.stats()
    kept = study.kept()
    lost = seen["calls"] - kept
    study.remove()
    return {
        "kills": kills,
        "samples": MODELS * prompts,
        "kept": kept,
        "calls": seen["calls"],
        "unkept": lost,
        "in_flight_at_kills": in_flight,
        "lost": lost - in_flight,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--quick", action="store_true", help="fewer calls; under 45 s")
    quick = parser.parse_args().quick
    prompts = 40 if quick else 750
    studies = {}
    print(f"{MODELS} models, {prompts} prompts, {LATENCY:g} s latency, {IN_FLIGHT} in flight each")
    print("  -n   calls  twice   ideal    wall  ratio   ramp  start-up  ending  peak")
    for workers in (0, 2, 8):
        found = studies[workers] = study_at(workers, prompts)
        print(
            f"{workers:4}  {found['calls']:6}  {found['duplicates']:5}  {found['ideal']:6.1f}"
            f"  {found['wall']:6.1f}  {found['ratio']:5.2f}  {found['ramp']:5.1f}"
            f"  {found['startup']:8.1f}  {found['ending']:6.1f}  {found['peak_mb']:3} MB",
            flush=True,
        )
    pace = overhead(40 if quick else 200)
    print(f"no latency: {pace['sampler']:.0f} calls/s, bare httpx loop {pace['bare_httpx']:.0f}")
    trouble = failing(16 if quick else 150)
    print(
        f"a fifth fails: {trouble['kept']}/{trouble['samples']} kept, {trouble['calls']} calls, "
        f"{trouble['ratio']:.3f} x what is unavoidable, {trouble['wall']:.1f} s",
        flush=True,
    )
    deaths = killed(*((24, 2) if quick else (750, 50)))
    print(
        f"{deaths['kills']} kills: {deaths['kept']}/{deaths['samples']} kept, {deaths['calls']} "
        f"calls, {deaths['unkept']} not kept, {deaths['in_flight_at_kills']} in flight at kills"
    )
    print(
        json.dumps(
            {
                "ratio_to_ideal": {
                    str(n): round(found["ratio"], 3) for n, found in studies.items()
                },
                "duplicate_calls": sum(found["duplicates"] for found in studies.values())
                + trouble["duplicates"],
                "lost_after_kills": deaths["lost"],
                "extra_calls_ratio": round(trouble["ratio"], 3),
                "peak_mb": max(found["peak_mb"] for found in studies.values()),
                "calls_per_second": {name: round(value) for name, value in pace.items()},
                "in_flight_at_kills": deaths["in_flight_at_kills"],
            }
        )
    )


if __name__ == "__main__":
    main()

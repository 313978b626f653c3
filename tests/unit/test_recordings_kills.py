from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_convergence.cassettes import Cassette
from tests.recording_parts import answer, recordings, texts, unit
from tests.sampling_worker import PROCESSES

ROOT = Path(__file__).parents[2]

# Each fork runs the same steps and is killed at a line of the package at which the files were
# others than at the line before, or at that line before; the last one is not.
KILLED = """
import os, shutil, signal, sys
from pathlib import Path
import filelock, vcr.serialize, vcr.request
from tests.recording_parts import answer, recordings, unit

start, step = Path(sys.argv[1]), sys.argv[2]

def act(folder, done):
    kept = recordings(folder)
    if step == "merge":
        kept.finish()
    else:
        for sample in range(3, 6):
            kept.keep(unit(), sample, answer(f"new {sample}"))
            os.write(done, b"x")

def traced(at_each_line, folder, done):
    def trace(frame, event, argument):
        if "pytest_convergence" not in frame.f_code.co_filename:
            return None
        at_each_line()
        return trace
    sys.settrace(trace)
    act(folder, done)
    sys.settrace(None)

def copy(name):
    return Path(shutil.copytree(start, start.with_name(name)))

def files(folder):
    paths = [Path(place, name) for place, _, names in os.walk(folder) for name in names]
    kept = [(str(path), path.stat()) for path in paths]
    return sorted((path, at.st_ino, at.st_size, at.st_mtime_ns) for path, at in kept)

def killed_at(line, folder):
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        left = line
        def die_there():
            nonlocal left
            left -= 1
            if left < 0:
                os.kill(os.getpid(), signal.SIGKILL)
        traced(die_there, folder, writing)
        os._exit(0)
    os.close(writing)
    status = os.waitpid(child, 0)[1]
    acknowledged = len(os.read(reading, 100))
    os.close(reading)
    return acknowledged, status

nowhere = os.open(os.devnull, os.O_WRONLY)
act(copy("loading"), nowhere)  # what is loaded on the way is not to be loaded by each fork
states, folder = [], copy("watched")
traced(lambda: states.append(files(folder)), folder, nowhere)
changed = [line for line in range(1, len(states)) if states[line] != states[line - 1]]
for line in sorted({0, *changed, *(line - 1 for line in changed), len(states) + 99}):
    folder = copy(f"killed-{line}")
    acknowledged, status = killed_at(line, folder)
    assert (status == 0) == (line > len(states))
    (folder / "acknowledged").write_text(str(acknowledged))
"""


@pytest.fixture
def started(tmp_path: Path) -> Path:
    """A cassette with one answer, and a journal with another, a failure, and a top-up."""
    folder = tmp_path / "start"
    kept = recordings(folder)
    kept.keep(unit(), 0, answer("old"))
    kept.fail(unit(), 1, status=500, reason="down")
    kept.finish()
    kept.keep(unit(), 1, answer("at last"))
    kept.fail(unit(), 2, status=None, reason="timed out")
    return folder


def killed(folder: Path, step: str) -> list[Path]:
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(folder), step], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    return sorted(folder.parent.glob("killed-*"))


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_merge_that_is_killed_at_any_line_loses_nothing(started: Path) -> None:
    known = ["old", "at last", "[timed out]"]
    folders = killed(started, "merge")
    assert len(folders) > 10
    for folder in folders:
        assert texts(recordings(folder).find(unit(samples=3))) == known
        after = recordings(folder)
        after.start()
        assert texts(after.find(unit(samples=3))) == known
        left = sorted(path.name for path in (folder / "cassettes").rglob("*") if path.is_file())
        assert left == ["openai%2Fgpt-4o.json", "openai%2Fgpt-4o.missing.json"]
        assert after.journalled() == []


@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_a_run_that_is_killed_at_any_line_keeps_every_answer_it_acknowledged(
    started: Path,
) -> None:
    folders = killed(started, "keep")
    assert len(folders) > 6
    for folder in folders:
        acknowledged = int((folder / "acknowledged").read_text())
        found = texts(recordings(folder).find(unit(samples=6)))[3:]
        new = [one for one in found if one is not None]
        assert acknowledged <= len(new) <= acknowledged + 1
        assert found == [f"new {sample}" for sample in range(3, 3 + len(new))] + [None] * (
            3 - len(new)
        )


def record_every(folder: Path, first: int, step: int) -> None:
    kept = recordings(folder)
    for sample in range(first, 24 * step, step):
        kept.keep(unit(samples=1), sample, answer(f"answer {sample}"))
        if sample % 11 == first:
            kept.merge(unit().cassette)
        found = texts(kept.find(unit(samples=sample + 1), fresh=True))
        assert found[sample] == f"answer {sample}"
    kept.finish()


def test_processes_that_record_and_merge_one_cassette_at_once_lose_nothing(tmp_path: Path) -> None:
    running = [
        PROCESSES.Process(target=record_every, args=(tmp_path, number, 4), daemon=True)
        for number in range(4)
    ]
    for process in running:
        process.start()
    for process in running:
        process.join(60)
        assert process.exitcode == 0
    cassette = Cassette.load(tmp_path / "cassettes" / unit().cassette)
    found = recordings(tmp_path).find(unit(samples=96))
    assert texts(found) == [f"answer {sample}" for sample in range(96)]
    assert len(cassette) == 96
    assert recordings(tmp_path).journalled() == []


NO_ROOM = """
import resource, signal, sys
from pathlib import Path
import vcr.serialize
from pytest_convergence.errors import SamplingError
from tests.recording_parts import recordings
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
try:
    recordings(Path(sys.argv[1])).finish()
except SamplingError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_merge_without_room_leaves_the_old_cassette_and_the_journal(tmp_path: Path) -> None:
    kept = recordings(tmp_path)
    for sample in range(9):
        kept.keep(unit(), sample, answer("x" * 500))
    kept.finish()
    kept.keep(unit(), 9, answer("paid for"))
    path = tmp_path / "cassettes" / unit().cassette
    before = path.read_bytes()
    arguments = [sys.executable, "-c", NO_ROOM, str(tmp_path)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=ROOT)
    assert "cannot write a cassette: the file would exceed the size limit" in done.stdout
    assert "every answer is kept in" in done.stdout
    assert path.read_bytes() == before
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert texts(recordings(tmp_path).find(unit(samples=10)))[9] == "paid for"

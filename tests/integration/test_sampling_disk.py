"""Disks that are full or read-only, under one folder at a time: named, never a hang."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import ChatServer, Reply

EVAL = """
import pytest
from pytest_convergence import assert_converges

@pytest.mark.convergence(metric="exact", samples=2)
@pytest.mark.parametrize("prompt", [f"p{number}" for number in range({prompts})])
def test_said(prompt, models):
    assert_converges(models, threshold=0)
"""
FEW = EVAL.replace("{prompts}", "2")
MOUNTED = "mount -t tmpfs -o {options} tmpfs {folder}"
FULL = "size=8k", "head -c 8192 /dev/zero > {folder}/fill"
READ_ONLY = "size=64k,ro", ""
NO_MORE_FILES = "size=64k,nr_inodes=1", ""


def _can_mount() -> bool:
    try:
        tried = ["unshare", "-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(tried, capture_output=True, check=False).returncode == 0
    except OSError:
        return False


pytestmark = pytest.mark.skipif(not _can_mount(), reason="needs unshare, to mount a small disk")


def record(
    project: Path, url: str, folder: str, disk: tuple[str, str], *arguments: str
) -> subprocess.CompletedProcess[str]:
    """An inner run that sees a disk of its own in place of one folder."""
    (project / folder).mkdir(parents=True, exist_ok=True)
    options, fill = disk
    script = MOUNTED.format(options=options, folder=folder)
    script += f" && {fill.format(folder=folder)}" if fill else ""
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rf"]
    panel = f"--convergence-models=local/a@{url},local/b@{url}"
    return subprocess.run(
        ["unshare", "-rm", "sh", "-c", f'{script} && exec "$@"', "sh", *command, panel, *arguments],
        cwd=project,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


# Each place once, by one process or by two workers: what refuses it is the same code.
PLACES = [
    (".convergence/sampling", FULL, "the disk is full", "sampling/board.json", 0),
    (".convergence/sampling", READ_ONLY, "the file system is read-only", "sampling/board.json", 2),
    (".convergence/claims", NO_MORE_FILES, "the disk is full", ".lock", 0),
    (".convergence/locks", READ_ONLY, "the file system is read-only", ".lock", 0),
    (".convergence/journal", READ_ONLY, "the file system is read-only", ".jsonl", 2),
    (".convergence", FULL, "the disk is full", ".convergence/", 0),
]


@pytest.mark.parametrize(("folder", "disk", "what", "where", "workers"), PLACES)
def test_a_disk_that_takes_nothing_is_named_before_anything_is_asked(
    pytester: pytest.Pytester,
    folder: str,
    disk: tuple[str, str],
    what: str,
    where: str,
    workers: int,
) -> None:
    pytester.makepyfile(test_evals=FEW)
    with ChatServer(lambda asked: Reply(text="fine")).running() as server:
        arguments = ("-n", str(workers), "--convergence-record=new_episodes")
        ran = record(pytester.path, server.url, folder, disk, *arguments)
        assert not server.asked
    output = ran.stdout + ran.stderr
    assert ran.returncode in (pytest.ExitCode.TESTS_FAILED, pytest.ExitCode.USAGE_ERROR)
    assert "INTERNALERROR" not in output
    assert what in output
    assert where in output
    assert "only what is missing is asked for" in output


def test_a_rewrite_that_cannot_lock_the_tree_says_so(pytester: pytest.Pytester) -> None:
    pytester.makepyfile(test_evals=FEW)
    arguments = ("-n", "2", "--convergence-record=rewrite")
    ran = record(
        pytester.path, "http://127.0.0.1:9/v1", ".convergence/locks", READ_ONLY, *arguments
    )
    assert ran.returncode == pytest.ExitCode.USAGE_ERROR
    assert "cannot take the recordings for a rewrite: the file system is read-only" in ran.stderr
    assert "rewrite.lock" in ran.stderr
    assert "INTERNALERROR" not in ran.stdout + ran.stderr


@pytest.mark.parametrize("workers", [0, 2])
def test_a_disk_that_fills_up_stops_sampling_and_keeps_what_came(
    pytester: pytest.Pytester, workers: int
) -> None:
    pytester.makepyfile(test_evals=EVAL.replace("{prompts}", "8"))
    long = "fine " * 400
    with ChatServer(lambda asked: Reply(text=long, after=0.05)).running() as server:
        arguments = ("-n", str(workers), "--convergence-record=new_episodes")
        disk = "size=24k", ""
        few = "--convergence-in-flight=2"
        ran = record(pytester.path, server.url, ".convergence/journal", disk, *arguments, few)
        assert 8 <= len(server.asked) < 32
    output = ran.stdout + ran.stderr
    assert ran.returncode == pytest.ExitCode.TESTS_FAILED
    assert "INTERNALERROR" not in output
    assert "the disk is full" in output
    assert "every answer before this one is kept; this one is lost" in output


def test_a_cassette_that_cannot_be_written_leaves_every_answer_in_the_journal(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(test_evals=FEW)
    with ChatServer(lambda asked: Reply(text="fine")).running() as server:
        recording = "--convergence-record=new_episodes"
        ran = record(pytester.path, server.url, "cassettes", READ_ONLY, "-n", "2", recording)
        output = ran.stdout + ran.stderr
        assert ran.returncode == pytest.ExitCode.TESTS_FAILED
        assert "INTERNALERROR" not in output
        assert "cannot write a cassette: the file system is read-only" in output
        assert "every answer is kept in" in output
        assert len(server.asked) <= 8
        roomy = ("size=4m", "")
        again = record(pytester.path, server.url, "cassettes", roomy, "-n", "0", recording)
        assert again.returncode == 0
        # Nothing that was answered is asked for again.
        assert len(server.asked) == 8

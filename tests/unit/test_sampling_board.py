from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path, PurePosixPath

from pytest_convergence.sampling.board import Board, rows_of_run, run_counts
from pytest_convergence.sampling.claims import Claims

CASSETTE = PurePosixPath("evals/x/m.json")
JOIN = """
import sys, time
from pathlib import Path, PurePosixPath
from pytest_convergence.sampling.board import Board
from pytest_convergence.sampling.claims import Claims
folder = Path(sys.argv[1])
board = Board(folder / "sampling", "r")
board.join()
board.row.counts = {"cost": 1.0, "reserved": 0.5, "in_flight": 3.0}
with board.transaction():
    pass
claims = Claims(folder / "claims")
assert claims.take(PurePosixPath("evals/x/m.json"))
print("there", flush=True)
time.sleep(60)
"""


def another(folder: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", JOIN, str(folder)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "there\n"
    return process


def test_the_dead_give_back_what_they_held_and_what_they_spent_counts(tmp_path: Path) -> None:
    process = another(tmp_path)
    board, claims = Board(tmp_path / "sampling", "r"), Claims(tmp_path / "claims")
    board.join()
    with board.transaction() as state:
        assert len(rows_of_run(state, "r")) == 2
    assert not claims.take(CASSETTE)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    board._reaped = 0.0
    with board.transaction() as state:
        board._reap(state)
        assert len(rows_of_run(state, "r")) == 1
        # Calls that were under way may have been paid for.
        assert run_counts(state, "r") == {"cost": 1.5}
    assert claims.take(CASSETTE)
    claims.release_all()
    board.leave()
    assert not list((tmp_path / "sampling" / "processes").iterdir())


def test_a_board_that_cannot_be_read_starts_anew(tmp_path: Path) -> None:
    (tmp_path / "sampling").mkdir()
    (tmp_path / "sampling" / "board.json").write_text('{"version": 1, "rows": {"a"')
    board = Board(tmp_path / "sampling", "r")
    board.join()
    with board.transaction() as state:
        assert list(state["rows"]) == [board.token]
    board.leave()


def test_a_shorter_state_leaves_nothing_of_a_longer_one(tmp_path: Path) -> None:
    board = Board(tmp_path / "sampling", "r")
    board.join()
    with board.transaction() as state:
        state["gates"]["long"] = {"x" * 1000: 1}
    with board.transaction() as state:
        assert state["gates"].pop("long")
    with board.transaction() as state:
        assert state["gates"] == {}
    board.leave()
    line = (tmp_path / "sampling" / "board.json").read_bytes().partition(b"\n")[0]
    assert json.loads(line)["rows"] == {}


def test_the_state_folder_keeps_itself_out_of_version_control(tmp_path: Path) -> None:
    board = Board(tmp_path / ".convergence" / "sampling", "r")
    board.join()
    board.leave()
    assert (tmp_path / ".convergence" / ".gitignore").read_text() == "*\n"

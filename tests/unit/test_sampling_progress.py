from __future__ import annotations

import io
import re
import time
from pathlib import Path

import pytest

from pytest_convergence.sampling.board import Board
from pytest_convergence.sampling.progress import (
    Progress,
    ProgressLine,
    line_of,
    read_progress,
    rewritable,
    watching,
)
from tests.sampling_parts import plan, recording, texts
from tests.servers import ChatServer, Reply


def test_the_line_says_what_is_done_under_way_and_left() -> None:
    progress = Progress(11250, 312, 2, 240, 3, 0.421, 5405.0)
    assert line_of(progress) == (
        "sampling 312/11250, 240 in flight, 3 retries, 2 failed, $0.42, 1 h 30 min left"
    )
    assert line_of(Progress(10, 10, 0, 0, 0, 0.0, 0.0)) == "sampling 10/10, 0 in flight"


def test_the_counts_of_all_processes_of_a_run_add_up_and_survive_them(tmp_path: Path) -> None:
    boards = [Board(tmp_path / "sampling", run) for run in ("r", "r", "other")]
    for number, board in enumerate(boards):
        board.join()
        board.row.counts = {"planned": 10.0, "done": number + 1.0, "in_flight": 1.0, "cost": 0.5}
        with board.transaction():
            pass
    progress = read_progress(tmp_path, "r")
    assert progress == Progress(20, 3, 0, 2, 0, 1.0)
    for board in boards:
        board.leave()
    assert read_progress(tmp_path, "r") == Progress(20, 3, 0, 0, 0, 1.0)


@pytest.mark.parametrize("content", [None, b"", b"{", b"[]\n", b'{"rows": 3}\n'])
def test_there_is_no_progress_where_nobody_samples(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "sampling").mkdir()
        (tmp_path / "sampling" / "board.json").write_bytes(content)
    assert read_progress(tmp_path, "r") is None


def screen(written: str, columns: int = 80, rows: int = 5) -> list[str]:
    """What a terminal shows after this was written to it: the few controls that are used."""
    lines, row, column, saved = [[" "] * columns for _ in range(rows)], 0, 0, (0, 0)
    tokens = re.findall(r"\x1b\[[A-Z]|\x1b.|.|\n", written)
    for token in tokens:
        if token in ("\n", "\x1bD", "\x1b[E"):
            column = column if token == "\x1bD" else 0
            row += 1
            if row == rows and token == "\x1b[E":
                row -= 1
            elif row == rows:
                lines, row = [*lines[1:], [" "] * columns], row - 1
        elif token == "\x1b[A":
            row = max(row - 1, 0)
        elif token == "\x1b7":
            saved = (row, column)
        elif token == "\x1b8":
            row, column = saved
        elif token == "\x1b[J":
            lines[row][column:] = [" "] * (columns - column)
            lines[row + 1 :] = [[" "] * columns for _ in lines[row + 1 :]]
        else:
            lines[row][column] = token
            column += 1
    return ["".join(line).rstrip() for line in lines]


@pytest.mark.parametrize("above", [1, 7])
def test_on_a_terminal_the_line_stands_below_and_disturbs_nothing(above: int) -> None:
    stream = io.StringIO()
    line = ProgressLine(stream, terminal=True)
    stream.write("x\n" * above)
    stream.write("test_a.py ..")
    line.update(Progress(100, 10, 0, 4, 0, 0.0))
    shown = [text for text in screen(stream.getvalue()) if text not in ("", "x")]
    assert shown == ["test_a.py ..", "sampling 10/100, 4 in flight"]
    stream.write(".\ntest_b.py .")
    time.sleep(0.25)
    line.update(Progress(100, 9, 0, 4, 0, 0.0))
    shown = [text for text in screen(stream.getvalue()) if text not in ("", "x")]
    assert shown == ["test_a.py ...", "test_b.py .", "sampling 9/100, 4 in flight"]
    line.clear()
    shown = [text for text in screen(stream.getvalue()) if text not in ("", "x")]
    assert shown == ["test_a.py ...", "test_b.py ."]


def test_in_a_log_there_is_a_line_now_and_then_and_no_control_character(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    stream = io.StringIO()
    line = ProgressLine(stream, terminal=False)
    for second in range(95):
        clock[0] += 1
        line.update(Progress(1000, second, 0, 4, 0, 0.0))
    line.clear()
    lines = [text for text in stream.getvalue().splitlines() if text]
    assert len(lines) == 3
    assert lines[-1] == "sampling 89/1000, 4 in flight, 15 min 11 s left"
    assert stream.getvalue().replace("\n", "").isprintable()


@pytest.mark.parametrize("environ", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"CI": "true"}])
def test_a_plain_terminal_gets_plain_lines(environ: dict[str, str]) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert rewritable(Terminal(), {})
    assert not rewritable(Terminal(), environ)
    assert not rewritable(io.StringIO(), {})


def test_a_run_is_watched_while_it_samples(tmp_path: Path) -> None:
    stream = io.StringIO()
    line = ProgressLine(stream, terminal=True)
    with ChatServer(lambda asked: Reply(after=0.3)).running() as server:
        units = plan(server.url, models=1, prompts=20)
        with (
            watching(tmp_path / ".convergence", "r", line),
            recording(tmp_path, run="r") as sampler,
        ):
            sampler.start(units)
            texts(sampler, units)
    assert "/40, " in stream.getvalue()
    assert "in flight" in stream.getvalue()

"""The first minute: one offline command from nothing to a gate that fails."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pytest_convergence.cli import main
from pytest_convergence.demo.walk import walk
from pytest_convergence.errors import ConvergenceError

_COMMAND = "import sys; from pytest_convergence.cli import main; sys.exit(main(sys.argv[1:]))"


def test_the_demo_walks_run_bless_change_gate_and_prints_each_command(tmp_path: Path) -> None:
    folder = tmp_path / "try"
    done = subprocess.run(
        [sys.executable, "-c", _COMMAND, "demo", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    said = done.stdout
    steps = [
        "$ pytest --convergence-record=new_episodes",
        "$ pytest --convergence-baseline=baseline.json --convergence-update-baseline",
        "$ pytest --convergence-baseline=baseline.json -q",
        "- weights.capitals = { right = 95, wrong = 5 }",
        "$ pytest --convergence-baseline=baseline.json --convergence-record=rewrite",
        "regressed: score",
        "sim/gamma on ",
        "1 failed, 12 passed",
    ]
    places = [said.find(step) for step in steps]
    assert -1 not in places, steps[places.index(-1)]
    assert places == sorted(places)
    assert "simulated" in said
    suite = (folder / "test_capitals.py").read_text()
    assert "ruff" not in suite
    assert "mypy" not in suite
    assert (folder / "baseline.json").exists()


def test_the_demo_overwrites_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(ConvergenceError, match="is not empty"):
        walk(tmp_path)
    assert main(["demo", str(tmp_path)]) == 2
    assert "overwrites nothing" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]

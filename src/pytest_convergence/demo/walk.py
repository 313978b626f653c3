"""The walk: run, bless, change, gate. Every command is printed as it is run, and is a real one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

from pytest_convergence.errors import ConvergenceError

_COPIED = {
    "test_capitals.py": "test_capitals.py",
    "panel.toml": "panel.toml",
    "project.toml": "pyproject.toml",
}
_BASELINE = "--convergence-baseline=baseline.json"
_BEFORE = "weights.capitals = { right = 95, wrong = 5 }"
_AFTER = "weights.capitals = { right = 40, wrong = 60 }"


def walk(folder: Path) -> int:
    """Copy the example suite into ``folder`` and walk through it.

    Returns
    -------
    int
        0 where every step ended as it should: the gate passed what had not changed and failed
        what had.

    Raises
    ------
    ConvergenceError
        Where the folder is not empty: nothing is overwritten.
    """
    _copy(folder)
    calm = (
        (
            "1. Run: record what three simulated models answer, and judge it.",
            ["--convergence-record=new_episodes"],
        ),
        (
            "2. Bless: keep these results as the baseline. Commit it with the recordings.",
            [_BASELINE, "--convergence-update-baseline"],
        ),
        ("3. Gate: nothing has changed, so nothing fails.", [_BASELINE, "-q"]),
    )
    if not all(_step(folder, what, arguments, wanted=0) for what, arguments in calm):
        return 1
    _change(folder / "panel.toml")
    last = "5. Gate: ask all three again. Every threshold still holds; the gate says what moved."
    if not _step(folder, last, [_BASELINE, "--convergence-record=rewrite"], wanted=1):
        return 1
    print(
        "\nThe run fails with pytest's exit code 1. If the change is what you want, bless it:\n"
        f"$ cd {folder} && pytest {_BASELINE} --convergence-update-baseline"
    )
    return 0


def _copy(folder: Path) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConvergenceError(
            f"{folder} is not empty",
            details=["the demo writes into an empty folder and overwrites nothing"],
            fix=["convergence demo another-folder"],
        )
    folder.mkdir(parents=True, exist_ok=True)
    suite = files("pytest_convergence.demo") / "suite"
    for source, target in _COPIED.items():
        text = _for_readers((suite / source).read_text(encoding="utf-8"))
        (folder / target).write_text(text, encoding="utf-8")
    print(f"The example suite is in {folder}: {', '.join(_COPIED.values())}")


def _for_readers(text: str) -> str:
    """Without the lines that speak to this repository's checkers."""
    return re.sub(r"^# (ruff|mypy): .*\n", "", text, flags=re.MULTILINE)


def _change(panel: Path) -> None:
    text = panel.read_text(encoding="utf-8")
    print(f"\n4. Change: sim/gamma is updated behind your back. In {panel.name}:")
    print(f"- {_BEFORE}\n+ {_AFTER}", flush=True)
    panel.write_text(text.replace(_BEFORE, _AFTER), encoding="utf-8")


def _step(folder: Path, what: str, arguments: Sequence[str], *, wanted: int) -> bool:
    print(f"\n{what}\n$ pytest {' '.join(arguments)}", flush=True)
    # Whatever the surroundings set for other runs is not part of this one.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("CONVERGENCE_", "PYTEST_", "GITHUB_"))
    }
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, env=kept, check=False)
    if done.returncode != wanted:
        print(f"This should have ended with exit code {wanted}, and did with {done.returncode}.")
    return done.returncode == wanted

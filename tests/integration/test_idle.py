"""An unused plugin is silent and costs next to nothing."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = ("httpx", "vcr", "numpy", "scipy", "asyncio", "yaml", "torch", "hypothesis", "filelock")


def test_importing_the_plugin_loads_nothing_heavy() -> None:
    script = (
        "import pytest, sys; before = set(sys.modules); import pytest_convergence.plugin;"
        "import pytest_convergence; print(*sorted(set(sys.modules) - before))"
    )
    output = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    ).stdout
    loaded = output.split()
    assert "pytest_convergence.plugin" in loaded
    assert [name for name in loaded if name.partition(".")[0] in HEAVY] == []


def test_a_run_without_evals_loads_nothing_heavy_and_says_nothing(
    pytester: pytest.Pytester,
) -> None:
    pytester.makepyfile(
        """
        import sys
        def test_plain():
            assert "pytest_convergence.plugin" in sys.modules
            assert [name for name in ("httpx", "vcr", "numpy", "yaml") if name in sys.modules] == []
        """
    )
    result = pytester.runpytest_subprocess(
        *("-p", "no:cacheprovider", "-p", "no:hypothesispytest", "-p", "no:asyncio"),
        *("-p", "no:anyio", "-p", "no:respx", "-p", "no:html", "-p", "no:metadata"),
    )
    result.assert_outcomes(passed=1)
    assert "convergence:" not in result.stdout.str()
    assert not (pytester.path / ".convergence").exists()

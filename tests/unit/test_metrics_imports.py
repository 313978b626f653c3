from __future__ import annotations

import json
import pkgutil
import subprocess
import sys

import pytest_convergence.metrics
import pytest_convergence.stats

MODULES = sorted(
    f"{package.__name__}.{module.name}"
    for package in (pytest_convergence.metrics, pytest_convergence.stats)
    for module in pkgutil.iter_modules(package.__path__)
)


def test_measures_load_without_pytest_networks_or_the_slow_parts_of_scipy() -> None:
    program = (
        "import importlib, json, sys\n"
        "for name in json.loads(sys.argv[1]): importlib.import_module(name)\n"
        "print(json.dumps(sorted(sys.modules)))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, json.dumps(MODULES)],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    loaded = set(json.loads(output))
    assert "pytest_convergence.metrics.agreement" in loaded
    assert not loaded & {"_pytest", "pytest", "httpx", "vcr", "asyncio", "scipy.stats", "torch"}

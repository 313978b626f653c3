"""What users may register."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from pytest_convergence.models.wire import Model
    from pytest_convergence.represent.features import Embedder, Labeller


@pytest.hookspec
def pytest_convergence_models(config: pytest.Config) -> Mapping[str, Model]:
    """Models by name, to be named in a panel: callables, or a provider's with settings of its own.

    For example ``{"mine/agent": callable_model("mine/agent", answer, version="1")}``.
    """
    raise NotImplementedError


@pytest.hookspec
def pytest_convergence_embedders(config: pytest.Config) -> Mapping[str, Embedder]:
    """Embedders by name, to be named by ``--convergence-embedder``."""
    raise NotImplementedError


@pytest.hookspec
def pytest_convergence_labellers(config: pytest.Config) -> Mapping[str, Labeller]:
    """Labellers by name, to be named by the marker's ``label``."""
    raise NotImplementedError


@pytest.hookspec
def pytest_convergence_run(config: pytest.Config, run: dict[str, Any]) -> None:
    """Called on the controller with the merged run before it is written: add fields under
    ``run["extra"]``.
    """

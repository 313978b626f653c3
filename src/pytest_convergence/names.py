"""What settings and markers name, resolved: the panel, its models, labellers, metrics."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_convergence.declaration import Case, Declaration, fill
from pytest_convergence.errors import ConvergenceError, SettingsError

if TYPE_CHECKING:
    import pytest

    from pytest_convergence.models.recorded import RecordedResponses
    from pytest_convergence.models.simulated import SimulatedPanel
    from pytest_convergence.models.wire import Model
    from pytest_convergence.represent.features import Labeller
    from pytest_convergence.settings import Settings


class Names:
    """Who and what the names of a run stand for, each resolved once.

    Parameters
    ----------
    config
        pytest's, for the hooks that register models, embedders and labellers.
    """

    def __init__(self, config: pytest.Config, settings: Settings) -> None:
        self._config = config
        self._settings = settings
        self._models: dict[str, Model] = {}
        self._panels: dict[tuple[str, ...], tuple[str, ...]] = {}
        self._registered: dict[str, dict[str, Any]] = {}
        self._checked: set[tuple[str | int | None, ...]] = set()

    @cached_property
    def recorded(self) -> RecordedResponses | None:
        """The responses file, where one was given."""
        path = self._settings.path("responses")
        if path is None:
            return None
        from pytest_convergence.models.recorded import read_responses

        return read_responses(path, self._settings["columns"])

    @property
    def swap(self) -> tuple[str, str] | None:
        """Candidate and incumbent, where the run asks whether one may replace the other."""
        candidate, incumbent = self._settings["candidate"], self._settings["incumbent"]
        return None if candidate is None else (candidate, incumbent)

    def panel(self, declaration: Declaration, case: Case | None, where: str) -> tuple[str, ...]:
        """The names of the models that a declaration is about, for one case of it.

        Raises
        ------
        SettingsError
            For a panel that is empty or names a model twice.
        """
        named = declaration.models
        if self.recorded is not None and "models" not in self._settings.explicit:
            named = self.recorded.models
        if self.swap is not None:
            named = (self.swap[1], self.swap[0])
        if case is not None:
            named = tuple(fill(name, case) if "{" in name else name for name in named)
        if named not in self._panels:
            self._panels[named] = self._panel(named, where)
        return self._panels[named]

    def _panel(self, named: tuple[str, ...], where: str) -> tuple[str, ...]:
        if not named:
            raise SettingsError(
                f"{where}: the panel is empty",
                details=["no model was named on the command line, in the marker or in ini"],
                fix=[
                    "--convergence-models=openai/gpt-4o,anthropic/claude-sonnet-4-5",
                    "or in pyproject.toml, [tool.pytest.ini_options]: convergence_models = […]",
                    "or --convergence-responses=FILE for outputs you already have",
                ],
            )
        names = tuple(self._name(spec) for spec in named)
        twice = {name for name in names if names.count(name) > 1}
        if twice:
            raise SettingsError(
                f"{where}: {sorted(twice)[0]!r} is in the panel twice",
                fix=["name each model once"],
            )
        return names

    def _name(self, spec: str) -> str:
        return spec if self.recorded is not None else self.model(spec).name

    def model(self, spec: str) -> Model:
        """The model that a spec names; resolved once."""
        if spec not in self._models:
            model = self._resolve(spec)
            self._models[spec] = self._models[model.name] = model
        return self._models[spec]

    def _resolve(self, spec: str) -> Model:
        if spec.startswith("sim/"):
            from pytest_convergence.models.simulated import simulated_model

            return simulated_model(spec, panel=self._simulated_panel)
        from pytest_convergence.models.specs import resolve

        return resolve(spec, environ=os.environ, custom=self.registered("models"))

    @cached_property
    def _simulated_panel(self) -> SimulatedPanel | None:
        """The simulated panel's behaviour, from the files and folders that the settings name."""
        from pytest_convergence.models.simulated import SimulatedPanel

        named = [self._settings.rootpath / path for path in self._settings["simulation"]]
        paths = [
            path
            for name in named
            for path in (sorted(name.glob("*.toml")) if name.is_dir() else [name])
        ]
        return SimulatedPanel.read(paths) if paths else None

    def registered(self, kind: str) -> dict[str, Any]:
        """What users registered by ``pytest_convergence_<kind>``; asked once."""
        if kind not in self._registered:
            self._registered[kind] = self._asked(kind)
        return self._registered[kind]

    def _asked(self, kind: str) -> dict[str, Any]:
        hook = getattr(self._config.hook, f"pytest_convergence_{kind}")
        registered: dict[str, Any] = {}
        for given in reversed(hook(config=self._config)):
            if not isinstance(given, Mapping):
                raise SettingsError(
                    f"pytest_convergence_{kind} returned {type(given).__name__}, not a dict",
                    fix=['return {"name": …}'],
                )
            registered.update(given)
        return registered

    def labeller(self, declared: str | Any | None) -> Labeller | None:
        """The labeller that a test declared, by name or as it is."""
        if declared is None or callable(declared):
            return declared
        registered: dict[str, Labeller] = self.registered("labellers")
        if declared in registered:
            return registered[declared]
        from pytest_convergence.represent.labels import labeller

        return labeller(declared)

    def measure(
        self, metric: str | Callable[..., Any], label: str | Any | None, where: str
    ) -> Labeller | None:
        """The labeller of a test whose metric is known and has what it needs.

        Raises
        ------
        ConvergenceError
            Naming the test, for an unknown metric or labeller, or a metric without its labeller.
        """
        from pytest_convergence.represent.representation import check_metric

        try:
            labeller = self.labeller(label)
            check_metric(metric, labeller)
        except ConvergenceError as error:
            raise type(error)(
                f"{where}: {error.headline}", details=error.details, fix=error.fix
            ) from None
        return labeller

    def check(self, declaration: Declaration, where: str) -> None:
        """Refuse what could not be judged before anything is sampled for it.

        Raises
        ------
        ConvergenceError
            As `measure` does, and for a bound on a rate without a labeller.
        """
        metric, label = declaration.metric, declaration.label
        rate = declaration.at_least is not None or declaration.at_most is not None
        asked = (*(one if isinstance(one, str) else id(one) for one in (metric, label)), rate)
        if asked in self._checked:
            return
        labeller = self.measure(metric, label, where)
        if rate and labeller is None:
            raise SettingsError(
                f"{where}: at_least and at_most need a labeller",
                details=["they bound a rate, the share of responses with a label"],
                fix=["give the marker label=…"],
            )
        self._checked.add(asked)

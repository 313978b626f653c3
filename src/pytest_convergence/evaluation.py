"""One run in one process: it samples or replays, represents and judges."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from functools import cached_property, partial
from os.path import relpath
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from msgspec.structs import replace

from pytest_convergence.declaration import Case, Group
from pytest_convergence.detect import results_key
from pytest_convergence.errors import ConvergenceError
from pytest_convergence.names import Names

if TYPE_CHECKING:
    import numpy as np
    import pytest
    from numpy.typing import NDArray

    from pytest_convergence.baseline.gate import Gate
    from pytest_convergence.groups import GroupItem
    from pytest_convergence.models.messages import Prompt
    from pytest_convergence.models.recorded import RecordedResponses
    from pytest_convergence.models.response import Response
    from pytest_convergence.panel import EvalTest
    from pytest_convergence.recordings import Recordings
    from pytest_convergence.represent.representation import SampledCase
    from pytest_convergence.sampling.plan import Unit
    from pytest_convergence.sampling.sampler import Sampler
    from pytest_convergence.sampling.tally import SamplingReport
    from pytest_convergence.settings import Settings
    from pytest_convergence.units import Units


_MAPPED_CASES = 200


def sampled_case(
    case: Case, responses: Mapping[str, Sequence[Response]], stores: Mapping[str, Path]
) -> SampledCase:
    """A case with what was said to it."""
    from pytest_convergence.models.messages import prompt_text
    from pytest_convergence.represent.representation import SampledCase

    return SampledCase(
        id=case.id,
        nodeid=case.nodeid,
        prompt_id=case.prompt_id,
        prompt=prompt_text(case.prompt),
        family=case.family,
        data=case.parameters,
        responses=responses,
        stores=stores,
    )


class Evaluation:
    """The state of a run. The plugin's hooks forward to it; it knows no xdist and no vcr.

    Parameters
    ----------
    config
        pytest's, for the hooks that register models, embedders and labellers.
    worker, workers
        This process's index and how many there are: models are divided among them.
    run
        Names the run; the same in all its processes.
    """

    def __init__(
        self,
        config: pytest.Config,
        settings: Settings,
        *,
        worker: int = 0,
        workers: int = 1,
        run: str | None = None,
    ) -> None:
        self.config = config
        self.settings = settings
        self._worker = worker
        self._workers = workers
        self._run = run
        self.names = Names(config, settings)
        self._sampled: dict[tuple[str, tuple[str, ...]], SampledCase] = {}
        self._stores: dict[PurePosixPath, Path] = {}
        self._sampler: Sampler | None = None
        self._planned = 0
        self._embedded = False

    @property
    def recording(self) -> bool:
        """Whether this run may sample and embed what has not been recorded."""
        return bool(self.settings["record"] != "none")

    @property
    def mapped(self) -> bool:
        """Whether a page shows where responses lie: now, or later out of the run file.

        Of a large study only one that is asked for now: drawing the maps takes longer than all
        the rest of a replay.
        """
        if self.settings["html"] is not None:
            return True
        return self.settings["json"] is not None and self._planned <= _MAPPED_CASES

    @property
    def recorded(self) -> RecordedResponses | None:
        """The responses file, where one was given."""
        return self.names.recorded

    @cached_property
    def recordings(self) -> Recordings:
        """The cassettes of this run."""
        from pytest_convergence.misses import record_command
        from pytest_convergence.recordings import Recordings

        folder = relpath(self.settings.invocation, self.settings.rootpath)
        return Recordings(
            self.settings.cassettes,
            self.settings.state / "journal",
            rewrite=self.settings["record"] == "rewrite",
            command=partial(record_command, repeated=self.settings.repeated, folder=Path(folder)),
        )

    @cached_property
    def gate(self) -> Gate | None:
        """Compares groups with the baseline, where one was named and the panel is its own."""
        if self.settings["baseline"] is None or self.names.swap is not None:
            return None
        from pytest_convergence.baseline.gate import Gate

        return Gate(self.settings)

    @property
    def sampler(self) -> Sampler:
        """Replays or samples units; made on first use."""
        if self._sampler is None:
            from pytest_convergence.sampling.sampler import Sampler, sampling_settings

            self._sampler = Sampler(
                self.recordings,
                sampling_settings(self.settings, run=self._run),
                worker=self._worker,
                workers=self._workers,
            )
        return self._sampler

    def panel_names(self, test: EvalTest) -> tuple[str, ...]:
        """The names of the models that a test is about."""
        case = test.cases[0] if test.cases else None
        return self.names.panel(test.declaration, case, test.nodeid)

    @cached_property
    def _units(self) -> Units:
        from pytest_convergence.units import Units

        return Units(self.names)

    def units(self, cases: Sequence[Case]) -> list[Unit]:
        """The plan for these cases, in their order; empty where responses come from a file."""
        return [] if self.recorded is not None else self._units.of_cases(cases)

    def sampled(self, case: Case, names: Sequence[str] | None = None) -> SampledCase:
        """The responses of the panel to one case, replayed, waited for or sampled; kept."""
        chosen = tuple(names or self.names.panel(case.declaration, case, case.nodeid))
        key = (case.id, chosen)
        if key not in self._sampled:
            self.names.check(case.declaration, case.nodeid)
            self._sampled[key] = self._sample(case, chosen)
        return self._sampled[key]

    def sampled_all(self, cases: Sequence[Case], names: Sequence[str]) -> list[SampledCase]:
        """:meth:`sampled` of many cases at once."""
        if self.recorded is None and not self.recording:
            self._replay(
                [case for case in cases if (case.id, tuple(names)) not in self._sampled], names
            )
        return [self.sampled(case, names) for case in cases]

    def _replay(self, cases: Sequence[Case], names: Sequence[str]) -> None:
        """Many cases from one cassette after the other, each read while it is in the caches."""
        try:
            for case in cases:
                self.names.check(case.declaration, case.nodeid)
            units = [self._units.of_case(case, names) for case in cases]
            answers = [self.sampler.all_responses(column) for column in zip(*units, strict=True)]
        except ConvergenceError:
            return  # it is told of the first case that it concerns
        for case, asked, responses in zip(cases, units, zip(*answers, strict=True), strict=True):
            self._sampled[case.id, tuple(names)] = self._held(case, names, asked, responses)

    def _sample(self, case: Case, names: Sequence[str]) -> SampledCase:
        if self.recorded is not None:
            stores = {name: self._file_store(name) for name in names}
            return sampled_case(case, self._from_file(case, names), stores)
        units = self._units.of_case(case, names)
        return self._held(case, names, units, self.sampler.all_responses(units))

    def _held(
        self,
        case: Case,
        names: Sequence[str],
        units: Sequence[Unit],
        responses: Sequence[tuple[Response, ...]],
    ) -> SampledCase:
        stores = {name: self._store(unit.cassette) for name, unit in zip(names, units, strict=True)}
        return sampled_case(case, dict(zip(names, responses, strict=True)), stores)

    def known_responses(self, case: Case) -> dict[str, tuple[Response | None, ...]]:
        """What is there of each model's responses to a case; None for one to be asked for."""
        names = self.names.panel(case.declaration, case, case.nodeid)
        if self.recorded is not None:
            return {**self._from_file(case, names)}
        from pytest_convergence.sampling.sampler import as_response, is_open

        again = self.settings["retry_missing"]
        return {
            name: tuple(
                None if is_open(found, again) else as_response(unit, found)
                for found in self.recordings.find(unit)
            )
            for name, unit in zip(names, self._units.of_case(case, names), strict=True)
        }

    def _from_file(self, case: Case, names: Sequence[str]) -> dict[str, tuple[Response, ...]]:
        from pytest_convergence.models.messages import prompt_text
        from pytest_convergence.models.response import Missing, Response

        assert self.recorded is not None
        found = self.recorded.match(case.prompt_id, prompt_text(case.prompt))
        absent = (Response("", "unknown", Missing("error", "no row in the responses file")),)
        return {name: tuple(found.get(name, ())) or absent for name in names}

    def _store(self, cassette: PurePosixPath) -> Path:
        if cassette not in self._stores:
            self._stores[cassette] = self.settings.cassettes / cassette
        return self._stores[cassette]

    def _file_store(self, name: str) -> Path:
        path = self.settings.path("responses")
        assert path is not None
        return self.settings.cassettes / "responses" / path.stem / f"{quote(name, safe='')}.json"

    def sampled_now(
        self,
        test: EvalTest,
        prompt_id: str | None,
        prompt: Prompt,
        names: Sequence[str],
        samples: int | None,
        decoding: Mapping[str, Any],
    ) -> SampledCase:
        """The responses to a prompt that a test made up as it ran."""
        declaration = test.declaration
        declaration = replace(
            declaration,
            samples=samples or declaration.samples,
            decoding={**declaration.decoding, **decoding},
        )
        if declaration.metric != "label" or declaration.label is not None:
            # Without a declared case there is no group: the assertion may name the labeller.
            self.names.check(declaration, test.nodeid)
        name = prompt_id or "made-up-" + hashlib.sha256(repr(prompt).encode()).hexdigest()[:12]
        case = Case(
            id=f"{test.nodeid}#{name}",
            nodeid=test.nodeid,
            test_file=test.test_file,
            test_name=test.test_name,
            prompt_id=name,
            prompt=prompt,
            family=name,
            data=test.data,
            arms={},
            declaration=declaration,
        )
        return self._sample(case, names)

    def replies(
        self, test: EvalTest, asked: Sequence[tuple[str, Mapping[str, Any], str]]
    ) -> list[Response]:
        """What judges reply to (model spec, decoding, prompt), in the name of a test."""
        from pytest_convergence.sampling.judge_units import judge_unit

        where = (test.nodeid, test.test_file, test.test_name)
        units = [
            judge_unit(*where, self.names.model(spec), decoding, prompt)
            for spec, decoding, prompt in asked
        ]
        return [replies[0] for replies in self.sampler.all_responses(units)]

    def vectors(self, wanted: Mapping[Path, Sequence[str]]) -> Mapping[Path, NDArray[np.float32]]:
        """Unit vectors of texts by the cassette they lie beside; recorded where it may be."""
        from pytest_convergence.represent.embedding import vectors_for

        self._embedded = True
        return vectors_for(
            wanted,
            str(self.settings["embedder"]),
            record=self.recording,
            lock_dir=self.settings.state / "locks",
            custom=self.names.registered("embedders"),
        )

    def text_store(self, test_file: str, test_name: str) -> Path:
        """Where the vectors of texts lie that came from no model of the panel."""
        folder = PurePosixPath(test_file).with_suffix("") / test_name
        return self.settings.cassettes / folder / "texts.json"

    def judge_group_item(self, item: GroupItem) -> None:
        """Judge one group and keep its results with its item.

        Raises
        ------
        ConvergenceFailure
            Where what the group's marker asks does not hold.
        """
        from pytest_convergence.group_verdicts import conclude_group, results_of_group

        results = results_of_group(self, item)
        item.stash[results_key] = results
        conclude_group(results)

    def group_names(self, group: Group) -> tuple[str, ...]:
        """The names of the models that a group is about."""
        return self.names.panel(group.declaration, group.cases[0], group.id)

    def start(self, cases: Sequence[Case]) -> None:
        """Begin sampling ahead of the tests, where this run records.

        What could not be judged is left out: each test concerned says why.
        """
        self._planned = len(cases)
        if self.recording and self.recorded is None and cases:
            self.sampler.start(self.units([case for case in cases if self._judgeable(case)]))

    def _judgeable(self, case: Case) -> bool:
        try:
            self.names.check(case.declaration, case.nodeid)
        except ConvergenceError:
            return False
        return True

    def open(self) -> None:
        """Before the first worker begins, on the process that reports: take up the recordings."""
        if self.recording:
            self.recordings.start()

    def close(self) -> SamplingReport | None:
        """End sampling in this process; what it took, or None where nothing was sampled."""
        if self._sampler is None or not self.recording:
            return None
        return self._sampler.close()

    def finish(self) -> None:
        """When every process has ended sampling, on the one that reports: merge what was said."""
        if self.recording:
            self.recordings.finish()

    def forget(self) -> None:
        """When all has been said: let go of what was held for the whole run."""
        from pytest_convergence import garbage, judging

        judging.forget()
        if self._embedded:
            from pytest_convergence.represent import embedding

            embedding.forget()
        garbage.release()

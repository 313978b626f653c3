"""Cases put to models: the units that are planned, recorded and found again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from pytest_convergence.declaration import (
    DECODING_KEYS,
    Case,
    fill,
    resolve_decoding,
)
from pytest_convergence.models.templates import RequestTemplate, encoded
from pytest_convergence.sampling.plan import Unit, cassette_path

if TYPE_CHECKING:
    from pytest_convergence.models.decoding import Decoding
    from pytest_convergence.models.messages import Prompt
    from pytest_convergence.models.wire import Model, WireRequest
    from pytest_convergence.names import Names


class Units:
    """Makes units; what the cases of a test have in common is worked out once."""

    def __init__(self, names: Names) -> None:
        self._names = names
        self._asking: dict[tuple[str, str, str], _Asking] = {}
        self._declared: tuple[str, Decoding] | None = None

    def of_case(self, case: Case, names: Iterable[str]) -> list[Unit]:
        """One case put to these models."""
        decoding = self._decoding(case)
        prompt = _filled(case)
        text = encoded(prompt)
        samples = case.declaration.samples
        return [
            Unit(
                asking.cassette,
                case.nodeid,
                asking.model,
                case.prompt_id,
                asking.request(prompt, text),
                samples,
                asking.decoding,
            )
            for asking in [self._asked(case, name, decoding) for name in names]
        ]

    def of_cases(self, cases: Sequence[Case]) -> list[Unit]:
        """The plan for these cases, in their order, each put to its panel."""
        return [
            unit
            for case in cases
            for unit in self.of_case(case, self._names.panel(case.declaration, case, case.nodeid))
        ]

    def _decoding(self, case: Case) -> Decoding:
        """The case's decoding, resolved anew where a parameter of the case may be part of it."""
        declared = case.declaration.decoding
        if isinstance(declared.get("system"), str) or _sends_parameters(case):
            return resolve_decoding(case)
        written = repr(declared)  # equal values may be sent differently: 1, 1.0 and True
        if self._declared is None or self._declared[0] != written:
            self._declared = (written, resolve_decoding(case))
        return self._declared[1]

    def _asked(self, case: Case, name: str, decoding: Decoding) -> _Asking:
        key = (case.test_file, case.test_name, name)
        asking = self._asking.get(key)
        if asking is None or not asking.asks(decoding):
            asking = self._asking[key] = _Asking(case, self._names.model(name), decoding)
        return asking


class _Asking:
    """How one test asks one model, as long as decoding stays the same."""

    def __init__(self, case: Case, model: Model, given: Decoding) -> None:
        self.given = given
        self.model = model
        self.decoding = given if model.decoding is None else model.decoding.merged(given)
        self.cassette: PurePosixPath = cassette_path(case.test_file, case.test_name, model.name)
        self._asked = False
        self._template: RequestTemplate | None = None

    def asks(self, decoding: Decoding) -> bool:
        """Whether these parameters are sent as they are here."""
        return decoding is self.given or repr(decoding) == repr(self.given)

    def request(self, prompt: Prompt, text: str | None) -> WireRequest:
        """What is sent; ``text`` is the prompt encoded for a template, or None."""
        if self._template is not None and text is not None:
            return self._template.filled(text)
        if self._asked and self._template is None:
            # Worth making once a second prompt has come.
            self._template = RequestTemplate.of(self.model, self.decoding)
        self._asked = True
        return self.model.adapter.request(
            model=self.model.model,
            base_url=self.model.base_url,
            prompt=prompt,
            decoding=self.decoding,
        )


def _sends_parameters(case: Case) -> bool:
    return any(name in DECODING_KEYS or name == "extra" for name in (*case.data, *case.arms))


def _filled(case: Case) -> Prompt:
    """The prompt in the marker's template, where it has one."""
    template = case.declaration.template
    if template is None or not isinstance(case.prompt, str):
        return case.prompt
    return fill(template, case, prompt=case.prompt)

"""What the tests of sampling share: plans over a loopback server, and samplers on a folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.openai import OpenAIAdapter
from pytest_convergence.models.response import Response
from pytest_convergence.models.wire import Model
from pytest_convergence.recordings import Recordings
from pytest_convergence.sampling.plan import Unit, cassette_path
from pytest_convergence.sampling.sampler import Sampler
from pytest_convergence.sampling.settings import SamplingSettings

KEY = "sk-test-0123456789abcdef"
QUICK: dict[str, Any] = {"timeout": 0.4, "max_retries": 1, "backoff": 0.01, "total_seconds": 5.0}


def model(url: str, name: str = "m0", *, key: str | None = KEY) -> Model:
    """A model that a server on loopback answers for."""
    return Model(f"test/{name}", "test", name, url, OpenAIAdapter(), key=key)


def unit(
    of: Model,
    prompt: str = "q0",
    samples: int = 1,
    *,
    test: str = "t",
    decoding: Decoding | None = None,
) -> Unit:
    request = of.adapter.request(
        model=of.model, base_url=of.base_url, prompt=prompt, decoding=decoding or Decoding()
    )
    return Unit(
        cassette=cassette_path("evals/test_x.py", f"test_{test}", of.name),
        test=f"evals/test_x.py::test_{test}[{prompt}]",
        model=of,
        prompt_id=prompt,
        request=request,
        samples=samples,
        decoding=decoding,
    )


def plan(
    url: str, *, models: int = 2, prompts: int = 5, samples: int = 2, tests: Sequence[str] = ("t",)
) -> list[Unit]:
    """Units in the order of tests: each prompt put to each model in turn."""
    panel = [model(url, f"m{number}") for number in range(models)]
    return [
        unit(of, f"q{number}", samples, test=test)
        for test in tests
        for number in range(prompts)
        for of in panel
    ]


def recordings(folder: Path, **settings: Any) -> Recordings:
    return Recordings(folder / "cassettes", folder / ".convergence" / "journal", **settings)


def settings(folder: Path, **changes: Any) -> SamplingSettings:
    values: dict[str, Any] = {"record": "new_episodes", "state": folder / ".convergence"}
    return SamplingSettings(**(values | changes))


@contextmanager
def recording(
    folder: Path, *, worker: int = 0, workers: int = 1, rewrite: bool = False, **changes: Any
) -> Iterator[Sampler]:
    """A sampler that records, in a run of its own unless ``run`` is given; merged at the end."""
    kept = recordings(folder, rewrite=rewrite)
    kept.start()
    sampler = Sampler(kept, settings(folder, **changes), worker, workers)
    try:
        yield sampler
    finally:
        sampler.close()
        kept.finish()


def replaying(folder: Path) -> Sampler:
    return Sampler(recordings(folder), SamplingSettings())


def texts(sampler: Sampler, units: Sequence[Unit]) -> list[tuple[str, ...]]:
    return [tuple(answer.text for answer in sampler.responses(unit)) for unit in units]


def one(folder: Path, url: str, **changes: Any) -> Response:
    """One sample of one model, asked as it is told."""
    with recording(folder, **(QUICK | changes)) as sampler:
        return sampler.responses(unit(model(url)))[0]


def each(folder: Path, url: str, names: Iterable[str], **changes: Any) -> dict[str, Response]:
    """One sample of each of several models, all asked at once."""
    units = [unit(model(url, name)) for name in names]
    with recording(folder, **(QUICK | changes)) as sampler:
        sampler.start(units)
        return {asked.model.model: sampler.responses(asked)[0] for asked in units}


def reason(response: Response) -> str:
    assert response.missing is not None
    assert response.missing.kind == "error"
    return response.missing.reason

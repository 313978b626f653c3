"""Studies of any size, as a user would have recorded them: the input of the other benchmarks.

A study is a folder with an ini file, two eval modules over the same prompts (one test with all of
them, and one case for each), cassettes, the vectors beside them, and the same texts once more in
one compact JSONL file. Requests, cassettes and vectors are written by the package itself, so what
is read is what a recording run would have left. Texts have about 200 tokens; vectors are made up
of a prompt's, a model's and a sample's part, and are unit vectors of 384 dimensions on the grid
in which they are kept. The same arguments give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from pytest_convergence.cassettes import Recorded, write
from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.specs import resolve
from pytest_convergence.models.wire import Model, WireRequest, WireResponse
from pytest_convergence.represent.vectors import Grid, VectorStore, store_path, text_hash
from pytest_convergence.sampling.plan import cassette_path

EMBEDDER = "all-MiniLM-L6-v2"
WIDTH = 384
SEED = 20261121
FORMS = ("whole", "cases")
DONE = "study.json"

# Function words as often as English has them, and content words from which prompts draw theirs.
_FUNCTION = (
    "the of and to in a is that for it as was with be by on not he this are or his from at which "
    "but have an had they you were their one all we can her has there been if more when will would "
    "who so no out up into than them only some could these two may then do first any my now such"
)
_STEMS = (
    "answer model reason question evidence system process measure value result change energy water "
    "language history market policy method culture science theory practice number water structure "
    "surface pressure network signal region climate species protein quantity balance function"
)
_ENDINGS = ("", "s", "ed", "ing", "al", "ity", "ment", "able", "less", "ward")

_MODULE = '''"""{title}"""

import json
from pathlib import Path

import pytest

from pytest_convergence import assert_converges

PROMPTS = json.loads((Path(__file__).parent / "prompts.json").read_text())


'''
_WHOLE = """@pytest.mark.convergence(capability="study", prompts=PROMPTS, threshold=0.2)
def test_study(models):
    assert_converges(models)
"""
_CASES = """@pytest.mark.convergence(capability="study", threshold=0.2)
@pytest.mark.parametrize("prompt", list(PROMPTS.values()), ids=list(PROMPTS))
def test_study(prompt, models):
    assert_converges(models, threshold=0.2)
"""
# What the same number of tests costs that do nothing but import numpy.
_EMPTY_WHOLE = """import numpy


def test_study():
    pass
"""
_EMPTY_CASES = """import numpy
import pytest


@pytest.mark.parametrize("prompt", range({prompts}))
def test_study(prompt):
    pass
"""


@dataclass(frozen=True)
class Study:
    """The size of a study: M models, P prompts, n samples of each."""

    models: int = 15
    prompts: int = 750
    samples: int = 1

    @property
    def responses(self) -> int:
        """M x P x n."""
        return self.models * self.prompts * self.samples

    @property
    def specs(self) -> list[str]:
        """The panel: models of a server that speaks the format of most."""
        return [f"vllm/model-{m:02d}@http://127.0.0.1:8000/v1" for m in range(self.models)]

    def prompt_texts(self) -> dict[str, str]:
        """Prompts by their id."""
        source = random.Random(SEED)
        vocabulary = _vocabulary()
        return {
            f"prompt-{p:05d}": f"{p}. Explain how "
            + " ".join(source.choices(vocabulary, k=12))
            + " bear on one another."
            for p in range(self.prompts)
        }


def _vocabulary() -> list[str]:
    return [stem + ending for stem in _STEMS.split() for ending in _ENDINGS]


def texts(study: Study, model: int) -> list[str]:
    """The answers of one model, by prompt and then sample: models share a prompt's words."""
    source = random.Random(SEED + 1 + model)
    function, vocabulary = _FUNCTION.split(), _vocabulary()
    answers = []
    for prompt in range(study.prompts):
        own = random.Random(SEED - 1 - prompt).choices(vocabulary, k=40)
        for _ in range(study.samples):
            length = source.randint(100, 200)
            words = [
                source.choice(function if source.random() < 0.5 else own) for _ in range(length)
            ]
            answers.append(f"{' '.join(words).capitalize()}.")
    return answers


def vectors(study: Study, model: int) -> Grid:
    """Their vectors, shape (P n, 384), in steps of the grid on which they are kept."""
    from pytest_convergence.represent.vectors import to_grid

    prompts = np.random.default_rng(SEED).normal(size=(study.prompts, WIDTH))
    source = np.random.default_rng(SEED + 1 + model)
    own = source.normal(size=(study.prompts * study.samples, WIDTH))
    style = source.normal(size=WIDTH)
    return to_grid(np.repeat(prompts, study.samples, axis=0) + 0.5 * own + 0.2 * style)


def asked(study: Study, model: Model) -> list[WireRequest]:
    """What a recording run sends to a model, by prompt."""
    return [
        model.adapter.request(
            model=model.model, base_url=model.base_url, prompt=prompt, decoding=Decoding()
        )
        for prompt in study.prompt_texts().values()
    ]


def recorded(study: Study, model: Model, answers: list[str]) -> Iterator[Recorded]:
    """The answers of one model, by prompt and then sample, as a recording run keeps them."""
    requests = asked(study, model)
    start = datetime(2026, 11, 21, tzinfo=UTC)
    names = list(study.prompt_texts())
    for position, text in enumerate(answers):
        prompt, sample = divmod(position, study.samples)
        moment = start + timedelta(seconds=position)
        body = {
            "id": f"chatcmpl-{position:08d}",
            "object": "chat.completion",
            "created": int(moment.timestamp()),
            "model": model.model,
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                }
            ],
            "usage": {"prompt_tokens": 24, "completion_tokens": 200, "total_tokens": 224},
        }
        headers = {"content-type": "application/json", "x-request-id": f"req-{position:08d}"}
        response = WireResponse(200, headers, json.dumps(body))
        yield Recorded(
            requests[prompt], sample, names[prompt], response, moment.isoformat(timespec="seconds")
        )


def _write_model(folder: Path, study: Study, index: int) -> list[str]:
    model = resolve(study.specs[index], environ={}, custom={})
    answers = texts(study, index)
    places = [
        folder / "cassettes" / cassette_path(f"evals/test_{form}.py", "test_study", model.name)
        for form in FORMS
    ]
    write(places[0], recorded(study, model, answers))
    unique = {text_hash(text): row for row, text in enumerate(answers)}
    grid = vectors(study, index)[list(unique.values())]
    store = VectorStore.empty(EMBEDDER, "generated", WIDTH)
    store = store.extended(list(unique), grid, ["generated"] * len(unique))
    store.write(store_path(places[0], EMBEDDER))
    for written in (places[0], store_path(places[0], EMBEDDER)):
        twin = places[1].with_name(written.name)
        twin.parent.mkdir(parents=True, exist_ok=True)
        os.link(written, twin)
    return answers


def write_study(folder: Path, study: Study) -> Path:
    """The study in ``folder``, made anew unless a whole one of this size is there already."""
    size = json.dumps({"version": 1, **vars(study)})
    done = folder / DONE
    if done.is_file() and done.read_text() == size:
        return folder
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "evals").mkdir(parents=True)
    (folder / "empty").mkdir()
    lines = ["[pytest]", f"convergence_samples = {study.samples}", "convergence_models ="]
    (folder / "pytest.ini").write_text("\n".join([*lines, *(f"    {s}" for s in study.specs)]))
    (folder / "evals" / "prompts.json").write_text(json.dumps(study.prompt_texts()))
    modules = {
        "evals/test_whole.py": _MODULE.format(title="One test with all prompts.") + _WHOLE,
        "evals/test_cases.py": _MODULE.format(title="A case for each prompt.") + _CASES,
        "empty/test_whole.py": _EMPTY_WHOLE,
        "empty/test_cases.py": _EMPTY_CASES.format(prompts=study.prompts),
    }
    for name, text in modules.items():
        (folder / name).write_text(text)
    with (folder / "texts.jsonl").open("w") as stream:
        for index in range(study.models):
            for position, text in enumerate(_write_model(folder, study, index)):
                prompt, sample = divmod(position, study.samples)
                row = {"model": index, "prompt": prompt, "sample": sample, "text": text}
                stream.write(json.dumps(row, separators=(",", ":")) + "\n")
    done.write_text(size)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    for name, default in vars(Study()).items():
        parser.add_argument(f"--{name}", type=int, default=default)
    arguments = vars(parser.parse_args())
    folder = write_study(arguments.pop("folder"), Study(**arguments))
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    print(f"{folder}: {size / 1e6:.0f} MB, half of it hard links")


if __name__ == "__main__":
    main()

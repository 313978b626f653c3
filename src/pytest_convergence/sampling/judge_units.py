"""What is put to a model that judges: questions that nobody knows before the answers are there."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from pytest_convergence.models.decoding import Decoding
from pytest_convergence.models.wire import Model
from pytest_convergence.sampling.plan import Unit, cassette_path

JUDGE = "judge:"


def judge_unit(
    nodeid: str,
    test_file: str,
    test_name: str,
    model: Model,
    decoding: Mapping[str, Any],
    prompt: str,
) -> Unit:
    """One question to a model that judges the answers to a test: one sample, in a file of its own.

    The question is named by its hash.
    """
    chosen = Decoding.from_mapping(decoding, where=nodeid)
    if model.decoding is not None:
        chosen = model.decoding.merged(chosen)
    name = hashlib.sha256(prompt.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return Unit(
        cassette=cassette_path(test_file, test_name, JUDGE + model.name),
        test=nodeid,
        model=model,
        prompt_id=f"judge-{name}",
        request=model.adapter.request(
            model=model.model, base_url=model.base_url, prompt=prompt, decoding=chosen
        ),
        samples=1,
        decoding=chosen,
    )

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.metrics.convergence import estimate_group
from pytest_convergence.metrics.estimates import GroupEstimate
from pytest_convergence.metrics.kernels import estimate_kernel
from pytest_convergence.metrics.summaries import Summaries

Vectors = Sequence[NDArray[np.float64]]


def dot(one: Vectors, other: Vectors) -> NDArray[np.float64]:
    return np.stack(one) @ np.stack(other).T


def panel(seed: int, *, samples: int, prompts: int = 14) -> list[list[NDArray[np.float64]]]:
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(prompts, 6))
    draws = centres[None, :, None] + rng.normal(size=(3, prompts, samples, 6))
    draws /= np.linalg.norm(draws, axis=3, keepdims=True)
    blocks = [[draws[m, p] for p in range(prompts)] for m in range(3)]
    blocks[1][4] = blocks[1][4][:0]
    return blocks


def both(samples: int, size: int, partners: int) -> tuple[GroupEstimate, GroupEstimate]:
    blocks = panel(0, samples=samples)
    models, prompts = ("b", "a", "c"), tuple(f"p{p:02}" for p in range(14))
    families = tuple(f"f{p // size}" for p in range(14))
    by_features = estimate_group(
        Summaries.from_features(blocks, models=models, prompts=prompts, families=families),
        seed=0,
        permutations=0,
    )
    by_kernel = estimate_kernel(
        dot,
        [[list(cell) for cell in row] for row in blocks],
        models=models,
        prompts=prompts,
        families=families,
        partners=partners,
    )
    return by_features, by_kernel


@pytest.mark.parametrize("size", [1, 2])
def test_a_kernel_with_every_partner_equals_its_features_at_one_sample(size: int) -> None:
    by_features, by_kernel = both(1, size, partners=14)
    assert by_kernel.score == pytest.approx(by_features.score, abs=1e-12)
    assert by_kernel.interval is not None
    assert by_features.interval is not None
    assert by_kernel.interval.low == pytest.approx(by_features.interval.low, abs=1e-9)
    np.testing.assert_allclose(by_kernel.pairs.floor, by_features.pairs.floor, atol=1e-12)
    np.testing.assert_allclose(by_kernel.leverage, by_features.leverage, atol=1e-12)


def test_all_but_the_floor_is_the_same_with_few_partners_and_more_samples() -> None:
    by_features, by_kernel = both(3, 1, partners=4)
    for name in ("similarity", "within", "ceiling", "mmd2"):
        assert getattr(by_kernel, name) == pytest.approx(getattr(by_features, name), abs=1e-12)
    np.testing.assert_allclose(by_kernel.by_prompt, by_features.by_prompt, atol=1e-12)
    assert by_kernel.floor == pytest.approx(by_features.floor, abs=0.1)


def test_a_kernel_of_the_wrong_shape_is_named() -> None:
    with pytest.raises(ValueError, match="shape"):
        estimate_kernel(
            lambda one, other: np.zeros(3),
            [[["a"], ["b"]], [["a"], ["b"]]],
            models=("x", "y"),
            prompts=("p", "q"),
        )


def test_texts_that_are_equal_throughout_are_identical() -> None:
    answers = [[[f"answer {p}"] * 2 for p in range(6)] for _ in range(2)]
    estimate = estimate_kernel(
        lambda one, other: np.array([[float(x == y) for y in other] for x in one]),
        answers,
        models=("x", "y"),
        prompts=tuple("abcdef"),
    )
    assert estimate.identical
    assert estimate.score == pytest.approx(1.0)
    assert estimate.interval is not None
    assert estimate.interval.low < 1.0

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from pytest_convergence.metrics.convergence import estimate_group
from pytest_convergence.metrics.estimates import GroupEstimate
from pytest_convergence.metrics.summaries import Summaries

Blocks = list[list[NDArray[np.float64]]]

# The first example pays for imports; how long one takes is for the benchmarks.
unhurried = settings(deadline=None)


@st.composite
def panels(draw: st.DrawFn, *, least_samples: int = 1) -> tuple[Blocks, list[str]]:
    """Unit vectors or one-hot labels of 2-4 models on 4-9 prompts, with families and gaps."""
    models, prompts = draw(st.integers(2, 4)), draw(st.integers(4, 9))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    labels = draw(st.booleans())
    gaps = draw(st.booleans())
    size = draw(st.integers(1, 2))
    centres = rng.normal(size=(prompts, 4))
    blocks: Blocks = []
    for m in range(models):
        row = []
        for p in range(prompts):
            count = int(rng.integers(least_samples, 5))
            if gaps and m == p % models and p % 3 == 0:
                count = 0
            vectors = centres[p] + rng.normal(size=(count, 4))
            row.append(
                np.eye(4)[vectors.argmax(axis=1)]
                if labels
                else vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
            )
        blocks.append(row)
    return blocks, [f"f{p // size}" for p in range(prompts)]


def summarise(blocks: Blocks, families: Sequence[str]) -> Summaries:
    return Summaries.from_features(
        blocks,
        models=[f"m{m}" for m in range(len(blocks))],
        prompts=[f"p{p}" for p in range(len(families))],
        families=families,
    )


def estimate(blocks: Blocks, families: Sequence[str]) -> GroupEstimate:
    return estimate_group(summarise(blocks, families), seed=0, permutations=0)


@unhurried
@given(panels())
def test_matrices_are_symmetric_and_bounds_hold_the_score(case: tuple[Blocks, list[str]]) -> None:
    found = estimate(*case)
    for matrix in (
        found.pairs.similarity,
        found.pairs.floor,
        found.pairs.ceiling,
        found.pairs.score,
        found.pairs.low,
        found.pairs.high,
        found.pairs.mmd2,
    ):
        np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert -1.0 - 1e-12 <= found.similarity <= 1.0 + 1e-12
    assert (found.score is None) == (found.undefined is not None)
    interval = found.interval
    if found.score is not None:
        assert interval is not None
        assert interval.low <= found.score <= interval.high
        assert interval.low < interval.high
    if found.similarity_interval is not None:
        assert found.similarity_interval.low < found.similarity_interval.high
        assert found.similarity_interval.low <= found.similarity <= found.similarity_interval.high
    with np.errstate(invalid="ignore"):
        assert not (found.pairs.low > found.pairs.score).any()
        assert not (found.pairs.high < found.pairs.score).any()


@unhurried
@given(panels(), st.integers(0, 2**32 - 1))
def test_the_order_of_models_prompts_and_samples_does_not_matter(
    case: tuple[Blocks, list[str]], seed: int
) -> None:
    blocks, families = case
    rng = np.random.default_rng(seed)
    models, prompts = rng.permutation(len(blocks)), rng.permutation(len(families))
    shuffled = Summaries.from_features(
        [[rng.permutation(blocks[m][p]) for p in prompts] for m in models],
        models=[f"m{m}" for m in models],
        prompts=[f"p{p}" for p in prompts],
        families=[families[p] for p in prompts],
    )
    before, after = estimate(blocks, families), estimate_group(shuffled, seed=0, permutations=0)
    for name in ("similarity", "floor", "ceiling", "same_model_floor"):
        assert getattr(after, name) == pytest.approx(getattr(before, name), abs=1e-12, nan_ok=True)
    assert (after.undefined is None) == (before.undefined is None)
    np.testing.assert_allclose(after.by_prompt, before.by_prompt[prompts], atol=1e-12)
    np.testing.assert_allclose(
        after.pairs.similarity, before.pairs.similarity[np.ix_(models, models)], atol=1e-12
    )


@unhurried
@given(panels(), st.integers(2, 4))
def test_similarity_and_floor_do_not_change_when_every_sample_is_doubled(
    case: tuple[Blocks, list[str]], times: int
) -> None:
    blocks, families = case
    copied = [[np.tile(block, (times, 1)) for block in row] for row in blocks]
    before, after = estimate(blocks, families), estimate(copied, families)
    assert after.similarity == pytest.approx(before.similarity, abs=1e-12)
    assert after.floor == pytest.approx(before.floor, abs=1e-12, nan_ok=True)
    np.testing.assert_allclose(
        np.triu(after.pairs.floor, 1), np.triu(before.pairs.floor, 1), atol=1e-12
    )


@unhurried
@given(panels(), st.data())
def test_summaries_of_parts_add_up_to_the_summaries_of_the_whole(
    case: tuple[Blocks, list[str]], data: st.DataObject
) -> None:
    blocks, families = case
    whole = summarise(blocks, families)
    cut = data.draw(st.integers(0, 3))
    one = summarise([[block[:cut] for block in row] for row in blocks], families)
    two = summarise([[block[cut:] for block in row] for row in blocks], families)
    for merged in (one.merged(two), two.merged(one)):
        np.testing.assert_array_equal(merged.counts, whole.counts)
        np.testing.assert_allclose(merged.sums, whole.sums, atol=1e-12)
        np.testing.assert_allclose(merged.squares, whole.squares, atol=1e-12)
        assert merged.families == whole.families


@unhurried
@given(panels(), st.integers(1, 3))
def test_summaries_of_other_prompts_or_other_models_join(
    case: tuple[Blocks, list[str]], at: int
) -> None:
    blocks, families = case
    whole = summarise(blocks, families)
    for parts in (_split_prompts(whole, at), _split_models(whole, min(at, len(blocks) - 1))):
        joined = parts[1].merged(parts[0])
        assert joined.models == whole.models
        assert joined.prompts == whole.prompts
        np.testing.assert_array_equal(joined.sums, whole.sums)
        np.testing.assert_array_equal(joined.squares, whole.squares)


def _split_prompts(whole: Summaries, at: int) -> tuple[Summaries, Summaries]:
    one, two = (
        Summaries(
            whole.models,
            whole.prompts[part],
            whole.families[part],
            whole.counts[:, part],
            whole.sums[:, part],
            whole.squares[:, part],
        )
        for part in (slice(at), slice(at, None))
    )
    return one, two


def _split_models(whole: Summaries, at: int) -> tuple[Summaries, Summaries]:
    one, two = (
        Summaries(
            whole.models[part],
            whole.prompts,
            whole.families,
            whole.counts[part],
            whole.sums[part],
            whole.squares[part],
        )
        for part in (slice(at), slice(at, None))
    )
    return one, two


@unhurried
@given(panels())
def test_prompts_asked_twice_collapse_to_the_same_numbers(case: tuple[Blocks, list[str]]) -> None:
    blocks, families = case
    once = summarise(blocks, families)
    twice = Summaries.from_features(
        [row + row for row in blocks],
        models=once.models,
        prompts=[*once.prompts, *(f"again {name}" for name in once.prompts)],
        families=[*families, *families],
    )
    texts = [f"text {p}" for p in range(len(families))]
    collapsed = twice.collapsed([*texts, *texts])
    assert collapsed.duplicates == len(families)
    assert collapsed.prompts == once.prompts
    np.testing.assert_array_equal(collapsed.counts, once.counts)
    np.testing.assert_array_equal(collapsed.sums, once.sums)


@unhurried
@given(panels(least_samples=2), st.floats(0.1, 10.0))
def test_the_score_does_not_depend_on_the_scale_of_the_features(
    case: tuple[Blocks, list[str]], scale: float
) -> None:
    blocks, families = case
    before = estimate(blocks, families)
    assume(before.ceiling - before.floor > 0.1 and min(before.own) > 0.1)
    after = estimate([[scale * block for block in row] for row in blocks], families)
    assert after.similarity == pytest.approx(scale**2 * before.similarity, rel=1e-9, abs=1e-12)
    if before.score is not None and after.score is not None:
        assert after.score == pytest.approx(before.score, rel=1e-9, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 2**32 - 1), st.booleans())
def test_models_that_are_one_score_one_and_models_that_do_not_listen_score_zero(
    seed: int, labels: bool
) -> None:
    rng = np.random.default_rng(seed)
    prompts, samples = 400, 4

    def features(centres: NDArray[np.float64]) -> Blocks:
        draws = centres + rng.normal(size=(3, prompts, samples, 5))
        unit = draws / np.linalg.norm(draws, axis=3, keepdims=True)
        hot = np.eye(5)[draws.argmax(axis=3)]
        return [list(row) for row in (hot if labels else unit)]

    families = [f"f{p:03}" for p in range(prompts)]
    topics = 1.5 * rng.normal(size=(1, prompts, 1, 5))
    alike = estimate(features(topics), families)
    assert alike.score is not None
    assert alike.score == pytest.approx(1.0, abs=0.1)
    # Each model keeps to itself on each prompt, and no two have to do with one another.
    apart = estimate(features(1.5 * rng.normal(size=(3, prompts, 1, 5))), families)
    assert apart.score is not None
    assert apart.score == pytest.approx(0.0, abs=0.1)

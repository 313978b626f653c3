"""Diversity and divergence on random input, against the packages people would otherwise use."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from pytest_convergence.metrics.bleu import self_bleu, tokenize_13a
from pytest_convergence.metrics.distributions import js_distance, js_divergence, kl_divergence
from pytest_convergence.metrics.diversity import vendi_score
from pytest_convergence.metrics.entropy import entropy
from pytest_convergence.metrics.homogeneity import unique_source_models

TIGHT = 1e-9

# The first example pays for the import of the reference package.
oracle = settings(deadline=None)

# Words that repeat, punctuation in every place the tokeniser has a rule for, and odd spaces.
pieces = st.sampled_from(
    [
        "the",
        "cat",
        "sat",
        "1,000",
        "3.5",
        "a.b",
        "x-y",
        "9-5",
        "&amp;",
        "-\n",
        "\n",
        "!",
        "(no)",
        "é",
    ]
)
texts = st.lists(pieces, max_size=14).map(" ".join)
positive = st.floats(0.01, 10)


@oracle
@given(st.text() | texts)
def test_tokens_equal_those_of_sacrebleu(text: str) -> None:
    sacrebleu = pytest.importorskip("sacrebleu.tokenizers.tokenizer_13a")
    assert tokenize_13a(text) == sacrebleu.Tokenizer13a()(text.rstrip()).split()


@oracle
@given(st.lists(texts, min_size=2, max_size=6))
def test_self_bleu_equals_sacrebleu(many: list[str]) -> None:
    sacrebleu = pytest.importorskip("sacrebleu")
    theirs = [
        sacrebleu.sentence_bleu(text, many[:i] + many[i + 1 :]).score / 100
        for i, text in enumerate(many)
    ]
    assert self_bleu(many) == pytest.approx(np.mean(theirs), abs=TIGHT)


# vendi-score 0.0.3 names a class of scipy's by an old path.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@oracle
@given(st.integers(0, 2**32 - 1), st.integers(2, 8), st.sampled_from([0.1, 0.5, 1, 2, 5, np.inf]))
def test_vendi_equals_vendi_score(seed: int, size: int, order: float) -> None:
    vendi = pytest.importorskip("vendi_score.vendi")
    features = np.random.default_rng(seed).normal(size=(size, size + 3))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    similarity = features @ features.T
    theirs = vendi.score_K(similarity, q="inf" if np.isinf(order) else order)
    assert vendi_score(similarity, order=order) == pytest.approx(float(theirs), abs=TIGHT)


@oracle
@given(arrays(np.float64, (2, 6), elements=positive))
def test_divergences_equal_scipys(table: NDArray[np.float64]) -> None:
    distance = pytest.importorskip("scipy.spatial.distance")
    stats = pytest.importorskip("scipy.stats")
    first, second = table
    with np.errstate(invalid="ignore"):  # of equal tables theirs is the root of -1e-17
        theirs = np.nan_to_num(distance.jensenshannon(first, second, base=2))
    # Near 0 the root turns 1e-16 of rounding into 1e-8, in scipy as here.
    assert js_divergence(first, second) == pytest.approx(theirs**2, abs=TIGHT)
    kl = stats.entropy(first, second, base=2)
    assert kl_divergence(first, second, smoothing=0) == pytest.approx(kl, abs=TIGHT)
    assert entropy(first) == pytest.approx(stats.entropy(first, base=2), abs=TIGHT)


@given(arrays(np.int64, (3, 5), elements=st.integers(0, 20)))
def test_js_distance_is_a_bounded_symmetric_metric(counts: NDArray[np.int64]) -> None:
    a, b, c = counts + np.eye(3, 5, dtype=np.int64)
    assert 0 <= js_distance(a, b) <= 1
    assert js_distance(a, b) == pytest.approx(js_distance(b, a))
    assert js_distance(a, a) == pytest.approx(0, abs=1e-7)
    assert js_distance(a, c) <= js_distance(a, b) + js_distance(b, c) + 1e-9


@settings(max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 8))
def test_sources_do_not_depend_on_the_order_of_responses(seed: int, neighbours: int) -> None:
    rng = np.random.default_rng(seed)
    # Few distinct rows, so that ties are common.
    features = np.eye(4)[rng.integers(4, size=12)]
    sources = rng.choice(["a", "b", "c"], size=12)
    order = rng.permutation(12)
    before = unique_source_models(features, sources.tolist(), neighbours=neighbours)
    after = unique_source_models(features[order], sources[order].tolist(), neighbours=neighbours)
    assert before.mean == pytest.approx(after.mean)
    assert before.by_chance == pytest.approx(after.by_chance)
    limit = min(neighbours, len(set(sources.tolist())))
    assert 1 - TIGHT <= before.mean <= limit + TIGHT

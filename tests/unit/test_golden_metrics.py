"""Reference values, each computed with the package it names or published by it."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pytest_convergence.metrics.agreement import cohen_kappa, fleiss_kappa_from_counts
from pytest_convergence.metrics.calibration import Edges, calibration
from pytest_convergence.metrics.capa import answer_overlap, capa, capa_probabilistic
from pytest_convergence.metrics.capa import error_consistency as consistency
from pytest_convergence.metrics.distributions import js_similarity
from pytest_convergence.metrics.diversity import expectation_adjusted_distinct, vendi_score
from pytest_convergence.metrics.entropy import cluster_entropy, entropy
from pytest_convergence.metrics.novelty import utility_k
from pytest_convergence.metrics.transfer import backward_transfer, power
from pytest_convergence.stats.rates import compare_independent_rates, wilson_interval

GOLDEN = Path(__file__).parents[3] / "shared" / "golden_metrics.json"


@pytest.mark.parametrize(
    ("order", "score"),
    [
        (0.1, 2.8455368),
        (0.5, 2.4203483),
        (1, 2.1573004833739833),
        (2, 1.948051948051948),
        (math.inf, 1.5789473684210527),
    ],
)
def test_vendi_score_003(order: float, score: float) -> None:
    similarity = np.array([[1, 0.9, 0], [0.9, 1, 0], [0, 0, 1]])
    digits = 1e-12 if order >= 1 else 1e-7
    assert vendi_score(similarity, order=order) == pytest.approx(score, abs=digits)


def test_lm_sim_011_probabilistic() -> None:
    a = [[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]]
    b = [[0.8, 0.2], [0.4, 0.6], [0.3, 0.7], [0.1, 0.9]]
    result = capa_probabilistic(a, b, [0, 1, 0, 0])
    assert result.corrected == pytest.approx(0.23300970873786422, abs=1e-12)


def test_lm_sim_011_discrete() -> None:
    truth, a, b = "0123012301", "0123020103", "0123120003"
    assert capa(a, b, truth, options=4).corrected == pytest.approx(0.6842, abs=5e-5)
    assert capa(a, b, truth, options=4).observed == pytest.approx(0.8)
    assert answer_overlap(a, b, truth).agreement == pytest.approx(0.8)
    assert cohen_kappa(a, b).corrected == pytest.approx(0.7222, abs=5e-5)
    assert consistency(a, b, truth).corrected == pytest.approx(0.8)


def test_semantic_uncertainty_cluster_entropy_in_nats() -> None:
    assert cluster_entropy([0, 1, 2, 1]) == pytest.approx(1.0397207708399179, abs=1e-12)


def test_statsmodels_015_fleiss_kappa() -> None:
    rows = "0000E 02642 00356 03920 22811 77000 32630 25322 65210 02237"
    table = [[int(x, 16) for x in row] for row in rows.split()]
    result = fleiss_kappa_from_counts(table)
    assert result.corrected == pytest.approx(0.20993070442195522, abs=1e-12)


def test_expectation_adjusted_distinct() -> None:
    ead = expectation_adjusted_distinct(["a b c a", "a b d e"], vocabulary=100)
    assert ead == pytest.approx(0.6472047405643814, abs=1e-12)


def test_novelty_bench_utility_formula() -> None:
    classes, utilities, p = list("abacb"), [0.9, 0.5, 1.0, 0.7, 0.2], 0.8
    new = [1, 1, 0, 1, 0]
    total = sum(p**i * n * u for i, (n, u) in enumerate(zip(new, utilities, strict=True)))
    assert utility_k(classes, utilities) == pytest.approx((1 - p) / (1 - p**5) * total)


def test_format_entropy_in_bits() -> None:
    assert entropy([0.28, 0.62, 0.10]) == pytest.approx(1.2740, abs=5e-5)


@pytest.mark.parametrize(("edges", "error"), [("open_closed", 0.25), ("closed_open", 0.1833)])
def test_expected_calibration_error_by_edge_rule(edges: Edges, error: float) -> None:
    confidences = [0.90] * 10 + [0.95] * 10 + [0.80] * 10
    correct = [1] * 10 + [1] * 5 + [0] * 5 + [1] * 6 + [0] * 4
    result = calibration(confidences, correct, bins=10, edges=edges)
    assert result.error == pytest.approx(error, abs=5e-5)


def test_jensen_shannon_similarity_is_in_bits_and_no_distance() -> None:
    p, q = np.array([0.5, 0.5, 0.0]), np.array([0.0, 0.5, 0.5])
    # Mixture (.25, .5, .25): half the mass of each is shared, so the divergence is half a bit.
    assert js_similarity(p, q) == pytest.approx(0.5, abs=1e-12)


def test_every_reference_is_covered_here() -> None:
    if not GOLDEN.exists():
        pytest.skip("the file of reference values is not beside the repository")
    known: dict[str, Any] = json.loads(GOLDEN.read_text())
    covered = {
        *("vendi", "capa_probabilistic", "capa_discrete", "cluster_entropy_nats", "fleiss_kappa"),
        *("expectation_adjusted_distinct", "distinct_utility", "format_entropy_bits"),
        *("expected_calibration_error", "jensen_shannon", "unanimous_labels", "about"),
        *("backward_transfer", "wilson_95", "power_of_optimal_policies"),
    }
    assert set(known) == covered


def test_backward_transfer_by_either_divisor() -> None:
    results = [[0.9, 0.1, 0.1], [0.8, 0.9, 0.1], [0.7, 0.85, 0.9]]
    assert backward_transfer(results) == pytest.approx(-0.125)
    assert backward_transfer(results, divide_by_all_tasks=True) == pytest.approx(
        -0.083333, abs=5e-7
    )


def test_power_of_optimal_policies_by_turner_et_al() -> None:
    assert [power(k) for k in (1, 2, 3)] == pytest.approx([1 / 2, 2 / 3, 3 / 4])


def test_wilson_intervals_and_fishers_p() -> None:
    one, two = wilson_interval(84, 111), wilson_interval(6, 22)
    assert (one.low, one.high) == pytest.approx((0.669, 0.827), abs=5e-4)
    assert (two.low, two.high) == pytest.approx((0.132, 0.482), abs=5e-4)
    comparison = compare_independent_rates((84, 111), (6, 22))
    assert comparison.pvalue == pytest.approx(2.5e-5, abs=5e-7)


def test_unanimous_labels_say_so_and_reach_every_threshold() -> None:
    result = fleiss_kappa_from_counts([[5, 0], [5, 0]])
    assert str(result) == "agreement 1.0, chance-corrected undefined"
    assert result.reaches(1.0)

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from pytest_convergence.metrics.response_map import ResponseMap, response_map


def unit(*angles: float) -> NDArray[np.float64]:
    """Unit vectors in the plane, by angle in degrees."""
    radians = np.radians(angles)
    return np.stack([np.cos(radians), np.sin(radians), np.zeros(len(angles))], axis=1)


def mapped(*blocks: NDArray[np.float64]) -> ResponseMap:
    found = response_map(blocks)
    assert found is not None
    return found


def test_distances_on_the_map_are_those_of_vectors_that_lie_in_a_plane() -> None:
    first, second = unit(0, 10, 25), unit(80, 95)
    found = mapped(first, second)
    vectors = np.concatenate([first, second])
    for a in range(5):
        for b in range(5):
            on_map = np.linalg.norm(found.positions[a] - found.positions[b])
            assert on_map == pytest.approx(np.linalg.norm(vectors[a] - vectors[b]), abs=0.004)


def test_two_far_bundles_are_two_clusters_the_larger_first() -> None:
    found = mapped(unit(90, 92), unit(0, 1, 2))
    assert found.clusters.tolist() == [1, 1, 0, 0, 0]


def test_the_cutoff_is_how_alike_models_are_to_themselves() -> None:
    found = mapped(unit(0, 60), unit(90, 150))
    assert found.cutoff == pytest.approx(np.cos(np.radians(60)))


def test_copies_do_not_make_every_other_wording_a_cluster_of_its_own() -> None:
    assert mapped(unit(0, 0), unit(5, 5)).cutoff == 0.9


def test_single_samples_fall_back_on_the_default() -> None:
    assert mapped(unit(0), unit(5), unit(90)).cutoff == 0.8


def test_fewer_than_three_responses_have_no_map() -> None:
    assert response_map([unit(0), unit(5)]) is None


def test_identical_responses_lie_on_one_spot_in_one_cluster() -> None:
    found = mapped(unit(30, 30), unit(30, 30))
    assert np.abs(found.positions).max() < 0.001
    assert set(found.clusters.tolist()) == {0}


def test_a_response_without_features_is_no_trouble() -> None:
    found = mapped(np.zeros((1, 3)), unit(0, 1, 2))
    assert np.isfinite(found.positions).all()
    assert found.clusters.tolist() == [1, 0, 0, 0]

"""Judging a panel from vectors in memory, beside loops over pairs of responses.

The full pair matrix with intervals, the panel's score, its interval and the permutation test:
25 models x 100 prompts x 50 samples x 384 dimensions. The pairwise loop is timed in the same
run, on the first pairs of models, one prompt at a time with a matrix product a pair, and scaled up;
it gives similarities and floors only, without intervals.

    python benchmarks/judge.py [--quick]

Peak memory is the process's, less what the vectors themselves take.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from itertools import combinations, islice

import numpy as np
from numpy.typing import NDArray

from pytest_convergence.metrics.convergence import estimate_group
from pytest_convergence.metrics.estimates import GroupEstimate
from pytest_convergence.metrics.summaries import Summaries

Blocks = list[list[NDArray[np.float32]]]


def panel(models: int, prompts: int, samples: int, width: int) -> Blocks:
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(prompts, 1, width)).astype(np.float32)
    blocks: Blocks = []
    for _ in range(models):
        row = []
        for p in range(prompts):
            draws = centres[p] + rng.normal(size=(samples, width)).astype(np.float32)
            row.append(draws / np.linalg.norm(draws, axis=1, keepdims=True))
        blocks.append(row)
    return blocks


def judge(blocks: Blocks) -> GroupEstimate:
    summaries = Summaries.from_features(
        blocks,
        models=[f"m{m:02}" for m in range(len(blocks))],
        prompts=[f"p{p:03}" for p in range(len(blocks[0]))],
    )
    return estimate_group(summaries, seed=0)


def pairwise(blocks: Blocks, a: int, b: int, floor_prompts: int) -> tuple[float, float, float]:
    """Similarity and floor of one pair; seconds its whole floor would take on top of the first."""
    prompts = range(len(blocks[0]))
    start = time.perf_counter()
    similarity = float(np.mean([(blocks[a][p] @ blocks[b][p].T).mean() for p in prompts]))
    seconds = time.perf_counter() - start
    start = time.perf_counter()
    floor = float(
        np.mean(
            [
                (blocks[a][i] @ blocks[b][j].T).mean()
                for i in prompts[:floor_prompts]
                for j in prompts
                if i != j
            ]
        )
    )
    whole = (time.perf_counter() - start) * len(prompts) / floor_prompts
    return similarity, floor, seconds + whole


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer pairs in the pairwise loop")
    quick = parser.parse_args().quick
    judge(panel(3, 6, 2, 8))  # imports and the first call's warm-up are not judging
    blocks = panel(25, 100, 50, 384)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    times = []
    for _ in range(3):
        start = time.perf_counter()
        estimate = judge(blocks)
        times.append(time.perf_counter() - start)
    seconds = min(times)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    pairs = list(combinations(range(25), 2))
    sampled = list(islice(pairs, 2 if quick else 10))
    found = [pairwise(blocks, a, b, 5 if quick else 100) for a, b in sampled]
    for (a, b), (similarity, _, _) in zip(sampled, found, strict=True):
        assert abs(similarity - estimate.pairs.similarity[a, b]) < 1e-5
    loop = float(np.mean([cost for _, _, cost in found])) * len(pairs)
    assert np.isfinite(estimate.pairs.low[0, 1])
    print(f"{'':34}{'seconds':>10}{'MB':>8}")
    print(f"{'ours, with intervals and p':34}{seconds:10.3f}{peak - before:8.0f}")
    print(f"{'loops over pairs, scaled up':34}{loop:10.1f}")
    figures = {
        "speedup_vs_pairwise": round(loop / seconds, 1),
        "seconds": round(seconds, 3),
        "peak_mb": round(peak - before, 1),
        "peak_mb_with_vectors": round(peak, 1),
    }
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

"""How fast texts become recorded vectors, against the bare engines.

Texts of about 200 tokens are embedded by onnxruntime and by sentence-transformers as their
documentation shows it (sorted by length, batches of 16), and by this package with the same engine,
rounding and writing included: by one process, and by two that share one embedder. Loading the
model is told apart; a round runs everything once, and the best of the rounds counts.

Needs ``pytest-convergence[onnx-export]`` and the weights of all-MiniLM-L6-v2.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

MODEL = "all-MiniLM-L6-v2"
BATCH = 16
WORDS = 150  # about 200 tokens
LABELS = {"onnx": "onnxruntime", "torch": "sentence-transformers"}


def make_texts(count: int) -> list[str]:
    """Texts of 100 to 200 words that WordPiece breaks up about as it does English."""
    source = random.Random(20261121)
    parts = "the of and to answer model is not because question therefore however prompt yes a in"
    vocabulary = [*parts.split(), "convergence", "similarity", "measurement", "Canberra", "12.5"]
    return [
        f"{number}: " + " ".join(source.choices(vocabulary, k=source.randint(100, 200)))
        for number in range(count)
    ]


def bare_onnx(folder: str) -> Any:
    import numpy as np
    import onnxruntime
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(f"{folder}/tokenizer.json")
    tokenizer.enable_truncation(256)
    tokenizer.enable_padding()
    session = onnxruntime.InferenceSession(f"{folder}/model.onnx")

    def run(texts: Sequence[str]) -> None:
        ordered = sorted(texts, key=len)
        for start in range(0, len(ordered), BATCH):
            encoded = tokenizer.encode_batch(ordered[start : start + BATCH])
            ids = np.array([item.ids for item in encoded])
            mask = np.array([item.attention_mask for item in encoded])
            given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": ids * 0}
            session.run(None, given)

    return run


def bare_torch(_: str) -> Any:
    from sentence_transformers import SentenceTransformer

    from pytest_convergence.represent.weights import find_weights

    model = SentenceTransformer(str(find_weights(MODEL, os.environ).folder))

    def run(texts: Sequence[str]) -> None:
        model.encode(list(texts), batch_size=BATCH, normalize_embeddings=True)

    return run


def ours(embedder: str, place: Path) -> Any:
    from pytest_convergence.represent.embedding import vectors_for

    def run(texts: Sequence[str]) -> None:
        # Ten models' answers in ten files.
        stores = {place / f"{os.getpid()}-{model}.json": texts[model::10] for model in range(10)}
        vectors_for(stores, embedder, record=True, lock_dir=place / "locks")

    return run


def worker(kind: str, engine: str, folder: str, place: str) -> None:
    """Load, say so, wait for the texts, embed them, say so."""
    started = time.perf_counter()
    if kind == "bare":
        run = bare_onnx(folder) if engine == "onnx" else bare_torch(folder)
    else:
        run = ours(f"onnx:{folder}" if engine == "onnx" else MODEL, Path(place))
    run([f"warm {os.getpid()}"])
    print(time.perf_counter() - started, flush=True)
    loaded = time.process_time()
    texts = json.loads(sys.stdin.readline())
    run(texts)
    print("done", flush=True)
    sys.stdin.readline()  # stay, so that the one that holds the embedder serves to the end
    print(time.process_time() - loaded, flush=True)


def measure(
    kind: str, engine: str, processes: int, texts: list[str], folder: str
) -> dict[str, Any]:
    """Texts a second, and a second of processor time, over all processes; seconds to load.

    Where other work shares the machine, processor time is the figure to go by.
    """
    with tempfile.TemporaryDirectory() as place:
        command = [sys.executable, __file__, "--worker", kind, engine, folder, place]
        running = [
            subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            for _ in range(processes)
        ]
        pipes = [(one.stdin, one.stdout) for one in running]
        loaded = [float(output.readline()) for _, output in pipes if output]
        started = time.perf_counter()
        for number, (given, _) in enumerate(pipes):
            assert given is not None
            given.write(json.dumps(texts[number::processes]) + "\n")
            given.flush()
        answers = [output.readline() for _, output in pipes if output]
        seconds = time.perf_counter() - started
        spent = [float(one.communicate("\n")[0]) for one in running]
        if answers != ["done\n"] * processes:
            raise SystemExit(f"{kind} {engine} at {processes} processes failed")
    return {
        "texts_per_second": len(texts) / seconds,
        "texts_per_cpu_second": len(texts) / sum(spent),
        "load_seconds": min(loaded),
    }


def rounding(texts: list[str], folder: str) -> dict[str, float]:
    """What rounding does to similarities, and what a vector takes on disk."""
    import numpy as np

    from pytest_convergence.represent.embedders import load_embedder
    from pytest_convergence.represent.vectors import VectorStore, from_grid, text_hash, to_grid

    vectors = load_embedder(f"onnx:{folder}").embed(texts)
    exact = vectors.astype(np.float64)
    exact /= np.linalg.norm(exact, axis=1, keepdims=True)
    grid = to_grid(vectors)
    kept = from_grid(grid).astype(np.float64)
    error = kept @ kept.T - exact @ exact.T
    hashes = [text_hash(text) for text in texts]
    store = VectorStore.empty(MODEL, "", 384).extended(hashes, grid, ["onnx"] * len(texts))
    return {
        "similarity_error_max": float(np.abs(error).max()),
        "similarity_error_sd": float(error.std()),
        "bytes_per_vector": len(store.serialised()) / len(texts),
    }


def reading(files: int = 15, texts: int = 750) -> float:
    """Seconds to read a study of the field's size: 15 models, 750 answers each."""
    import numpy as np

    from pytest_convergence.represent.embedding import vectors_for
    from pytest_convergence.represent.vectors import VectorStore, store_path, text_hash, to_grid

    grid = to_grid(np.random.default_rng(0).normal(size=(texts, 384)))
    with tempfile.TemporaryDirectory() as place:
        wanted = {}
        for model in range(files):
            cassette = Path(place) / f"{model}.json"
            wanted[cassette] = [f"{model} {number} {'text ' * 160}" for number in range(texts)]
            hashes = [text_hash(text) for text in wanted[cassette]]
            store = VectorStore.empty(MODEL, "", 384).extended(hashes, grid, ["onnx"] * texts)
            store.write(store_path(cassette, MODEL))
        started = time.perf_counter()
        vectors_for(wanted, MODEL, record=False, lock_dir=Path(place))
        return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 45 s")
    parser.add_argument("--worker", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        worker(*arguments.worker)
        return
    from pytest_convergence.represent.engines.onnx_export import export_onnx

    texts = make_texts(96 if arguments.quick else 640)
    best: dict[str, dict[str, float]] = {}
    with tempfile.TemporaryDirectory() as place:
        folder = str(export_onnx(MODEL, Path(place) / MODEL))
        rounds = [("onnx", 1), ("onnx", 2), ("torch", 1)]
        if not arguments.quick:
            rounds = [*rounds, ("torch", 2)] * 3
        for engine, processes in rounds:
            for kind in ("bare", "ours"):
                name = f"{kind}_{engine}_n{processes - 1 and processes}"
                if kind == "bare" and processes == 2:
                    continue
                found = measure(kind, engine, processes, texts, folder)
                before = best.setdefault(name, found)
                pick = {"load_seconds": min}
                best[name] = {key: pick.get(key, max)(found[key], before[key]) for key in found}
        kept = rounding(texts, folder)
    figures: dict[str, Any] = {"benchmark": "embed", "texts": len(texts), **kept}
    figures["read_15x750_seconds"] = reading()
    print(f"{'':40}{'texts/s':>9}{'of bare':>9}{'by CPU':>9}{'load, s':>9}")
    for name, found in sorted(best.items()):
        kind, engine, workers = name.split("_")
        bare = best[f"bare_{engine}_n0"]
        ratio, by_cpu = (
            found[key] / bare[key] for key in ("texts_per_second", "texts_per_cpu_second")
        )
        label = f"{'bare ' if kind == 'bare' else 'recorded by '}{LABELS[engine]}, -n {workers[1:]}"
        speed, load = found["texts_per_second"], found["load_seconds"]
        print(f"{label:40}{speed:9.1f}{ratio:9.2f}{by_cpu:9.2f}{load:9.1f}")
        figures[f"{name}_texts_per_second"] = round(speed, 2)
        if kind == "ours":
            figures[f"ratio_{engine}_{workers}"] = round(ratio, 3)
            figures[f"cpu_ratio_{engine}_{workers}"] = round(by_cpu, 3)
    print(f"a vector takes {kept['bytes_per_vector']:.0f} bytes; rounding moves a similarity by")
    print(f"{kept['similarity_error_sd']:.1e} (sd), {kept['similarity_error_max']:.1e} at most;")
    print(f"15 x 750 vectors are found and read in {figures['read_15x750_seconds']:.3f} s")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

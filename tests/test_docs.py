"""Every Python example in the documentation runs as it stands."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from sybil import Sybil
from sybil.document import Document
from sybil.parsers.markdown import PythonCodeBlockParser

from pytest_convergence.represent.embedding import vectors_for
from pytest_convergence.represent.ngrams import character_ngrams

ROOT = Path(__file__).parents[1]
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"))
    if "```python" in path.read_text(encoding="utf-8")
)


class Embedding:
    """An embedder of the reader's own: the n-grams of the letters."""

    name = "letters"
    revision = "1"
    engine = "numpy"

    def embed(self, texts: Sequence[str]) -> Any:
        return character_ngrams(texts).astype(np.float32)


def metrics(namespace: dict[str, Any], folder: Path) -> None:
    namespace["my_embedder"] = Embedding()


def embeddings(namespace: dict[str, Any], folder: Path) -> None:
    cassette = folder / f"{quote('openai/gpt-4o', safe='')}.json"
    vectors_for(
        {cassette: ["Lima", "Nairobi"]},
        "all-MiniLM-L6-v2",
        record=True,
        lock_dir=folder,
        custom={"all-MiniLM-L6-v2": Embedding()},
    )


def simulated(namespace: dict[str, Any], folder: Path) -> None:
    shutil.copytree(ROOT / "evals" / "simulated", folder / "evals" / "simulated")


# What a page's examples take for given: a file that a run has written, an object of the reader's.
GIVEN: dict[str, Callable[[dict[str, Any], Path], None]] = {
    "docs/metrics.md": metrics,
    "docs/embeddings.md": embeddings,
    "docs/simulated.md": simulated,
}


def run_tests_in(document: Document) -> None:
    """Tests that need nothing from pytest are called as pytest would."""
    for name, value in list(document.namespace.items()):
        if name.startswith("test_") and callable(value):
            code = getattr(value, "__code__", None)
            if code is not None and code.co_argcount == 0:
                value()


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run(
    page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    document = Sybil(parsers=[PythonCodeBlockParser()], path=str(ROOT), patterns=["**/*.md"]).parse(
        ROOT / page
    )
    if page in GIVEN:
        GIVEN[page](document.namespace, tmp_path)
    monkeypatch.chdir(tmp_path)
    count = 0
    for example in document.examples():
        example.evaluate()
        count += 1
    run_tests_in(document)
    assert count


def test_the_page_of_assertions_names_every_assertion() -> None:
    import pytest_convergence

    text = (ROOT / "docs" / "assertions.md").read_text(encoding="utf-8")
    missing = [
        name
        for name in pytest_convergence.__all__
        if name.startswith("assert_") and f"{name}(" not in text
    ]
    assert not missing

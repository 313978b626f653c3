"""What a trivial replayed case costs in each tool: 1,000 of them, from start to exit.

Each tool runs in an environment of its own, pinned below, built by this script into a cache folder
and used again by the next run. What a case does:

- pytest: compares two short texts that lie in memory. No tool on top of it can be quicker.
- pytest-convergence: replays two models from cassettes, compares them, gives a verdict with its
  similarity, and judges the group of all cases at the end.
- pytest-evals: puts a text and whether it is right into its bag.
- pytest-evals with replay: the same of two answers that pytest-recording replays, by vcrpy, from a
  cassette for each test, which is what its users would add to have recordings at all.
- deepeval, under pytest: ``assert_test`` with a metric of one string comparison.
- inspect_ai: one sample of a task, a model class of its own that answers at once, ``match()``.
  It has no workers; its figure stands in both columns.

``ms_per_case`` is the time of the whole command by the number of cases, imports included.
``idle_import_ms`` is what importing our plugin adds to a pytest run that has no use for it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import statistics
import subprocess
import sys
import venv
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from common import Cost, load, median, rounds, run
from generate import Study, recorded

from pytest_convergence.cassettes import write
from pytest_convergence.models.specs import resolve
from pytest_convergence.sampling.plan import cassette_path

ROOT = Path(__file__).resolve().parent.parent
PYTEST = ("pytest==9.2.0", "pytest-xdist==3.8.0")
PINS = {
    "pytest": PYTEST,
    "pytest-convergence": (f"{ROOT}", "--constraint", f"{ROOT / 'constraints.txt'}"),
    "pytest-evals": ("pytest-evals==0.3.4", *PYTEST),
    "pytest-evals with replay": (
        *("pytest-evals==0.3.4", "pytest-recording==0.14.0", "vcrpy==9.4.2", "httpx==0.28.1"),
        *PYTEST,
    ),
    "deepeval": ("deepeval==4.3.1", *PYTEST),
    "inspect_ai": ("inspect-ai==0.3.285",),
}
NO_WORKERS = ("inspect_ai",)

_ANSWERS = "ANSWERS = json.loads((Path(__file__).parent / 'answers.json').read_text())\n"
_HEAD = f"import json\nfrom pathlib import Path\n\nimport pytest\n\n{_ANSWERS}\n\n"
_EACH = '@pytest.mark.parametrize("number", range(len(ANSWERS)))\n'
_MODULES = {
    "pytest": _HEAD
    + _EACH
    + """def test_case(number):
    assert ANSWERS[number] == f"Answer {number}."
""",
    "pytest-convergence": """import json
from pathlib import Path

import pytest

from pytest_convergence import assert_converges

PROMPTS = json.loads((Path(__file__).parent / "prompts.json").read_text())


@pytest.mark.convergence(capability="trivial", metric="exact", threshold=0.5)
@pytest.mark.parametrize("prompt", list(PROMPTS.values()), ids=list(PROMPTS))
def test_case(prompt, models):
    assert_converges(models, threshold=0.5)
""",
    "pytest-evals": _HEAD
    + '@pytest.mark.eval(name="trivial")\n'
    + _EACH
    + """def test_case(number, eval_bag):
    eval_bag.prediction = ANSWERS[number]
    eval_bag.accuracy = eval_bag.prediction == f"Answer {number}."
    assert eval_bag.accuracy
""",
    "pytest-evals with replay": _HEAD
    + """import httpx

CLIENT = httpx.Client()


def said(model, number):
    body = {"model": model, "messages": [{"role": "user", "content": f"Question {number}?"}]}
    answer = CLIENT.post("http://127.0.0.1:8000/v1/chat/completions", json=body)
    return answer.json()["choices"][0]["message"]["content"]


@pytest.mark.vcr
@pytest.mark.eval(name="trivial")
"""
    + _EACH
    + """def test_case(number, eval_bag):
    eval_bag.prediction = said("model-00", number)
    eval_bag.accuracy = eval_bag.prediction == said("model-01", number)
    assert eval_bag.accuracy
""",
    "deepeval": _HEAD
    + """from deepeval import assert_test
from deepeval.metrics import BaseMetric
from deepeval.test_case import LLMTestCase


class Exact(BaseMetric):
    threshold = 0.5
    async_mode = False

    def measure(self, test_case, *arguments, **named):
        self.score = float(test_case.actual_output == test_case.expected_output)
        self.success = self.score >= self.threshold
        return self.score

    async def a_measure(self, test_case, *arguments, **named):
        return self.measure(test_case)

    def is_successful(self):
        return self.success

    @property
    def __name__(self):
        return "Exact"


"""
    + _EACH
    + """def test_case(number):
    case = LLMTestCase(
        input=f"Question {number}?",
        actual_output=ANSWERS[number],
        expected_output=f"Answer {number}.",
    )
    assert_test(case, [Exact()], run_async=False)
""",
    "inspect_ai": f"""import json
from pathlib import Path

from inspect_ai import Task, eval
from inspect_ai.dataset import Sample
from inspect_ai.model import ModelAPI, ModelOutput, modelapi
from inspect_ai.scorer import match
from inspect_ai.solver import generate

{_ANSWERS}

@modelapi(name="local")
def local():
    class Local(ModelAPI):
        async def generate(self, input, tools, tool_choice, config):
            number = int(input[-1].text.split()[-1].rstrip("?"))
            return ModelOutput.from_content("local", ANSWERS[number])

    return Local


if __name__ == "__main__":
    samples = [
        Sample(input=f"Question {{number}}?", target=answer)
        for number, answer in enumerate(ANSWERS)
    ]
    task = Task(dataset=samples, solver=generate(), scorer=match())
    (log,) = eval(task, model="local/local", display="none", log_dir="logs")
    assert log.status == "success", log.error
""",
}
_EXTRA = {
    "pytest-evals": ["--run-eval"],
    "pytest-evals with replay": ["--run-eval", "--record-mode=none"],
}
# Each tool's own plugins are loaded, and nothing calls home.
_SETTINGS = {
    "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "",
    "DEEPEVAL_TELEMETRY_OPT_OUT": "1",
    "DEEPEVAL_DISABLE_DOTENV": "1",
    "DEEPEVAL_UPDATE_WARNING_OPT_IN": "0",
}


def python_of(tool: str, cache: Path) -> Path | None:
    """The interpreter of a tool, its environment built where need be; None where it cannot be."""
    pinned = [sys.version, *PINS[tool]]
    if tool == "pytest-convergence":
        pinned += [(ROOT / name).read_text() for name in ("pyproject.toml", "constraints.txt")]
    pins = hashlib.sha256("\n".join(pinned).encode()).hexdigest()[:10]
    folder = cache / f"{tool.replace(' ', '-')}-{pins}"
    python = folder / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if (folder / "done").exists():
        return python
    print(f"building the environment of {tool} in {folder}", flush=True)
    venv.create(folder, clear=True, with_pip=True)
    command = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    editable = ["--editable"] if tool == "pytest-convergence" else []
    done = subprocess.run(
        [*command, *editable, *PINS[tool]], capture_output=True, text=True, check=False
    )
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        print(f"{tool} cannot be installed here and is left out: {reason}")
        return None
    (folder / "done").touch()
    return python


def prepare(tool: str, folder: Path, cases: int) -> None:
    """What the tool runs on."""
    folder.mkdir()
    name = "run.py" if tool == "inspect_ai" else "test_trivial.py"
    (folder / name).write_text(_MODULES[tool])
    answers = [f"Answer {number}." for number in range(cases)]
    (folder / "answers.json").write_text(json.dumps(answers))
    lines = ["[pytest]"]
    if tool == "pytest-evals with replay":
        _write_vcr_cassettes(folder / "cassettes" / "test_trivial", answers)
    if tool == "pytest-convergence":
        study = Study(models=2, prompts=cases)
        lines += ["convergence_samples = 1", "convergence_models ="]
        lines += [f"    {spec}" for spec in study.specs]
        (folder / "prompts.json").write_text(json.dumps(study.prompt_texts()))
        for spec in study.specs:
            model = resolve(spec, environ={}, custom={})
            place = cassette_path("test_trivial.py", "test_case", model.name)
            write(folder / "cassettes" / place, recorded(study, model, answers))
    (folder / "pytest.ini").write_text("\n".join(lines))


def _write_vcr_cassettes(folder: Path, answers: list[str]) -> None:
    """A cassette for each test, named and written as pytest-recording and vcrpy do."""
    from vcr.request import Request
    from vcr.serialize import serialize
    from vcr.serializers import yamlserializer

    folder.mkdir(parents=True)
    for number, answer in enumerate(answers):
        requests, responses = [], []
        for model in ("model-00", "model-01"):
            asked = {"model": model, "messages": [{"role": "user", "content": f"{number}"}]}
            said = {"choices": [{"message": {"role": "assistant", "content": answer}}]}
            url = "http://127.0.0.1:8000/v1/chat/completions"
            requests.append(Request("POST", url, json.dumps(asked), {}))
            responses.append(
                {
                    "status": {"code": 200, "message": "OK"},
                    "headers": {"content-type": ["application/json"]},
                    "body": {"string": json.dumps(said)},
                }
            )
        text = serialize({"requests": requests, "responses": responses}, yamlserializer)
        (folder / f"test_case[{number}].yaml").write_text(text)


def measure(tool: str, python: Path, folder: Path, workers: int) -> Cost:
    """One run of all cases."""
    if tool == "inspect_ai":
        return run([python, "run.py"], folder=folder, more=_SETTINGS)
    command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", f"-n{workers}"]
    return run([*command, *_EXTRA.get(tool, [])], folder=folder, more=_SETTINGS)


def idle_import(python: Path) -> float:
    """Milliseconds to import the plugin into a process that runs pytest; the median of 9."""
    code = (
        "import time, pytest, _pytest.main, _pytest.python, _pytest.terminal; "
        "started = time.process_time(); import pytest_convergence.plugin; "
        "print(1000 * (time.process_time() - started))"
    )
    command = [str(python), "-c", code]
    found = [subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(9)]
    return statistics.median(float(one.stdout) for one in found)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="under 45 s: 200 cases, one round")
    default = Path.home() / ".cache" / "pytest-convergence-benchmarks"
    parser.add_argument("--cache", type=Path, default=default, help="where environments are kept")
    arguments = parser.parse_args()
    cases, count = (200, 1) if arguments.quick else (1000, 3)
    pythons = {tool: python_of(tool, arguments.cache) for tool in PINS}
    with TemporaryDirectory() as temporary:
        measures = {}
        for tool, python in pythons.items():
            if python is None:
                continue
            folder = Path(temporary) / tool
            prepare(tool, folder, cases)
            for workers in (0,) if tool in NO_WORKERS else (0, 2):
                measures[f"{tool} -n {workers}"] = partial(measure, tool, python, folder, workers)
        print(f"{cases} trivial cases; {load()}", flush=True)
        costs = rounds(count, measures, warm=not arguments.quick)
    figures: dict[str, object] = {"benchmark": "overhead", "cases": cases}
    print(f"{'ms per case':26}{'-n 0':>9}{'-n 2':>9}{'CPU, -n 0':>11}{'CPU, -n 2':>11}")
    for tool, python in pythons.items():
        if python is None:
            key = tool.replace(" ", "-")
            figures[f"{key}_ms_per_case_n0"] = figures[f"{key}_ms_per_case_n2"] = None
            continue
        alone = median(costs[f"{tool} -n 0"])
        shared = median(costs.get(f"{tool} -n 2", costs[f"{tool} -n 0"]))
        row = [1000 * one / cases for one in (alone.wall, shared.wall, alone.cpu, shared.cpu)]
        print(f"{tool:26}{row[0]:9.2f}{row[1]:9.2f}{row[2]:11.2f}{row[3]:11.2f}")
        names = ("ms_per_case_n0", "ms_per_case_n2", "cpu_ms_per_case_n0", "cpu_ms_per_case_n2")
        figures.update(
            {f"{tool.replace(' ', '-')}_{n}": round(v, 3) for n, v in zip(names, row, strict=True)}
        )
    ours = pythons["pytest-convergence"]
    if ours is not None:
        figures["idle_import_ms"] = round(idle_import(ours), 2)
        print(f"importing our plugin where it is not used: {figures['idle_import_ms']} ms")
    print(f"inspect_ai has no workers; {load()}")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()

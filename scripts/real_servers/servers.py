"""Servers from the package registry, each in its own environment, on a free port of loopback."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_TINY = Path(__file__).with_name("tiny_model.py")


@dataclass(frozen=True)
class Server:
    """How a server is installed, prepared and started.

    ``prepare`` writes what it loads into a folder and ``command`` starts it there on a port; both
    take the environment's ``bin`` folder.
    """

    name: str
    packages: tuple[str, ...]
    health: str
    prepare: Callable[[Path, Path], None]
    command: Callable[[Path, int], list[str]]


@dataclass(frozen=True)
class Running:
    """A server that answers."""

    url: str
    key: str
    seconds: float


def _llama(binaries: Path, port: int) -> list[str]:
    options = "--model tiny.gguf --model_alias tiny --n_ctx 512 --n_threads 1 --logits_all true"
    return [
        *(str(binaries / "python"), "-m", "llama_cpp.server", *options.split()),
        *("--verbose", "false", "--host", "127.0.0.1", "--port", str(port)),
        *("--api_key", os.environ["CHECK_KEY"]),
    ]


def _transformers(binaries: Path, port: int) -> list[str]:
    options = ["--device", "cpu", "--host", "127.0.0.1", "--port", str(port)]
    return [str(binaries / "transformers"), "serve", "tiny", *options]


def _litellm(binaries: Path, port: int) -> list[str]:
    options = ["--config", "litellm.json", "--host", "127.0.0.1", "--port", str(port)]
    return [str(binaries / "litellm"), *options]


def _tiny_model(form: str, target: str) -> Callable[[Path, Path], None]:
    def prepare(binaries: Path, folder: Path) -> None:
        command = [str(binaries / "python"), str(_TINY), form, target]
        subprocess.run(command, check=True, cwd=folder)

    return prepare


def _write_litellm_config(_: Path, folder: Path) -> None:
    answers = {
        "fine": ("openai/gpt-4o-mini", "The answer is Paris."),
        "claude": ("anthropic/claude-sonnet-4-5", "The answer is Paris."),
        "gemini": ("gemini/gemini-2.5-flash", "The answer is Paris."),
        "limited": ("openai/gpt-4o-mini", "litellm.RateLimitError"),
        "broken": ("openai/gpt-4o-mini", "litellm.InternalServerError"),
        "window": ("openai/gpt-4o-mini", "litellm.ContextWindowExceededError"),
    }
    models = [
        {
            "model_name": name,
            "litellm_params": {"model": model, "api_key": "none", "mock_response": answer},
        }
        for name, (model, answer) in answers.items()
    ]
    models[0]["litellm_params"]["mock_delay"] = 0.2  # type: ignore[index]
    config = {"model_list": models, "router_settings": {"num_retries": 0}}
    # JSON is YAML.
    (folder / "litellm.json").write_text(json.dumps(config), encoding="utf-8")


SERVERS = (
    Server(
        "llama-cpp-python",
        ("llama-cpp-python[server]==0.3.36", "gguf==0.19.0"),
        "/v1/models",
        _tiny_model("gguf", "tiny.gguf"),
        _llama,
    ),
    Server(
        "transformers",
        ("transformers[serving]==5.23.0", "torch==2.13.0"),
        "/health",
        _tiny_model("transformers", "tiny"),
        _transformers,
    ),
    Server(
        "litellm",
        ("litellm[proxy]==1.106.2",),
        "/health/liveliness",
        _write_litellm_config,
        _litellm,
    ),
)


def install(server: Server, work: Path) -> Path:
    """The ``bin`` folder of the server's environment, made where it is not there yet."""
    folder = work / server.name
    binaries = folder / "venv" / "bin"
    done = folder / "installed"
    if not done.exists():
        folder.mkdir(parents=True, exist_ok=True)
        subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
        pip = [str(binaries / "pip"), "install", "-qq", *server.packages]
        subprocess.run(pip, check=True)
        server.prepare(binaries, folder)
        done.touch()
    return binaries


@contextmanager
def running(server: Server, work: Path) -> Iterator[Running]:
    """The server, installed, started and answering; stopped in the end."""
    binaries = install(server, work)
    folder = work / server.name
    key = f"sk-{secrets.token_hex(24)}"
    port = _free_port()
    os.environ["CHECK_KEY"] = key
    environment = os.environ | {
        "LITELLM_MASTER_KEY": key,
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        "HF_HUB_OFFLINE": "1",
        "OMP_NUM_THREADS": "1",
    }
    start = time.monotonic()
    with (folder / "server.log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            server.command(binaries, port),
            cwd=folder,
            env=environment,
            stdout=log,
            stderr=subprocess.STDOUT,
        )
        try:
            url = f"http://127.0.0.1:{port}"
            _wait(url + server.health, process, folder / "server.log")
            yield Running(url, key, time.monotonic() - start)
        finally:
            process.terminate()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _wait(url: str, process: subprocess.Popen[bytes], log: Path, limit: float = 120) -> None:
    end = time.monotonic() + limit
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return  # it answers, if only that a key is missing
        except OSError:
            time.sleep(0.2)
        else:
            return
    tail = log.read_text(encoding="utf-8", errors="replace")[-2000:]
    raise RuntimeError(f"no answer from {url}; the end of its log:\n{tail}")

"""Every option, where it may be set, and which source wins.

Precedence: command line, then marker (the closest wins, key by key), then environment
(``CONVERGENCE_<NAME>``), then ini (``convergence_<name>``), then the default.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    import pytest

RECORD_MODES = ("none", "new_episodes", "rewrite")

# What a command that records must repeat, so as to ask the same of the same models.
_REPEATED = (
    *("models", "candidate", "incumbent", "simulation", "responses", "columns"),
    *("samples", "decoding", "metric", "embedder", "cassettes"),
)


class Option:
    """One setting. ``read`` turns a string from any source into its value.

    ``sources`` are those, beside the command line, that may set it. Not a dataclass, like all
    that loads with the plugin: making one takes half a millisecond.
    """

    def __init__(
        self,
        name: str,
        help: str,  # noqa: A002  # argparse's word
        read: Callable[[str], Any] = str,
        default: Any = None,
        metavar: str | None = None,
        flag: bool = False,
        sources: tuple[str, ...] = ("environment", "ini"),
    ) -> None:
        self.name = name
        self.help = help
        self.read = read
        self.default = default
        self.metavar = metavar
        self.flag = flag
        self.sources = sources

    @property
    def option(self) -> str:
        """The command-line spelling."""
        return "--convergence-" + self.name.replace("_", "-")


def _names(text: str) -> tuple[str, ...]:
    parts = (part.strip() for line in text.splitlines() for part in line.split(","))
    return tuple(part for part in parts if part)


def _flag(text: str) -> bool:
    lowered = text.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off", ""):
        return False
    raise ValueError("write true or false")


def _record(text: str) -> str:
    if text not in RECORD_MODES:
        raise ValueError(f"write one of {', '.join(RECORD_MODES)}")
    return text


def _share(text: str) -> float:
    value = float(text)
    if not 0 < value < 1:
        raise ValueError("write a number between 0 and 1, such as 0.95")
    return value


def _whole(least: int) -> Callable[[str], int]:
    def read(text: str) -> int:
        value = int(text)
        if value < least:
            raise ValueError(f"write a whole number from {least}")
        return value

    return read


def _positive(text: str) -> float:
    value = float(text)
    if not value > 0:
        raise ValueError("write a number above 0")
    return value


def _pairs(text: str) -> dict[str, Any]:
    """``temperature=0.7,stop=END`` with values read as JSON where they are JSON."""
    import json

    result: dict[str, Any] = {}
    for part in _names(text):
        name, separator, value = part.partition("=")
        if not separator:
            raise ValueError(f"write name=value, not {part!r}")
        try:
            result[name.strip()] = json.loads(value)
        except ValueError:
            result[name.strip()] = value
    return result


def _prices(text: str) -> dict[str, tuple[float, float]]:
    """``local/qwen3=0.1/0.4,openai/gpt-4o=2.5/10``."""
    result = {}
    for part in _names(text):
        model, separator, price = part.rpartition("=")
        asked, slash, answered = price.partition("/")
        if not (separator and slash):
            raise ValueError(f"write model=in/out, such as local/qwen3=0.1/0.4, not {part!r}")
        result[model.strip()] = (float(asked), float(answered))
    return result


OPTIONS = (
    Option(
        "models",
        "the panel: comma-separated specs such as openai/gpt-4o,anthropic/claude-sonnet-4-5,"
        "vllm/qwen3@http://localhost:8000/v1",
        _names,
        (),
        "SPECS",
    ),
    Option(
        "record",
        "none: replay only (default); new_episodes: record what is missing; "
        "rewrite: record the selected tests anew",
        _record,
        "none",
        "MODE",
    ),
    Option("samples", "responses drawn for each model and prompt (default 5)", _whole(1), 5, "N"),
    Option("metric", "what similarity means: embedding, label, exact, …", str, None, "NAME"),
    Option("embedder", "the text embedder", str, "all-MiniLM-L6-v2", "NAME"),
    Option(
        "decoding",
        "decoding parameters that are sent: temperature=0.7,max_tokens=200",
        _pairs,
        {},
        "NAME=VALUE,…",
    ),
    Option(
        "confidence",
        "let the interval's bound decide at this level, e.g. 0.95 (default: the estimate decides)",
        _share,
        None,
        "LEVEL",
    ),
    Option("cassettes", "folder of recordings (default cassettes)", str, "cassettes", "DIR"),
    Option("simulation", "data files of the simulated panel", _names, (), "FILES"),
    Option("responses", "judge recorded responses: JSONL, CSV or Parquet", str, None, "FILE"),
    Option(
        "columns",
        "columns of the responses file: text=answer,model=engine",
        _pairs,
        {},
        "NAME=COLUMN,…",
    ),
    Option("json", "write the run file", str, None, "PATH", sources=()),
    Option("html", "write the report as one self-contained page", str, None, "PATH", sources=()),
    Option("baseline", "compare every group with this baseline", str, None, "PATH"),
    Option(
        "update_baseline",
        "write the baseline from this run",
        _flag,
        False,
        flag=True,
        sources=(),
    ),
    Option(
        "require_baseline",
        "groups that are new, vanished or not comparable fail",
        _flag,
        False,
        flag=True,
    ),
    Option("candidate", "may this model replace the incumbent?", str, None, "MODEL", sources=()),
    Option("incumbent", "the model that the candidate would replace", str, None, "MODEL"),
    Option(
        "dry_run",
        "print the plan (calls, tokens, cost) and stop",
        _flag,
        False,
        flag=True,
        sources=(),
    ),
    Option("max_cost", "stop sampling at this many US dollars", _positive, None, "DOLLARS"),
    Option(
        "prices",
        "US dollars for a million tokens in and out: local/qwen3=0.1/0.4",
        _prices,
        {},
        "MODEL=IN/OUT,…",
    ),
    Option(
        "retry_missing",
        "ask again where a recorded answer is a final failure",
        _flag,
        False,
        flag=True,
        sources=(),
    ),
    Option("max_retries", "retries of one call (default 6)", _whole(0), 6, "N"),
    Option("timeout", "seconds for one attempt (default 120)", _positive, 120.0, "SECONDS"),
    Option("in_flight", "requests in flight for each model (default 16)", _whole(1), 16, "N"),
    Option("requests_per_minute", "limit for each base URL and key", _positive, None, "N"),
    Option("tokens_per_minute", "limit for each base URL and key", _positive, None, "N"),
)


class Settings:
    """All settings of a run, resolved once.

    ``explicit`` are those the command line set; ``beneath`` what they would be without it, for
    those that are merged key by key. ``repeated`` are the arguments that a command must repeat to
    ask the same of the same models.
    """

    def __init__(
        self,
        rootpath: Path,
        values: Mapping[str, Any],
        explicit: frozenset[str],
        beneath: Mapping[str, Any],
        invocation: Path | None = None,
        repeated: Sequence[str] = (),
    ) -> None:
        self.invocation = invocation or rootpath
        self.rootpath = rootpath
        self.values = values
        self.explicit = explicit
        self.beneath = beneath
        self.repeated = tuple(repeated)

    def __getitem__(self, name: str) -> Any:
        return self.values[name]

    def path(self, name: str) -> Path | None:
        """A path setting, or None; relative to where the command was given, else to the rootdir."""
        value = self.values[name]
        base = self.invocation if name in self.explicit else self.rootpath
        return None if value is None else base / value

    @property
    def cassettes(self) -> Path:
        """The folder of recordings."""
        return self.rootpath / str(self.values["cassettes"])

    @property
    def kept(self) -> Path:
        """The folder for what is kept between runs and belongs to this machine."""
        return self.rootpath / ".convergence"

    @property
    def state(self) -> Path:
        """The folder for the journals and locks of this run's recordings.

        Each folder of recordings has its own: a journal is merged into the one it was made for.
        """
        if self.cassettes == self.rootpath / "cassettes":
            return self.kept
        from hashlib import sha256

        name = sha256(str(self.cassettes.resolve()).encode()).hexdigest()[:12]
        return self.kept / f"cassettes-{name}"


def add_options(parser: pytest.Parser) -> None:
    """Declare every option on the command line and in ini."""
    group = parser.getgroup("convergence", "convergence of language models")
    for option in OPTIONS:
        if option.flag:
            group.addoption(option.option, action="store_true", default=None, help=option.help)
        else:
            group.addoption(option.option, default=None, metavar=option.metavar, help=option.help)
        if "ini" in option.sources:
            parser.addini(f"convergence_{option.name}", option.help, type=_ini_type(option))


def _ini_type(option: Option) -> Literal["string", "linelist"]:
    return "linelist" if option.read is _names else "string"


def read_settings(config: pytest.Config, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of this run.

    Raises
    ------
    SettingsError
        For a value that cannot be used, naming the source that gave it.
    """
    values: dict[str, Any] = {}
    beneath: dict[str, Any] = {}
    explicit: set[str] = set()
    repeated: list[str] = []
    for option in OPTIONS:
        given = config.getoption(option.option)
        if given is not None:
            explicit.add(option.name)
            values[option.name] = given if option.flag else _read(option, given, option.option)
            if option.read is _pairs:
                beneath[option.name] = _fallback(option, config, environ)
        else:
            values[option.name] = _fallback(option, config, environ)
        if option.name in _REPEATED and given is not None:
            repeated.append(f"{option.option}={given}")
    for override in config.getoption("override_ini", None) or ():
        if override.startswith("convergence_"):
            repeated += ["-o", override]
    invocation = config.invocation_params.dir
    return Settings(config.rootpath, values, frozenset(explicit), beneath, invocation, repeated)


def _fallback(option: Option, config: pytest.Config, environ: Mapping[str, str]) -> Any:
    if option.name == "record" and environ.get("CI"):
        # In CI only the command line may spend money.
        return option.default
    variable = f"CONVERGENCE_{option.name.upper()}"
    if "environment" in option.sources and environ.get(variable):
        return _read(option, environ[variable], f"environment variable {variable}")
    if "ini" in option.sources:
        name = f"convergence_{option.name}"
        value = config.getini(name)
        text = "\n".join(value) if isinstance(value, list) else str(value)
        if text:
            return _read(option, text, f"ini option {name}")
    return option.default


def _read(option: Option, text: str, source: str) -> Any:
    from pytest_convergence.errors import SettingsError

    try:
        return option.read(text)
    except ValueError as error:
        raise SettingsError(f"{source}: {text!r} is not usable", fix=[str(error)]) from None

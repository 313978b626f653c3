"""Ask servers that nobody here wrote, through the adapters, and say what each does.

    python scripts/check_real_servers.py [--work FOLDER] [--only NAME …] [--capture FOLDER]

Installs llama-cpp-python, transformers and litellm from the package registry, each into an
environment of its own below the working folder (llama-cpp-python is compiled: several minutes the
first time; later runs take under a minute), writes a tiny model whose probabilities are known
(``real_servers/tiny_model.py``), starts each server on a free port of 127.0.0.1, asks, prints a
table and stops it. Exits with 1 where an answer is not what it must be.

With ``--capture`` the traffic goes, without keys and by allow-listed headers, into the folder
that ``tests/integration/test_real_servers.py`` replays: ``tests/data/wire``.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "real_servers"))

from probes import PROBES, Asker, Finding

from pytest_convergence.text import printable
from servers import SERVERS, Server, running


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    default = Path(tempfile.gettempdir()) / "pytest-convergence-servers"
    names = [server.name for server in SERVERS]
    parser.add_argument("--work", type=Path, default=default, help=f"default {default}")
    parser.add_argument("--only", nargs="+", choices=names, default=names)
    parser.add_argument("--capture", type=Path, help="write the traffic there")
    return parser.parse_args()


def check(server: Server, work: Path, capture: Path | None) -> bool:
    """Start one server, ask it everything, print its part of the table."""
    begin = time.monotonic()
    with running(server, work) as started:
        asker = Asker(started)
        print(f"\n{server.name} ({', '.join(server.packages)}), up in {started.seconds:.1f} s")
        good = True
        try:
            for finding in PROBES[server.name](asker):
                print(_line(finding))
                good &= finding.good
        except Exception as problem:  # one server's surprise must not hide the others'
            print(_line(Finding("the probe itself", False, repr(problem))))
            good = False
        if capture is not None and good:
            _write(capture / f"{server.name}.json", asker, started.key, work)
    print(f"  {'passed' if good else 'FAILED'} in {time.monotonic() - begin:.1f} s")
    return good


def _line(finding: Finding) -> str:
    mark = "ok  " if finding.good else "FAIL"
    return f"  {mark}  {finding.probe:<38}  {printable(finding.told, limit=150)}"


def _write(path: Path, asker: Asker, key: str, work: Path) -> None:
    # Some servers put a traceback with their own paths into an error.
    text = json.dumps(asker.traffic, indent=1, sort_keys=True).replace(str(work), "/work")
    if key in text:
        raise SystemExit(f"{path} would hold the key")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", encoding="utf-8")


def main() -> int:
    """Check every server; 1 where one failed."""
    arguments = _arguments()
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]
    chosen = [server for server in SERVERS if server.name in arguments.only]
    results = [check(server, arguments.work.resolve(), arguments.capture) for server in chosen]
    print(f"\n{sum(results)} of {len(results)} servers passed")
    return 0 if all(results) else 1


if __name__ == "__main__":
    raise SystemExit(main())

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_convergence.cassettes import FinalFailure
from pytest_convergence.errors import CassetteError, SamplingError
from pytest_convergence.sampling.journal import Entry, Journal
from tests.recording_parts import NOON, recorded, request


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path / "journal" / "m.jsonl", tmp_path / "locks" / "m.lock")


def entry(sample: int) -> Entry:
    return Entry(recorded("why", sample, f"answer {sample}"))


def test_what_was_appended_is_read_back_whole(journal: Journal) -> None:
    odd = Entry(recorded("\ud83d\n\x00", 0, "line\nfeed \u2028 \ud83d"), replaces=True)
    failed = Entry(FinalFailure(request("a"), 1, "a", None, "timed out\n", NOON))
    journal.append(odd)
    journal.append(failed)
    assert journal.read().entries == (odd, failed)


def test_a_journal_that_is_not_there_is_empty(journal: Journal) -> None:
    tail = journal.read()
    assert tail.entries == ()
    assert not tail.restarted


def test_a_reader_gets_only_what_is_new(journal: Journal) -> None:
    journal.append(entry(0))
    first = journal.read()
    assert journal.read(first.position).entries == ()
    journal.append(entry(1))
    journal.append(entry(2))
    second = journal.read(first.position)
    assert second.entries == (entry(1), entry(2))
    assert not second.restarted


def test_a_reader_notices_that_what_it_had_read_was_merged(journal: Journal) -> None:
    journal.append(entry(0))
    before = journal.read().position
    journal.path.unlink()
    gone = journal.read(before)
    assert gone.restarted
    journal.append(entry(1))
    assert journal.read(gone.position).entries == (entry(1),)
    anew = journal.read(before)
    assert anew.restarted
    assert anew.entries == (entry(1),)


def test_a_tail_that_a_killed_process_tore_is_ignored_and_mended(journal: Journal) -> None:
    journal.append(entry(0))
    journal.append(entry(1))
    whole = journal.path.read_bytes()
    start = whole.rfind(b"\n", 0, -1) + 1
    for end in range(start, len(whole)):
        journal.path.write_bytes(whole[:end])
        assert journal.read().entries == (entry(0),)
        journal.append(entry(2))
        assert journal.read().entries == (entry(0), entry(2))


def test_a_header_that_a_killed_process_tore_is_mended(journal: Journal) -> None:
    journal.append(entry(0))
    whole = journal.path.read_bytes()
    for end in range(whole.index(b"\n") + 1):
        journal.path.write_bytes(whole[:end])
        assert journal.read().entries == ()
        journal.append(entry(1))
        assert journal.read().entries == (entry(1),)


def test_a_torn_tail_longer_than_a_read_is_mended(journal: Journal) -> None:
    journal.append(entry(0))
    with journal.path.open("ab") as stream:
        stream.write(b"x" * 300_000)
    journal.append(entry(1))
    assert journal.read().entries == (entry(0), entry(1))


def test_a_reader_that_came_by_during_a_write_misses_nothing(journal: Journal) -> None:
    journal.append(entry(0))
    position = journal.read().position
    journal.append(entry(1))
    whole = journal.path.read_bytes()
    journal.path.write_bytes(whole[:-5])
    during = journal.read(position)
    assert during.entries == ()
    journal.path.write_bytes(whole)
    assert journal.read(during.position).entries == (entry(1),)


@pytest.mark.parametrize("line", [b"[]", b"{}", b"\xff", b"{", b'{"request": []}', b"\x00\x00"])
def test_a_line_that_something_else_wrote_is_an_error_that_says_where(
    journal: Journal, line: bytes
) -> None:
    journal.append(entry(0))
    with journal.path.open("ab") as stream:
        stream.write(line + b"\n")
    before = journal.path.read_bytes()
    with pytest.raises(CassetteError, match=r"m\.jsonl has a line that cannot be read"):
        journal.read()
    assert journal.path.read_bytes() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
def test_a_full_disk_is_reported_as_what_it_is(journal: Journal) -> None:
    journal.path.parent.mkdir(parents=True)
    journal.path.symlink_to("/dev/full")
    with pytest.raises(SamplingError, match="the disk is full") as raised:
        journal.append(entry(0))
    assert "free some space" in raised.value.fix
    assert any("every answer before this one is kept" in line for line in raised.value.details)


def test_a_folder_in_the_journals_place_is_reported_as_what_it_is(journal: Journal) -> None:
    journal.path.mkdir(parents=True)
    with pytest.raises(SamplingError, match="there is a folder in its place"):
        journal.append(entry(0))


def test_a_file_in_the_folders_place_is_reported_as_what_it_is(journal: Journal) -> None:
    journal.path.parent.write_text("")
    with pytest.raises(SamplingError, match="cannot keep an answer to 'why'"):
        journal.append(entry(0))


LIMITED = """
import resource, signal, sys
from pathlib import Path
from pytest_convergence.errors import SamplingError
from pytest_convergence.sampling.journal import Entry, Journal
from tests.recording_parts import recorded
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (6000, 6000))
journal = Journal(Path(sys.argv[1]), Path(sys.argv[2]))
kept = 0
try:
    while True:
        journal.append(Entry(recorded("why", kept, "x" * 500)))
        kept += 1
except SamplingError as error:
    print(kept, journal.path.read_bytes().endswith(b"\\n"), error.headline, sep="|")
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no such limit there")
def test_a_write_that_was_cut_short_is_taken_back(journal: Journal) -> None:
    arguments = [sys.executable, "-c", LIMITED, str(journal.path), str(journal.lock)]
    done = subprocess.run(arguments, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    kept, whole, headline = done.stdout.split("|")
    assert int(kept) > 2, done.stderr
    assert whole == "True"
    assert "the file would exceed the size limit" in headline
    assert len(journal.read().entries) == int(kept)


UNPRIVILEGED = """
import os, sys
from pathlib import Path
import filelock
from pytest_convergence.errors import SamplingError
from pytest_convergence.sampling.journal import Entry, Journal
from tests.recording_parts import recorded
if os.geteuid() == 0:
    os.seteuid(65534)
try:
    Journal(Path(sys.argv[1]), Path(sys.argv[2])).append(Entry(recorded()))
except SamplingError as error:
    print(error.headline)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="permissions differ there")
def test_a_folder_that_may_not_be_written_is_reported_as_what_it_is(journal: Journal) -> None:
    journal.append(entry(0))
    folder = journal.path.parent
    journal.path.chmod(0o400)
    folder.chmod(0o500)
    journal.lock.parent.chmod(0o500)
    try:
        arguments = [sys.executable, "-c", UNPRIVILEGED, str(journal.path), str(journal.lock)]
        root = Path(__file__).parents[2]
        done = subprocess.run(arguments, capture_output=True, text=True, cwd=root)
    finally:
        folder.chmod(0o700)
        journal.lock.parent.chmod(0o700)
    assert "permission is denied" in done.stdout, done.stderr
    assert journal.read().entries == (entry(0),)


def test_a_line_is_one_line_of_ascii_json(journal: Journal) -> None:
    journal.append(Entry(recorded("é\n", 0, "\ud83d")))
    header, line = journal.path.read_text("ascii").splitlines()
    assert json.loads(header)["journal"] == 1
    assert json.loads(line)["sample"] == 0

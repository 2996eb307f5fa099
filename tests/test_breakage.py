"""What breaks around a command: disks, folders, caches. One line, exit code 2, and nothing that was there is lost."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from forecasting import backtest_files, store, workflow
from forecasting.errors import DataError
from forecasting.sources.base import Address
from forecasting.sources.fetching import Client, _Download

Run = Callable[..., tuple[int, str, str]]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EDQUOT, errno.EMFILE])
def test_what_only_the_user_can_mend_on_a_disk_is_one_line(
    tradecast: Run, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def fails(*_: object) -> None:
        raise OSError(number, os.strerror(number), "/some/file")

    monkeypatch.setattr(workflow, "load", fails)
    code, out, err = tradecast("data", "list")
    assert (code, out) == (2, "")
    assert err == f"tradecast: /some/file could not be written or read: {os.strerror(number)}.\n"


@pytest.mark.parametrize(
    "words", [("scenario", "run", "a" * 400), ("backtest", "1" * 400), ("forecast", "--out", f"{'1' * 400}.csv")]
)
def test_a_name_that_no_file_can_have_is_one_line(tradecast: Run, words: tuple[str, ...]) -> None:
    code, out, err = tradecast(*words)
    assert (code, out) == (2, "")
    assert err.startswith("tradecast: ")
    assert err.endswith("could not be written or read: File name too long.\n")
    assert err.count("\n") == 1


@pytest.mark.parametrize("strange", ["\u202e", "\ud7ff", "\x1b[31m"])
def test_words_that_move_a_terminal_are_not_repeated_to_it(tradecast: Run, strange: str) -> None:
    code, _, err = tradecast("data", "check", strange, "b")
    assert (code, err.count("\n")) == (2, 1)
    assert strange not in err
    assert err.rstrip("\n").isprintable()


def test_a_file_that_we_lose_ourselves_is_a_traceback(tradecast: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise FileNotFoundError(errno.ENOENT, "No such file or directory", "/some/file")

    monkeypatch.setattr(workflow, "load", fails)
    with pytest.raises(FileNotFoundError):
        tradecast("data", "list")


def test_what_killed_writers_left_beside_an_output_goes_after_a_day(tmp_path: Path) -> None:
    left = [tmp_path / f".tradecast-1-{age}.part" for age in ("old", "new")]
    for one in left:
        one.write_bytes(b"half a table")
    os.utime(left[0], (time.time() - 90_000,) * 2)
    store.write_bytes(b"whole", tmp_path / "out.csv")
    assert [one.exists() for one in left] == [False, True]
    assert (tmp_path / "out.csv").read_bytes() == b"whole"


def test_a_clock_that_jumped_back_removes_nothing_that_is_being_written(tmp_path: Path) -> None:
    busy = tmp_path / ".tradecast-1-busy.part"
    busy.write_bytes(b"half a table")
    os.utime(busy, (time.time() + 400 * 86_400,) * 2)
    cache = store.Cache(tmp_path)
    assert cache.put("key", {"a": np.arange(3)}) == ""
    assert busy.exists()
    assert cache.get("key") is not None


@pytest.mark.parametrize("how", ["cut", "emptied", "other bytes"])
def test_a_cache_entry_that_is_damaged_is_computed_again(tmp_path: Path, how: str) -> None:
    cache = store.Cache(tmp_path)
    cache.put("key", {"a": np.arange(3)})
    (entry,) = tmp_path.glob("*.arrays")
    content = entry.read_bytes()
    entry.write_bytes({"cut": content[:-7], "emptied": b"", "other bytes": content.replace(b"NUMPY", b"NUMPX")}[how])
    assert cache.get("key") is None
    assert cache.put("key", {"a": np.arange(3)}) == ""
    assert cache.get("key") is not None


def test_a_memory_of_downloads_that_cannot_be_a_folder_costs_the_memory_only(tmp_path: Path) -> None:
    memory = tmp_path / "fetched"
    memory.write_text("no folder")
    address = Address("https://example.org/a.csv", "CSV")
    client = Client(("example.org",), memory=memory)
    download = _Download(address, client._remembered(address))
    download.body = bytearray(b"a,b\n1,2\n")
    result = client._result(download)
    assert result is not None
    assert result.content == b"a,b\n1,2\n"
    assert memory.read_text() == "no folder"


@pytest.mark.parametrize("name", ["x" * 5000, "a\0b"])
def test_a_name_that_no_file_system_takes_is_a_backtest_that_is_not_there(name: str) -> None:
    with pytest.raises(DataError, match="No backtest is called"):
        backtest_files.named(name)

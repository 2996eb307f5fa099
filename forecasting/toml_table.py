"""A table of a TOML file, read cell by cell: whatever is wrong with it is one line that names file, place and key."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import pandas as pd

from forecasting.errors import DataError

NAME = re.compile(
    r"(?!(?i:con|prn|aux|nul|com\d|lpt\d)(?:\.|$))[A-Za-z0-9](?:[A-Za-z0-9_.-]{0,58}[A-Za-z0-9_-])?", re.ASCII
)
"""A name that becomes that of a file: no folder, no hidden file, and none of the words that are devices on Windows."""
YEAR = "(?:1[7-9]|2[01])[0-9]{2}"
MONTH = re.compile(f"{YEAR}-(?:0[1-9]|1[0-2])")
"""A month as text; timestamps, and so the ends of months, exist from 1677 to 2262."""


def read_toml(path: Path) -> tuple[dict[str, Any], str]:
    """The parsed file and its text."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
        return tomllib.loads(text), text
    except OSError as cause:
        raise DataError(f"{path} cannot be read: {cause.strerror or cause}.") from cause
    except UnicodeDecodeError as cause:
        raise DataError(f"{path} is not UTF-8 text: save it as UTF-8.") from cause
    except (tomllib.TOMLDecodeError, ValueError, RecursionError) as cause:
        raise DataError(f"{path.name} is not TOML: {' '.join(str(cause).split())}.") from cause


@dataclass(frozen=True)
class TomlTable:
    """A table of the file, its place in words, and the keys that may stand in it."""

    file: str
    where: str
    cells: Mapping[str, Any]
    known: tuple[str, ...]

    def __post_init__(self) -> None:
        for key in self.cells:
            if key not in self.known:
                self.refuse(key, f"is no key here{nearest(key, self.known)}: there are {', '.join(self.known)}")

    def refuse(self, key: str, why: str) -> NoReturn:
        raise DataError(f"{self.file}: {self.where}{' '.join(key.split())} {why}.")

    def text(self, key: str, default: str) -> str:
        found = self.cells.get(key, default)
        if not isinstance(found, str):
            self.refuse(key, f"is {found!r}: write a text in quotes")
        return found

    def texts(self, key: str, default: Sequence[str]) -> tuple[str, ...]:
        found = self.cells.get(key, list(default))
        found = [found] if isinstance(found, str) else found
        if not isinstance(found, list) or not all(isinstance(one, str) and one.strip() for one in found):
            self.refuse(key, f'is {found!r}: write a list of texts, such as ["a", "b"]')
        return tuple(found)

    def flag(self, key: str, default: bool) -> bool:
        found = self.cells.get(key, default)
        if not isinstance(found, bool):
            self.refuse(key, f"is {found!r}: write true or false, without quotes")
        return found

    def whole(self, key: str, default: int, least: int, most: int) -> int:
        found = self.cells.get(key, default)
        if isinstance(found, bool) or not isinstance(found, int) or not least <= found <= most:
            self.refuse(key, f"is {found!r}: give a whole number from {least} to {most}")
        return found

    def month(self, key: str, found: object) -> pd.Period:
        if not isinstance(found, str) or not MONTH.fullmatch(found):
            self.refuse(key, f'holds {str(found)!r}: write a month in quotes, such as "2015-02"')
        return pd.Period(found, freq="M")

    def one_of(self, key: str, among: tuple[str, ...], default: str | None = None) -> str:
        if key not in self.cells and default is None:
            self.refuse(key, f"is missing: choose from {', '.join(among)}")
        found = self.cells.get(key, default)
        if found not in among:
            near = nearest(str(found), among)
            self.refuse(key, f"is {found!r}{near}: choose from {', '.join(among)}")
        return str(found)

    def matching(self, key: str, pattern: re.Pattern[str], default: str, allowed: str) -> str:
        found = self.text(key, default)
        if not pattern.fullmatch(found):
            self.refuse(key, f"is {found!r}: use {allowed}")
        return found


def nearest(found: str, among: Iterable[str]) -> str:
    near = difflib.get_close_matches(found, list(among), n=1, cutoff=0.5)
    return f" (did you mean {near[0]}?)" if near else ""

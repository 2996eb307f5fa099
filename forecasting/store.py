"""Files: the project's data in, tables out, and a cache of arrays that never returns what was not put in.

Tables are written whole or not at all, and the same table gives the same bytes. CSV text that a spreadsheet
would run as a formula (=, +, -, @ and their full-width forms, tab) gets an apostrophe in front, as OWASP
advises: officials open CSV in Excel, and series ids come from users. JSON, Parquet and Excel hold the text
exactly.
"""

from __future__ import annotations

import contextlib
import csv
import functools
import hashlib
import importlib.metadata
import io
import json
import os
import platform
import re
import secrets
import time
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.observations import OBSERVATION_COLUMNS
from forecasting.toml_table import MONTH
from forecasting.workbook import FORMULA, MOST_ROWS, saved, write_text

PACKAGE = Path(__file__).resolve().parent
# Modules that only fetch or show decide no number; all others are part of a cache key.
SHOWING = re.compile(
    r"(cli|sources)|(plot|units|report|tracking|scores|significance|leaderboard|backtest|experiments_file|champion|served|vintage|update|workbook|notebook|git)\w*\.py"
)
DECIDING_PACKAGES = ("numpy", "scipy", "pandas", "statsmodels", "scikit-learn")
MEGABYTE = 1_000_000
DAY_OF_SECONDS = 86_400
# A dash for "nothing" and a number kept as text are no formulas.
HARMLESS = re.compile(r"[+-]?(\d[\d,]*(\.\d+)?([eE][+-]?\d+)?)?")


# --- Where things are ------------------------------------------------------------------------------------


def data_folder() -> Path:
    """TRADECAST_HOME/data; else of the project around the current folder, the repository, the package."""
    if home := os.environ.get("TRADECAST_HOME"):
        return Path(home).expanduser() / "data"
    here = Path.cwd()
    for project in (here, *here.parents, PACKAGE.parent):
        if _has_catalogue(project / "data"):
            return project / "data"
    return PACKAGE / "embedded"


def cache_folder() -> Path:
    """TRADECAST_CACHE; else .cache in the project where it can be written; else the user's cache folder."""
    if chosen := os.environ.get("TRADECAST_CACHE"):
        return Path(chosen).expanduser()
    project = data_folder().parent
    if project != PACKAGE and os.access(project, os.W_OK):
        return project / ".cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tradecast"


def _has_catalogue(folder: Path) -> bool:
    # Another project may have a data/catalogue.csv of its own: ours begins with these columns.
    try:
        with (folder / "catalogue.csv").open(encoding="utf-8-sig") as file:
            return file.readline(200).startswith("id,title,unit")
    except (OSError, UnicodeDecodeError):
        return False


# --- Reading ---------------------------------------------------------------------------------------------


def read_catalogue(folder: Path) -> Catalogue:
    """The catalogue of a data folder."""
    return Catalogue.from_table(_read_csv(folder / "catalogue.csv"))


def read_stored_observations(folder: Path) -> pd.DataFrame:
    """All stored observations (rows × OBSERVATION_COLUMNS); ``month`` holds monthly periods."""
    path = folder / "observations.csv"
    table = _read_csv(path)
    if missing := [one for one in OBSERVATION_COLUMNS if one not in table.columns]:
        raise DataError(f"{path} lacks the column {missing[0]}; it has {', '.join(map(str, table.columns))}.")
    return table.assign(
        month=_months(table["month"], path),
        value=_numbers(table["value"], path),
        std_error=_numbers(table["std_error"], path),
    )


def read_facts(folder: Path) -> pd.DataFrame:
    """Published figures to hold against the tables, every cell as printed."""
    return _read_csv(folder / "press_facts.csv")


def read_published_facts(path: Path) -> pd.DataFrame:
    """Single published figures to reconstruct months from, every cell as printed."""
    return _read_csv(path)


def read_forecast_table(path: Path) -> pd.DataFrame:
    """A table that ``write_table`` wrote, numbers as numbers."""
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet, ".xlsx": pd.read_excel
    }  # fmt: skip
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise DataError(f"{path} has no known ending: use {', '.join(readers)}.")
    try:
        return reader(path)
    except FileNotFoundError as error:
        raise DataError(f"{path} does not exist: name a table that `tradecast forecast --out` wrote.") from error
    except Exception as error:  # damaged content fails in many ways inside the readers
        raise DataError(f"{path} cannot be read as a table: {' '.join(str(error).split())}") from error


def file_digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal digits."""
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _read_csv(path: Path) -> pd.DataFrame:
    """All cells as text: a series may be called NA, and float() reads back every digit."""
    try:
        return pd.read_csv(path, encoding="utf-8-sig", dtype=str, keep_default_na=False)
    except FileNotFoundError as error:
        raise DataError(
            f"{path} does not exist: run tradecast inside the project or set TRADECAST_HOME to its folder."
        ) from error
    except (OSError, ValueError) as error:  # pandas' parser errors and wrong encodings are ValueErrors
        reason = " ".join(str(error).split())
        raise DataError(f"{path} cannot be read as a CSV table: {reason}") from error


def _months(texts: pd.Series, path: Path) -> pd.PeriodIndex:
    # Each of some 600 different months is parsed once, not each of 11,000 rows.
    codes, different = pd.factorize(texts)
    for text in different:
        if not MONTH.fullmatch(text):
            raise DataError(
                f"{path}, line {_line((texts == text).to_numpy())}: {text!r} is not a month such as 2026-08."
            )
    return pd.PeriodIndex(different, freq="M").take(codes)


def _numbers(texts: pd.Series, path: Path) -> np.ndarray:
    numbers = np.array([_number(text) for text in texts], dtype=float)
    wrong = np.isinf(numbers)
    if wrong.any():
        raise DataError(f"{path}, line {_line(wrong)}: {texts.name} {texts[wrong].iloc[0]!r} is not a number.")
    return numbers


def _number(text: str) -> float:
    try:
        return float(text or "nan")
    except ValueError:
        return np.inf  # as wrong as an infinite value


def _line(wrong: np.ndarray) -> int:
    # The header is line 1.
    return int(np.flatnonzero(wrong)[0]) + 2


# --- Writing ---------------------------------------------------------------------------------------------


def write_table(table: pd.DataFrame, path: Path) -> None:
    """Write a table in the form that the ending of ``path`` names, whole or not at all; months as text."""
    writer = WRITERS.get(path.suffix.lower())
    if writer is None:
        raise DataError(f"{path} has no known ending: use {', '.join(WRITERS)}.")
    write_bytes(writer(flat(table)), path)


def csv_text(table: pd.DataFrame) -> str:
    """The table as CSV for standard output, the same text as in a .csv file."""
    return _csv_text(flat(table))


def write_bytes(content: bytes, path: Path) -> None:
    """Put these bytes at ``path`` at once; whatever goes wrong, a file that was there stays as it was."""
    if not path.parent.is_dir():
        raise DataError(f"The folder {path.parent} does not exist: make it first.")
    try:
        _replace(content, path.resolve())
    except OSError as error:
        raise DataError(f"{path} was not written: {error.strerror or error}.") from error


def flat(table: pd.DataFrame) -> pd.DataFrame:
    """Columns of numbers or text only: months and other objects as text, a named index as a column."""
    plain = table if isinstance(table.index, pd.RangeIndex) and table.index.name is None else table.reset_index()
    plain = plain.rename(columns=str)
    if twice := plain.columns[plain.columns.duplicated()].tolist():
        raise DataError(f"The table has two columns named {twice[0]}: rename one.")
    return plain.apply(_plain_column).reset_index(drop=True) if len(plain.columns) else plain


def _plain_column(column: pd.Series) -> pd.Series:
    if pd.api.types.is_numeric_dtype(column.dtype) and column.dtype.kind != "c":
        if column.dtype.kind == "f" and np.isinf(column.to_numpy(dtype=float, na_value=np.nan)).any():
            raise DataError(f"The column {column.name} holds an infinite value: only finite numbers can be written.")
        return column
    cells = [None if pd.isna(cell) else cell if isinstance(cell, str) else str(cell) for cell in column]
    return pd.Series(cells, index=column.index, name=column.name, dtype=object)


def _replace(content: bytes, path: Path) -> None:
    # In the same folder, because a move between file systems is a copy that can stop half-way.
    part = path.parent / f".tradecast-{os.getpid()}-{secrets.token_hex(6)}.part"
    _sweep(path.parent)
    try:
        handle = os.open(part, os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0), 0o666)
        with os.fdopen(handle, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileNotFoundError):  # also when another process removes it at this moment
            part.chmod(path.stat().st_mode & 0o777)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@functools.cache
def _sweep(folder: Path) -> None:
    """Remove what killed writers left here, once a process: a folder of ten thousand results is not listed at each.

    What is younger than a day may still be written to.
    """
    for left in folder.glob(".tradecast-*.part"):
        with contextlib.suppress(OSError):
            if left.stat().st_mtime < time.time() - DAY_OF_SECONDS:
                left.unlink()


def _csv_text(table: pd.DataFrame) -> str:
    safe = table.rename(columns=_defused).apply(
        lambda column: column.map(_defused) if column.dtype == object else column
    )
    return str(safe.to_csv(index=False, lineterminator="\n", quoting=csv.QUOTE_MINIMAL))


def _defused(cell: str | None) -> str | None:
    return f"'{cell}" if cell and FORMULA.match(cell) and not HARMLESS.fullmatch(cell) else cell


def _csv_bytes(table: pd.DataFrame) -> bytes:
    return _csv_text(table).encode()


def _json_bytes(table: pd.DataFrame) -> bytes:
    rows = (json.dumps(row, ensure_ascii=False, allow_nan=False) for row in _records(table))
    return ("[\n" + ",\n".join(rows) + "\n]\n").encode()


def _parquet_bytes(table: pd.DataFrame) -> bytes:
    texts = {name: "string" for name in table.columns if table[name].dtype == object}
    buffer = io.BytesIO()
    table.astype(texts).to_parquet(buffer, engine="pyarrow", index=False)
    return buffer.getvalue()


def _records(table: pd.DataFrame) -> Iterator[dict[str, Any]]:
    # Plain Python numbers: their repr is the shortest text that reads back as the same float.
    names = list(table.columns)
    columns = [[None if pd.isna(cell) else cell for cell in table[name].tolist()] for name in names]
    return (dict(zip(names, cells, strict=True)) for cells in zip(*columns, strict=True))


# --- Excel -----------------------------------------------------------------------------------------------


def _xlsx_bytes(table: pd.DataFrame) -> bytes:
    from openpyxl import Workbook

    if len(table) >= MOST_ROWS:
        raise DataError(f"{len(table)} rows do not fit on an Excel sheet: write .parquet or .csv.")
    book = Workbook()
    sheet = book.active
    sheet.title = "forecast"
    _fill(sheet, list(table.columns), list(_records(table)))
    sheet.freeze_panes = "A2"
    return saved(book)


def _fill(sheet: Any, names: list[str], rows: list[dict[str, Any]]) -> None:
    from openpyxl.styles import Font
    from openpyxl.utils import get_column_letter

    bold = Font(bold=True)
    for at, name in enumerate(names, start=1):
        write_text(sheet.cell(1, at), name).font = bold
        longest = max((len(_shown(row[name])) for row in rows), default=0)
        sheet.column_dimensions[get_column_letter(at)].width = min(max(len(name), longest, 6) + 2, 60)
    for down, row in enumerate(rows, start=2):
        decimals = _number_format(row)
        for at, value in enumerate(row.values(), start=1):
            if isinstance(value, str):
                write_text(sheet.cell(down, at), value)
            elif value is not None:
                sheet.cell(down, at, value).number_format = decimals if isinstance(value, float) else "0"


def _number_format(row: Mapping[str, Any]) -> str:
    # One format a row, so that a value and its bounds stand alike; the full number stays in the cell.
    sizes = [abs(one) for one in row.values() if isinstance(one, float)]
    largest = max(sizes, default=0.0)
    return "#,##0" if largest >= 1000 else "#,##0.0" if largest >= 10 else "0.0000" if largest < 1 else "0.00"


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else f"{value:,.2f}" if isinstance(value, float) else str(value or "")


WRITERS: dict[str, Callable[[pd.DataFrame], bytes]] = {
    ".csv": _csv_bytes,
    ".json": _json_bytes,
    ".parquet": _parquet_bytes,
    ".xlsx": _xlsx_bytes,
}


# --- Cache -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cache:
    """Arrays by key in a folder; a file that is not exactly what was put counts as absent."""

    folder: Path
    most_bytes: int = 500 * MEGABYTE

    def get(self, key: str) -> dict[str, np.ndarray] | None:
        """The arrays that were put under this key; None when there are none or the file is damaged."""
        path = self._path(key)
        try:
            if not path.is_file() or path.stat().st_size > self.most_bytes:
                return None
            head, _, content = path.read_bytes().partition(b"\n")
            if head != _seal(key, content):
                return None
            with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)  # the least recently used are pruned first
        return found

    def put(self, key: str, arrays: Mapping[str, np.ndarray]) -> str:
        """Keep these arrays; returns why they were not kept, or nothing."""
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        content = buffer.getvalue()
        if len(content) > self.most_bytes:
            return f"Not cached: {len(content) // MEGABYTE} MB are more than the whole cache may hold."
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            _replace(_seal(key, content) + b"\n" + content, self._path(key))
            self._prune()
        except OSError as error:
            return f"Not cached in {self.folder}: {error.strerror or error}."
        return ""

    def keep_only(self, keys: Iterable[str]) -> None:
        """Remove all that was put under other keys."""
        current = {self._path(one) for one in keys}
        for path in self.folder.glob("*.arrays"):
            if path not in current:
                path.unlink(missing_ok=True)

    def _path(self, key: str) -> Path:
        # Whatever a key holds, the name of its file is safe.
        return self.folder / f"{hashlib.sha256(key.encode(errors='surrogatepass')).hexdigest()[:40]}.arrays"

    def _prune(self) -> None:
        kept = 0
        for _, size, path in sorted(self._files(), reverse=True):
            kept += size
            if kept > self.most_bytes:
                path.unlink(missing_ok=True)

    def _files(self) -> Iterator[tuple[float, int, Path]]:
        for path in self.folder.glob("*.arrays"):
            with contextlib.suppress(OSError):  # pruned by another process meanwhile
                status = path.stat()
                yield status.st_mtime, status.st_size, path


def cache_key(*parts: Any) -> str:
    """Hash of settings, digests and texts, of the library versions and of the code that decides numbers."""
    return hashlib.sha256("\n".join((_canonical(surroundings()), *map(_canonical, parts))).encode()).hexdigest()


def source_digest(package: Path = PACKAGE) -> str:
    """Hash of the package's sources that decide numbers."""
    sha = hashlib.sha256()
    for path in sorted(package.rglob("*.py")):
        inside = path.relative_to(package)
        if not SHOWING.fullmatch(inside.parts[0]):
            sha.update(f"{inside.as_posix()}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return sha.hexdigest()


@functools.cache
def surroundings() -> dict[str, str]:
    """Everything about this process that may decide a number: equal surroundings, equal bytes."""
    versions = {name: version_of(name) for name in DECIDING_PACKAGES}
    machine = {"Python": platform.python_version(), "machine": platform.machine()}
    return {**machine, **versions, "tradecast's sources": source_digest()[:12]}


def version_of(package: str) -> str:
    """The version of an installed package, or the word absent."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _seal(key: str, content: bytes) -> bytes:
    return (
        b"tradecast-cache-1 "
        + hashlib.sha256(key.encode(errors="surrogatepass") + b"\0" + content).hexdigest().encode()
    )


def _canonical(part: Any) -> str:
    """A text that is equal for equal parts only, with the type in it, so that 1, 1.0 and "1" differ."""
    name = type(part).__qualname__
    if is_dataclass(part) and not isinstance(part, type):
        inside = ", ".join(f"{one.name}={_canonical(getattr(part, one.name))}" for one in fields(part))
        return f"{type(part).__module__}.{name}({inside})"
    if isinstance(part, Mapping):
        return f"{name}[{', '.join(sorted(f'{_canonical(one)}: {_canonical(part[one])}' for one in part))}]"
    if isinstance(part, (list, tuple)):
        return f"{name}[{', '.join(map(_canonical, part))}]"
    if isinstance(part, (set, frozenset)):
        return f"set[{', '.join(sorted(map(_canonical, part)))}]"
    if isinstance(part, np.ndarray) and part.dtype != object:
        digest = hashlib.sha256(np.ascontiguousarray(part).tobytes()).hexdigest()
        return f"array[{part.dtype} {part.shape} {digest}]"
    if part is None or isinstance(part, (str, bytes, bool, int, float, np.generic, date, pd.Period, Path)):
        return f"{name}:{part!r}"
    # The repr of anything else may hold an address or leave values out: a key of it would lie.
    raise TypeError(f"A cache key cannot be made of a {name}: pass its digest.")

"""Partitioned Parquet: a folder or a URL of any fsspec store whose files each hold whole series.

A file is a partition: long rows ``series, month, value`` (``unique_id, ds, y`` are read as well) and, if given,
``unit`` and ``parent``, the series that this one is a part of. What is made of a partition goes to a file of the same
name in another folder, written at once or not at all; its footer says what it was made from and seals it, so that a
finished and whole one is recognised without anything beside it.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fsspec  # type: ignore[import-untyped]
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from forecasting.errors import DataError
from forecasting.sources.user_file import FEWEST_MONTHS, LARGEST_SHARE_MISSING, LONGEST_HOLE, LONGEST_NAME
from forecasting.store import write_bytes

COLUMNS = (("series", "unique_id"), ("month", "ds"), ("value", "y"))
SAID_OF_SERIES = ("unit", "parent")
FOOTER, SEAL = b"tradecast", b"tradecast.sha256"
UNSEALED = b"0" * 64
"""What stands in a file where its SHA-256 will, when that is computed."""
FIRST_MONTH, LAST_MONTH = (pd.Period(one, "M").ordinal for one in ("1900-01", "2199-12"))
SPAN = LAST_MONTH - FIRST_MONTH + 3  # months that a series can have, and two places for those that are none
LARGEST = 1e15
MONTH_TEXT = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])(-(0[1-9]|[12][0-9]|3[01])([T ][0-9:.]*)?)?")
BYTES_A_ROW = 220
"""Memory that reading one row takes at its peak: 170 to 210 measured from a million rows on."""


# --- Folders -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Folder:
    """A local folder or the URL of one in a store that fsspec knows; a plain text, so that it travels."""

    url: str

    @property
    def local(self) -> Path | None:
        """The path, if it is on this machine."""
        return Path(self.url.removeprefix("file://")) if _is_local(self.url) else None

    @property
    def name(self) -> str:
        """Its last part, without where it lies."""
        return self.url.rstrip("/").rsplit("/", 1)[-1]

    def partitions(self) -> tuple[str, ...]:
        """Names of all Parquet files, relative to the folder, in order; none whose parts begin with _ or a dot."""
        try:
            store, root = self._opened()
            found = store.find(root)
        except Exception as cause:  # every store has errors of its own kind
            raise DataError(f"{self.url} cannot be listed: {_first_line(cause)}") from cause
        names = [one[len(root) :].strip("/") for one in found if one.lower().endswith(".parquet")]
        return tuple(sorted(one for one in names if not any(part[:1] in "_." for part in one.split("/"))))

    def read(self, name: str) -> bytes:
        """The bytes of a file."""
        try:
            store, root = self._opened()
            return bytes(store.cat_file(f"{root}/{name}"))
        except Exception as cause:
            raise DataError(f"{name} cannot be read: {_first_line(cause)}") from cause

    def write(self, name: str, content: bytes) -> None:
        """Put a file there at once: by renaming on a disk; an object store shows an object only when it is whole."""
        if not name or any(part in ("", ".", "..") for part in name.replace("\\", "/").split("/")):
            raise DataError(f"{name!r} is no name of a file inside a folder: rename the partition.")
        if self.local is not None:
            path = self.local / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
            except OSError as cause:
                raise DataError(f"{path.parent} cannot be made: {cause.strerror or cause}.") from cause
            write_bytes(content, path)
            return
        try:
            store, root = self._opened()
            store.pipe_file(f"{root}/{name}", content)
        except Exception as cause:
            raise DataError(f"{name} was not written: {_first_line(cause)}") from cause

    def footer(self, name: str) -> dict[str, Any] | None:
        """What the footer of a file that we wrote says; None where there is none such."""
        try:
            store, root = self._opened()
            with store.open(f"{root}/{name}", "rb") as file:
                return _said(pq.ParquetFile(file))
        except UNREADABLE:
            return None

    def check_writable(self) -> None:
        """Make a folder on this machine; DataError where nothing can be written. Other stores say so at a write."""
        if self.local is None:
            return
        try:
            self.local.mkdir(parents=True, exist_ok=True)
        except OSError as cause:
            raise DataError(f"{self.url} cannot be made: {cause.strerror or cause}.") from cause
        if not os.access(self.local, os.W_OK | os.X_OK):
            raise DataError(f"{self.url} may not be written to: choose another folder for --out.")

    def _opened(self) -> tuple[Any, str]:
        store, root = fsspec.core.url_to_fs(str(self.local) if self.local else self.url)
        return store, root.rstrip("/")


UNREADABLE = (OSError, ValueError, KeyError, TypeError, pa.ArrowException)


def _said(file: pq.ParquetFile) -> dict[str, Any]:
    return dict(json.loads((file.metadata.metadata or {})[FOOTER]))


def _is_local(url: str) -> bool:
    return "://" not in url or url.startswith("file://")


def _first_line(cause: BaseException) -> str:
    text = " ".join(str(cause).split()) or type(cause).__name__
    return (text if len(text) <= 300 else text[:300] + " …").rstrip(".") + "."


# --- Reading a partition -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Partition:
    """Series of one file: y (T × n, NaN = not published), their units, and why others were refused.

    ``parents`` names of some series the one that they are a part of.
    """

    y: pd.DataFrame
    units: Mapping[str, str]
    refused: Mapping[str, str]
    parents: Mapping[str, str] = field(default_factory=dict)

    @property
    def series(self) -> tuple[str, ...]:
        return tuple(map(str, self.y.columns))


def digest_of(content: bytes) -> str:
    """SHA-256 of a file's bytes, in hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def rows_of(content: bytes, name: str) -> int:
    """Rows of a Parquet file by its footer; DataError where it is damaged."""
    try:
        return int(pq.ParquetFile(io.BytesIO(content)).metadata.num_rows)
    except (OSError, ValueError) as cause:
        raise DataError(f"{name} is no whole Parquet file: {_first_line(cause)} Write it again.") from cause


def parse(content: bytes, name: str) -> Partition:
    """The series of a partition, in the order of their ids.

    A file of the wrong form raises DataError; a series that cannot be forecast is refused alone, in words.
    """
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        columns = _columns(file.schema_arrow.names, name)
        wanted = [*columns.values(), *(one for one in SAID_OF_SERIES if one in file.schema_arrow.names)]
        if twice := next((one for one in wanted if file.schema_arrow.names.count(one) > 1), ""):
            raise DataError(f"{name} has two columns {twice}: name each once.")
        # Texts come as numbers of the different ones: one for every row would take most of the memory.
        texts = [one for one in wanted if pa.types.is_string(file.schema_arrow.field(one).type)]
        return _parsed(pq.read_table(io.BytesIO(content), columns=wanted, read_dictionary=texts), columns, name)
    except DataError:
        raise
    except (OSError, ValueError, OverflowError, pa.ArrowException) as cause:
        raise DataError(f"{name} is no whole Parquet file: {_first_line(cause)} Write it again.") from cause


def _parsed(table: pa.Table, columns: Mapping[str, str], name: str) -> Partition:
    codes, series = _coded(table[columns["series"]], name)
    months = _months(table[columns["month"]], name)
    values = _numbers(table[columns["value"]], name)
    said = {one: _said_of_series(table, one, codes, len(series)) for one in SAID_OF_SERIES}
    return _laid_out(series, codes, months, values, said)


def _columns(names: Sequence[str], name: str) -> dict[str, str]:
    found = {}
    for ours, theirs in COLUMNS:
        there = [one for one in (ours, theirs) if one in names]
        if not there:
            raise DataError(
                f"{name} lacks the column {ours} (or {theirs}); it has {', '.join(names[:8]) or 'none'}:"
                " a partition holds long rows series, month, value and may name a unit and a parent."
            )
        found[ours] = there[0]
    return found


def _coded(column: pa.ChunkedArray, name: str) -> tuple[np.ndarray, list[str]]:
    """Codes (N) of the sorted different ids."""
    if column.null_count:
        raise DataError(f"{name} has {column.null_count} rows without a series: name one in every row.")
    codes, different = _encoded(column)
    order = sorted(range(len(different)), key=different.__getitem__)
    place = np.empty(len(order), dtype=np.int32)
    place[order] = np.arange(len(order))
    return place[codes], [different[at] for at in order]


def _encoded(column: pa.ChunkedArray) -> tuple[np.ndarray, list[str]]:
    """Codes (N) of the different texts of a column: no text is made twice."""
    if not pa.types.is_dictionary(column.type):
        column = column.cast(pa.string()).dictionary_encode()
    encoded = column.unify_dictionaries().combine_chunks()
    texts = [str(one) for one in encoded.dictionary.to_pylist()]
    codes = encoded.indices.to_numpy(zero_copy_only=False)
    if len(codes) and not (codes.min() >= 0 and codes.max() < len(texts)):
        raise ValueError("a text is numbered that it does not hold")
    return codes, texts


def _months(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """Months since January 1970 (N); what is no month, or lies outside 1900 to 2199, is the least integer."""
    if column.null_count:
        raise DataError(f"{name} has {column.null_count} rows without a month: give one in every row.")
    kind = column.type
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_date(kind) or pa.types.is_timestamp(kind):
        if getattr(kind, "tz", None) is not None:  # the month of the calendar that hangs there, not in Greenwich
            column = pc.local_timestamp(column)
        months = column.to_numpy().astype("datetime64[M]").astype(np.int64)
    elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
        codes, texts = _encoded(column)
        known = [pd.Period(one[:7], "M").ordinal if MONTH_TEXT.fullmatch(one) else None for one in texts]
        if None in known:
            wrong = texts[known.index(None)]
            raise DataError(f"{name}: {wrong!r} is not a month: write dates, or texts such as 2026-08.")
        months = np.array(known, dtype=np.int64)[codes]
    else:
        raise DataError(f"{name}: months are of type {kind}: write dates, or texts such as 2026-08.")
    return months


def _numbers(column: pa.ChunkedArray, name: str) -> np.ndarray:
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        raise DataError(f"{name}: values are of type {kind}: write numbers.")
    return np.asarray(column.cast(pa.float64(), safe=False).to_numpy(), dtype=float)


def _said_of_series(table: pa.Table, column: str, codes: np.ndarray, n: int) -> list[set[str]]:
    """The different texts (n) that stand in a column beside each series: one, if the file is right."""
    found: list[set[str]] = [set() for _ in range(n)]
    if column in table.column_names:
        text, texts = _encoded(table[column].cast(pa.string()).fill_null(""))
        for pair in np.unique(codes.astype(np.int64) * len(texts) + text).tolist():
            found[pair // len(texts)].add(texts[pair % len(texts)])
    return found


def _laid_out(
    series: Sequence[str],
    codes: np.ndarray,
    months: np.ndarray,
    values: np.ndarray,
    said: Mapping[str, Sequence[set[str]]],
) -> Partition:
    """Rows as a table of months × series; what is wrong with a series keeps only that series out."""
    refused: dict[str, str] = {}

    def refuse(wrong: np.ndarray, why: str) -> None:
        for code in np.unique(codes[wrong]):
            refused.setdefault(series[code], why)

    refuse((months < FIRST_MONTH) | (months > LAST_MONTH), "has a month outside 1900 to 2199")
    refuse(np.isinf(values), "has an infinite value")
    refuse(np.abs(values) > LARGEST, "has a value beyond 1e15")
    key = np.sort(codes * np.int64(SPAN) + np.clip(months - FIRST_MONTH + 1, 0, SPAN - 1))
    for code in np.unique(key[1:][key[1:] == key[:-1]] // SPAN):
        refused.setdefault(series[code], "has two values for a month")
    for column, texts in said.items():
        for one, named in zip(series, texts, strict=True):
            if len(named) > 1:
                refused.setdefault(one, f"has more than one {column}, {' and '.join(map(_shown, sorted(named)[:2]))}")
    no_name = f"that is empty, longer than {LONGEST_NAME} characters or holds control characters"
    for one, above in zip(series, said["parent"], strict=True):
        if not _is_name(one):
            refused.setdefault(one, f"has an id {no_name}")
        elif not all(map(_is_name, above - {""})):
            refused.setdefault(one, f"has a parent {no_name}")
    good = np.array([one not in refused for one in series], dtype=bool)
    known = good[codes] & ~np.isnan(values) if len(codes) else np.zeros(0, dtype=bool)
    y, months_of = _table(codes[known], months[known], values[known], len(series))
    for code, why in _not_monthly(y, good):
        refused[series[code]] = why
    kept = [at for at, one in enumerate(series) if one not in refused]
    names = [series[at] for at in kept]
    units, parents = ({series[at]: next(iter(said[one][at]), "") for at in kept} for one in SAID_OF_SERIES)
    parents = {one: above for one, above in parents.items() if above}
    return Partition(pd.DataFrame(y[:, kept], months_of, names), units, dict(sorted(refused.items())), parents)


def _table(codes: np.ndarray, months: np.ndarray, values: np.ndarray, n: int) -> tuple[np.ndarray, pd.PeriodIndex]:
    first, last = (int(months.min()), int(months.max())) if len(months) else (0, -1)
    y = np.full((last - first + 1, n), np.nan)
    y[months - first, codes] = values
    begin = pd.Period(ordinal=first, freq="M")
    return y, pd.period_range(begin, periods=last - first + 1, freq="M")


def _not_monthly(y: np.ndarray, good: np.ndarray) -> list[tuple[int, str]]:
    """Series with too few values, too long a hole or too many, and what is said of them."""
    found = []
    known = ~np.isnan(y)
    for at in map(int, np.flatnonzero(good)):
        months = np.flatnonzero(known[:, at])
        gaps = np.diff(months)
        if len(months) < FEWEST_MONTHS:
            found.append((at, f"has {len(months)} months with a value; {FEWEST_MONTHS} are needed"))
        elif gaps.max() - 1 > LONGEST_HOLE:
            found.append((at, f"has no value for {gaps.max() - 1} months in a row"))
        elif gaps.sum() - len(gaps) > LARGEST_SHARE_MISSING * (gaps.sum() + 1):
            found.append((at, f"lacks {gaps.sum() - len(gaps)} of {gaps.sum() + 1} months"))
        elif not np.any(y[months, at]):
            found.append((at, "is zero in every month"))
    return found


def _shown(text: str) -> str:
    """As it may stand in a line: printable and short."""
    return "".join(one if one.isprintable() else "\ufffd" for one in text[:40]) + "…" * (len(text) > 40)


def _is_name(name: str) -> bool:
    return 0 < len(name.strip()) <= LONGEST_NAME and not any(unicodedata.category(one)[0] == "C" for one in name)


# --- Writing one -------------------------------------------------------------------------------------------


def packed(table: pd.DataFrame, said: Mapping[str, Any]) -> bytes:
    """A table as Parquet bytes, with what it was made from in its footer; the same table gives the same bytes."""
    arrow = pa.Table.from_pandas(table, preserve_index=False)
    text = json.dumps(said, sort_keys=True, ensure_ascii=False, allow_nan=False)
    arrow = arrow.replace_schema_metadata({**(arrow.schema.metadata or {}), FOOTER: text.encode(), SEAL: UNSEALED})
    buffer = io.BytesIO()
    pq.write_table(arrow, buffer, compression="zstd")
    content = buffer.getvalue()
    at = content.rfind(UNSEALED)
    return content[:at] + digest_of(content).encode() + content[at + len(UNSEALED) :]


def unpacked(content: bytes) -> dict[str, Any] | None:
    """What the footer of a file that we wrote says; None for another's file, or where a single byte is damaged."""
    try:
        file = pq.ParquetFile(io.BytesIO(content))
        seal = file.metadata.metadata[SEAL]
        at = content.rfind(seal)
        whole = digest_of(content[:at] + UNSEALED + content[at + len(UNSEALED) :]).encode() == seal
        return _said(file) if whole else None
    except UNREADABLE:
        return None


# --- Making a folder of them -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """What one large file became: partitions, series, and how many of these cannot be forecast."""

    partitions: int
    series: int
    refused: int


def split(source: Path, folder: Folder, size: int, progress: Callable[[int], None] = lambda done: None) -> Split:
    """Cut a long CSV or Parquet file, larger than memory if need be, into partitions of ``size`` series by id.

    DuckDB sorts it, on disk where it has to. Raises DataError for a file that is no table of that form, and for a
    folder that holds partitions already.
    """
    if folder.partitions() if folder.local is None or folder.local.is_dir() else ():
        raise DataError(f"{folder.url} holds partitions already: choose an empty folder.")
    if not source.is_file():
        what = "is a folder" if source.is_dir() else "does not exist"
        raise DataError(f"{source} {what}: name a long CSV or Parquet file.")
    made = series = refused = 0
    for table in _by_series(source, size):
        content = _written(table)
        read = parse(content, source.name)
        folder.write(f"part-{made:05d}.parquet", content)
        made, series, refused = made + 1, series + len(read.series) + len(read.refused), refused + len(read.refused)
        progress(series)
    if not made:
        raise DataError(f"{source.name} holds no row: nothing was written.")
    return Split(made, series, refused)


BY_ROOT = """
    with recursive edges as (select distinct series, parent from rows where parent <> ''),
    up as (
        select series, parent as root, 1 as depth from edges
        union select up.series, edges.parent, depth + 1 from up join edges on edges.series = up.root where depth < 50
    ),
    tops as (select series, arg_max(root, depth) as root from up group by series)
    select coalesce(tops.root, rows.series) as root, rows.* from rows left join tops using (series) order by 1, 2, 3
"""
"""Rows behind the topmost parent of their series, in its order; 50 levels end a circle."""


def _by_series(source: Path, size: int) -> Iterator[pa.Table]:
    """Tables of ``size`` whole series each, in the order of ids and months; a parent and all its parts in one."""
    import duckdb

    is_parquet = source.suffix.lower() == ".parquet"
    # All cells of a CSV as text: a unit t is no truth value, and an id 001 no number.
    given = "read_parquet($file)" if is_parquet else "read_csv($file, header = true, all_varchar = true)"
    asked: dict[str, Any] = {"file": str(source)}
    try:
        with duckdb.connect() as db:
            names = db.sql(f"select * from {given}", params=asked).columns
            columns = _columns(names, source.name)
            chosen = {name: _quoted(of) for name, of in columns.items()} | {
                one: one for one in SAID_OF_SERIES if one in names
            }
            if not is_parquet:
                _refuse_texts(db, given, asked, chosen, source.name)
                chosen["value"] = f"cast(nullif(trim({chosen['value']}), '') as double)"
            listed = ", ".join(f"{of} as {name}" for name, of in chosen.items())
            rows = db.sql(f"select {listed} from {given}", params=asked)  # noqa: F841  the next line reads it
            ordered = db.sql(BY_ROOT if "parent" in chosen else "select series as root, * from rows order by 2, 3")
            for table in _whole(ordered.to_arrow_reader(100_000), size):
                yield table.remove_column(0)
    except duckdb.Error as cause:
        raise DataError(f"{source.name} cannot be read: {_first_line(cause)}") from cause


def _refuse_texts(db: Any, given: str, asked: Mapping[str, Any], of: Mapping[str, str], name: str) -> None:
    """DataError for the first value of a CSV that is no number."""
    wrong = f"nullif(trim({of['value']}), '') is not null and try_cast(trim({of['value']}) as double) is null"
    first = f"select {of['value']}, {of['series']}, {of['month']} from {given} where {wrong} limit 1"
    if found := db.execute(first, asked).fetchone():
        value, series, month = (_shown(str(one)) for one in found)
        raise DataError(f"{name}: {value!r}, the value of {series} in {month}, is not a number: write it as 1234.5.")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _whole(batches: Iterable[pa.RecordBatch], size: int) -> Iterator[pa.Table]:
    held: list[pa.Table] = []
    for batch in batches:
        held.append(pa.Table.from_batches([batch]))
        table = pa.concat_tables(held)
        # The last family may go on in the next batch.
        while at := _cut(table, size):
            yield table.slice(0, at)
            table = table.slice(at)
        held = [table]
    if held and len(held[0]):
        yield held[0]


def _cut(table: pa.Table, size: int) -> int:
    """The row to cut before: so many series, or fewer, in whole families; none while more may belong to them."""
    families = _begins(table, "root")
    before = np.searchsorted(_begins(table, "series"), families)
    if before[-1] < size or len(families) < 2:
        return 0
    return int(families[max(1, np.flatnonzero(before <= size)[-1])])


def _begins(table: pa.Table, column: str) -> np.ndarray:
    """Places where another text begins in a column of a table in its order."""
    codes, _ = _encoded(table[column])
    return np.concatenate([[0], np.flatnonzero(np.diff(codes)) + 1]) if len(codes) else np.zeros(0, dtype=int)


def _written(table: pa.Table) -> bytes:
    buffer = io.BytesIO()
    pq.write_table(table, buffer, compression="zstd")
    return buffer.getvalue()

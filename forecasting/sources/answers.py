"""Answers of publishers made safe to read: JSON, CSV, web pages and workbooks of bounded size, and the figures in them.

Whatever comes from outside may be anything. Every function here ends in what it promises or in a DataError of one line
that names the address without keys, what was expected and what to do.
"""

from __future__ import annotations

import calendar
import csv
import datetime as dt
import io
import json
import math
import re
import unicodedata
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import islice
from typing import Any, NamedTuple

import pandas as pd

from forecasting.catalogue import Series
from forecasting.errors import DataError, SourceError
from forecasting.sources.base import RECORD_COLUMNS, Raw, Reading
from forecasting.sources.wording import shown
from forecasting.units import MONEY, conversion

LARGEST = 64 * 2**20  # a hundred times the largest of these files
UNPACKED = 48 * 2**20
MOST_ROWS, MOST_COLUMNS = 4000, 200
_KEYS = re.compile(r"((?:appid|subscription-key|key|token)=)[^&#\s]*", re.IGNORECASE)
_MISSING = frozenset({"", "-", "–", "—", ".", "..", "...", "***", "x", "n.a.", "n/a", "na", "nan", "null"})
_NUMBER = re.compile(r"[+-]?((\d{1,3}(,\d{3})+|\d+)(\.\d*)?|\.\d+)(e[+-]?\d{1,3})?", re.IGNORECASE | re.ASCII)
AGAIN = "fetch it again; if it stays so, the publisher has changed the file"


# --- What went wrong ---------------------------------------------------------------------------------------


def place(raw: Raw) -> str:
    """Where the bytes came from, with nothing secret in it."""
    return _without_keys(raw.address)


def _without_keys(text: str) -> str:
    return _KEYS.sub(r"\1…", " ".join(text.split()))


def wrong(raw: Raw, found: str, do: str = AGAIN) -> DataError:
    """The error of these bytes: what was found, what to do."""
    return DataError(_without_keys(f"{raw.address}: {found}: {do}."))


def check_kind(recognises: Callable[[Raw], bool], raw: Raw | None, expected: str) -> None:
    """SourceError where the publisher sent something else than a file of this source."""
    if raw is not None and not recognises(raw):
        page = raw.content.lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"<")
        found = "a web page or XML" if page else shown(raw.content[:30].decode("utf-8", "replace"))
        do = "open the address in a browser; if the file has moved, fetch it by hand and ingest it"
        raise SourceError(str(wrong(raw, f"found {found}, expected {expected}", do)))


# --- Figures and records -----------------------------------------------------------------------------------


def figure(cell: object, raw: Raw, where: str) -> float | None:
    """A number that is not below zero, None for the signs of "not there"; DataError for anything else."""
    if cell is None:
        return None
    text = unicodedata.normalize("NFKC", str(cell)).strip() if isinstance(cell, str) else ""
    if isinstance(cell, str) and text.casefold() in _MISSING:
        return None
    if isinstance(cell, str) and _NUMBER.fullmatch(text):
        value = float(text.replace(",", ""))
    elif isinstance(cell, int | float) and not isinstance(cell, bool) and abs(cell) < 1e300:
        value = float(cell)
    else:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise wrong(raw, f"{where} holds {shown(cell)}, expected a number that is not below zero")
    return value


class Record(NamedTuple):
    """One value before it is written as a row of RECORD_COLUMNS."""

    series: str
    month: pd.Period
    value: float
    unit: str
    stage: str
    published: dt.date | None = None
    dated: str = "seen"


def month_of(year: int, month: int) -> pd.Period | None:
    """The month, None where there is no such month or no statistics of it."""
    return pd.Period(year=year, month=month, freq="M") if 1 <= month <= 12 and 1900 <= year <= 2200 else None


def reading(rows: Iterable[Record], raw: Raw, source: str, remarks: Iterable[str] = ()) -> Reading:
    """The records as a table, in order of series and month; DataError where a month has two values."""
    found: dict[tuple[str, pd.Period], Record] = {}
    for row in rows:
        if row.month.ordinal > pd.Period(year=raw.fetched.year, month=raw.fetched.month, freq="M").ordinal:
            raise wrong(raw, f"{row.series} has a figure for {row.month}, which had not begun when this was fetched")
        other = found.setdefault((row.series, row.month), row)
        if (other.value, other.unit) != (row.value, row.unit):
            values = f"{other.value:g} {other.unit} and {row.value:g} {row.unit}"
            raise wrong(raw, f"{row.series} {row.month} is given twice, {values}")
    ordered = [_believable(found[key], raw) for key in sorted(found)]
    table = pd.DataFrame(ordered, columns=list(Record._fields)).assign(
        std_error=math.nan, source=source, raw=raw.digest
    )
    table["published"] = pd.Series([one.published for one in ordered], dtype=object)
    table["month"] = pd.PeriodIndex([one.month for one in ordered], dtype="period[M]")
    # To twelve digits: a factor of 0.001 leaves its own noise behind them.
    table["value"] = [float(f"{one.value:.12g}") for one in ordered]
    table = table.astype({"value": float, "std_error": float})
    return Reading(table[list(RECORD_COLUMNS)], tuple(remarks))


def _believable(row: Record, raw: Raw) -> Record:
    """Without a day of publication that cannot be: before the month was over, or after the bytes came."""
    day = row.published
    if day is None or row.month.end_time.date() < day <= raw.fetched.date() + dt.timedelta(days=1):
        return row
    return row._replace(published=None, dated="seen")


def money(currency: str, entry: Series) -> tuple[float, str]:
    """Factor and unit of an amount in ``jpy`` or ``usd`` for this series.

    The unit is the catalogue's where that is the same money, otherwise millions of what was given: the store keeps
    such records beside the others and converts them only to compare.
    """
    basic = entry.unit.split("_")[-1]
    if basic not in MONEY:
        raise DataError(f"{entry.id} is a value and its unit is {entry.unit}, no money: mend data/catalogue.csv.")
    unit = entry.unit if basic == currency else f"mn_{currency}"
    return conversion(currency, unit), unit


def day_of(text: object) -> dt.date | None:
    """A day written 2026-09-02 or September 02, 2026; None for anything else."""
    words = str(text or "").strip()
    if found := re.match(r"(\d{4})-(\d{2})-(\d{2})(?!\d)", words):
        parts = tuple(map(int, found.groups()))
    elif found := re.search(r"([A-Z][a-z]{2,8})\.? (\d{1,2}), (\d{4})(?!\d)", words):
        names = [name for name in calendar.month_name if name and name.startswith(found[1][:3])]
        parts = (int(found[3]), list(calendar.month_name).index(names[0]) if names else 0, int(found[2]))
    else:
        return None
    try:
        return dt.date(*parts)
    except ValueError:
        return None


# --- JSON --------------------------------------------------------------------------------------------------


def looks_like_json(raw: Raw, *words: str) -> bool:
    """An object whose first 4 KB name all these keys."""
    head = raw.content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    return head.startswith(b"{") and all(f'"{word}"'.encode() in head for word in words)


def json_of(raw: Raw, expected: str) -> dict[str, Any]:
    """The object in the bytes."""
    _check_size(raw, expected)
    if raw.content.lstrip()[:1] == b"<":
        raise wrong(raw, f"found a web page or XML, expected {expected}")
    try:
        tree = json.loads(raw.content.decode("utf-8-sig"), parse_constant=_refuse)
    except (ValueError, RecursionError) as error:  # ValueError covers bad UTF-8, bad JSON and numbers of 5,000 digits
        raise wrong(raw, f"found damaged JSON, expected {expected}") from error
    if not isinstance(tree, dict):
        raise wrong(raw, f"found JSON that is no object, expected {expected}")
    return tree


def _refuse(constant: str) -> float:
    raise ValueError(constant)


def branch(tree: object, raw: Raw, path: str) -> Any:
    """What stands at ``A.B.C``; DataError where it does not."""
    for name in path.split("."):
        if not isinstance(tree, dict) or name not in tree:
            raise wrong(raw, f"the answer has no {path}")
        tree = tree[name]
    return tree


def listed(node: object, raw: Raw, what: str) -> list[dict[str, Any]]:
    """Objects: a list of them, or one alone, or none."""
    nodes: list[Any] = node if isinstance(node, list) else [] if node in (None, "") else [node]
    if not all(isinstance(one, dict) for one in nodes):
        raise wrong(raw, f"{what} is no list of objects")
    return nodes


def _check_size(raw: Raw, expected: str) -> None:
    if len(raw.content) > LARGEST:
        raise wrong(raw, f"found {len(raw.content) // 2**20} MB, expected {expected} of at most {LARGEST // 2**20} MB")


# --- CSV ---------------------------------------------------------------------------------------------------


def csv_head(raw: Raw) -> tuple[str, ...]:
    """The names in the first line, without raising; empty where there is none."""
    line = raw.content[:8192].decode("utf-8-sig", "replace").splitlines()[:1]
    try:
        return tuple(cell.strip() for cell in next(csv.reader(line), ()))
    except csv.Error:
        return ()


def csv_rows(raw: Raw, needed: Iterable[str], expected: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line numbers and rows by the names of the header; DataError where a needed column is missing."""
    _check_size(raw, expected)
    if raw.content.lstrip()[:1] == b"<":
        raise wrong(raw, f"found a web page or XML, expected {expected}")
    lacking = [name for name in needed if csv_head(raw).count(name) != 1]
    if lacking:
        raise wrong(raw, f"the header has not one column {lacking[0]}, expected {expected}")
    try:
        reader = csv.reader(io.StringIO(raw.content.decode("utf-8-sig"), newline=""), strict=True)
        names = [cell.strip() for cell in next(reader)]
        for cells in reader:
            if cells and len(cells) != len(names):
                raise wrong(raw, f"line {reader.line_num} has {len(cells)} cells where the header has {len(names)}")
            if cells:
                yield reader.line_num, dict(zip(names, map(str.strip, cells), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        raise wrong(raw, f"found damaged text, expected {expected}") from error


# --- Web pages ---------------------------------------------------------------------------------------------


class _Anchors(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[tuple[str, list[str]]] = []
        self._open = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (href := dict(attrs).get("href")):
            self.links.append((href, []))
            self._open = True

    def handle_endtag(self, tag: str) -> None:
        self._open = self._open and tag != "a"

    def handle_data(self, data: str) -> None:
        if self._open:
            self.links[-1][1].append(data)


def links(raw: Raw, expected: str) -> list[tuple[str, str]]:
    """Addresses and texts of the links of a web page."""
    _check_size(raw, expected)
    anchors = _Anchors()
    try:
        anchors.feed(raw.content.decode("utf-8-sig", "replace"))
    except (AssertionError, ValueError, RecursionError) as error:  # declarations that the parser does not know
        raise wrong(raw, f"found a damaged web page, expected {expected}") from error
    texts = (unicodedata.normalize("NFKC", "".join(words)) for _, words in anchors.links)
    return [(href.strip(), " ".join(text.split())) for (href, _), text in zip(anchors.links, texts, strict=True)]


# --- Workbooks ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Sheet:
    """A worksheet as rows of cells; the first row is row 1."""

    name: str
    rows: tuple[tuple[Cell, ...], ...]


class Cell(NamedTuple):
    """The value of a cell and whether it is written in italics."""

    value: object
    italic: bool = False


def sheet_names(raw: Raw) -> tuple[str, ...]:
    """Names of the sheets of an .xlsx file, without raising; empty where it is none."""
    if not raw.content.startswith(b"PK") or len(raw.content) > LARGEST:
        return ()
    try:
        with zipfile.ZipFile(io.BytesIO(raw.content)) as archive, archive.open("xl/workbook.xml") as part:
            head = part.read(2**18).decode("utf-8", "replace")
    except Exception:  # a damaged archive fails in many ways, and is then no workbook of ours
        return ()
    return tuple(re.findall(r"<(?:\w+:)?sheet\s[^>]*?name=\"([^\"]*)\"", head))


def workbook(raw: Raw, wanted: re.Pattern[str], expected: str) -> list[Sheet]:
    """The sheets whose whole name matches; DataError where there is none or the file is damaged."""
    _check_archive(raw, expected)
    try:
        found = list(_sheets(raw, wanted))
    except DataError:
        raise
    except Exception as error:  # damaged content fails in many ways inside the reader
        raise wrong(raw, f"found a damaged workbook, expected {expected}") from error
    if not found:
        raise wrong(raw, f"the workbook has no sheet {shown(wanted.pattern)}, expected {expected}")
    return found


def _check_archive(raw: Raw, expected: str) -> None:
    _check_size(raw, expected)
    if not raw.content.startswith(b"PK"):
        raise wrong(
            raw, f"found {'a web page' if raw.content.lstrip()[:1] == b'<' else 'no workbook'}, expected {expected}"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(raw.content)) as archive:
            unpacked = sum(one.file_size for one in archive.infolist())
            if unpacked > UNPACKED or len(archive.infolist()) > 1000:
                raise wrong(raw, f"found a workbook of {unpacked // 2**20} MB unpacked, expected {expected}")
            for one in archive.infolist():
                if one.filename.endswith((".xml", ".rels")) and b"<!DOCTYPE" in _head(archive, one):
                    raise wrong(raw, f"found a document type in {shown(one.filename)}, expected {expected}")
    except DataError:
        raise
    except Exception as error:
        raise wrong(raw, f"found a damaged archive, expected {expected}") from error


def _head(archive: zipfile.ZipFile, one: zipfile.ZipInfo) -> bytes:
    with archive.open(one) as part:
        return part.read(4096)


def _sheets(raw: Raw, wanted: re.Pattern[str]) -> Iterator[Sheet]:
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and print settings
        book = openpyxl.load_workbook(io.BytesIO(raw.content), read_only=True, data_only=True)
        for sheet in book.worksheets:
            if not wanted.fullmatch(sheet.title.strip()):
                continue
            sheet.reset_dimensions()  # the size that a file states is often wrong
            rows = islice(sheet.iter_rows(max_row=MOST_ROWS, max_col=MOST_COLUMNS), MOST_ROWS)
            yield Sheet(sheet.title.strip(), tuple(tuple(map(_cell, row)) for row in rows))


def _cell(cell: Any) -> Cell:
    if cell.value is None:
        return _EMPTY
    font = getattr(cell, "font", None)
    return Cell(cell.value, bool(font and font.i))


_EMPTY = Cell(None)

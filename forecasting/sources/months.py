"""Months as people write them: one column is decided as a whole, a doubtful one is refused."""

from __future__ import annotations

import calendar
import datetime as dt
import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import pandas as pd

from forecasting.errors import DataError
from forecasting.sources.wording import shown

Day = tuple[int, int, int]  # year, month, day; day 0 where only a month was written
Readings = tuple[Day | None, Day | None]  # day first, month first; the same twice where nothing is in doubt
NEITHER: Readings = (None, None)

_YEAR = r"(?P<y>(?:1[89]|20|21)[0-9]{2})"
_M, _MM, _D, _DD = r"(?P<m>[0-9]{1,2})", r"(?P<m>[0-9]{2})", r"(?P<d>[0-9]{1,2})", r"(?P<d>[0-9]{2})"
_NAME = r"(?P<name>[a-z]{3,9})\.?"
_TIME = r"(?:(?:t|\s)\s*(?P<time>[0-9:.]+(?:\s*[ap]m)?)\s*(?:z|[+-][0-9]{2}:?[0-9]{2})?)?"
_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"{_YEAR}(?P<s>[-/.]){_M}(?P=s){_D}{_TIME}",  # 2024-05-31, 2024/5/1 00:00
        rf"{_YEAR}[-/: ]{_M}",  # 2024-05
        rf"{_YEAR}\.{_MM}",  # 2024.05; 2024.1 may be January or October
        rf"{_YEAR}{_MM}",  # 202405
        rf"{_YEAR}{_MM}{_DD}",  # 20240531
        rf"{_YEAR}[-: ]?m-?{_M}",  # 2024M05
        rf"{_YEAR}\s*年\s*{_M}\s*月(?:\s*{_D}\s*日)?",  # 2024年5月
        rf"{_M}[-/.]{_YEAR}",  # 05/2024
        rf"{_NAME}[-/., ]*{_YEAR}",  # May 2024
        rf"{_YEAR}[-/ ]*{_NAME}",  # 2024-May
        rf"{_D}[-/. ]+{_NAME}[-/., ]+{_YEAR}",  # 31 May 2024
        rf"{_NAME} {_D},? {_YEAR}",  # May 31, 2024
        rf"{_NAME}[-/'’](?P<yy>[0-9]{{2}})",  # May-24
        rf"{_D}\.{_M}\.{_YEAR}{_TIME}",  # 31.05.2024: points are written day first
    )
)
_EITHER = re.compile(rf"(?P<a>[0-9]{{1,2}})(?P<s>[-/])(?P<b>[0-9]{{1,2}})(?P=s){_YEAR}{_TIME}")
# 23:59:59 is how some tools write a month end; any other hour may be another month in another time zone.
_MIDNIGHT = re.compile(r"0?0:00(:00(\.0+)?)?|12:00(:00)?\s*am|23:59(:59(\.[0-9]+)?)?")
_NOT_MONTHS = (
    (re.compile(r"([12][0-9]{3})?[-: /]*q[1-4][-: /]*([12][0-9]{3})?"), "a quarter", "give monthly values"),
    (re.compile(rf"{_YEAR}[-: ]*w[0-9]{{1,2}}"), "a week", "add the weeks up to months first"),
    (re.compile(rf"{_YEAR}年?"), "a year", "give monthly values, each with its month as 2024-05"),
    (re.compile(r"[2-6][0-9]{4}(\.0)?"), "a number, perhaps an Excel date", "format the cells as dates"),
    (re.compile(rf".*{_YEAR}.*[0-9]:[0-9].*"), "a moment with a time of day", "write the month as 2024-05"),
)
MONTH_NAMES = {name.lower(): at for names in (calendar.month_name, calendar.month_abbr) for at, name in
               enumerate(names) if name} | {"sept": 9}  # fmt: skip


@dataclass(frozen=True)
class Months:
    """The dates of a column (T), day 0 where none was written, and what was assumed in reading them."""

    days: tuple[Day, ...]
    remarks: tuple[str, ...]

    @property
    def periods(self) -> pd.PeriodIndex:
        # From ordinals, so that years outside the range of timestamps need no special case.
        ordinals = [(year - 1970) * 12 + month - 1 for year, month, _ in self.days]
        return pd.PeriodIndex.from_ordinals(ordinals, freq="M")  # type: ignore[attr-defined]


def looks_like_month(cell: object) -> bool:
    return readings(cell) != NEITHER


def readings(cell: object) -> Readings:
    """A cell as a date, day first and month first; None where it is not one."""
    if isinstance(cell, pd.Period):
        day = (cell.year, cell.month, 0 if cell.freqstr == "M" else cell.day)
        return (day, day) if cell.freqstr in ("M", "D") else NEITHER
    if isinstance(cell, dt.datetime):
        return _read_text(cell.strftime("%Y-%m-%d %H:%M:%S"))
    if isinstance(cell, dt.date):
        return _read_text(cell.isoformat())
    if isinstance(cell, float) and cell.is_integer():
        return _read_text(str(int(cell)))
    return _read_text(str(cell)) if isinstance(cell, str | int) and not isinstance(cell, bool) else NEITHER


@lru_cache(maxsize=100_000)
def _read_text(text: str) -> Readings:
    if len(text) > 40:
        return NEITHER
    plain = unicodedata.normalize("NFKC", text).strip().lower()
    if found := _EITHER.fullmatch(plain):
        a, b, year = int(found["a"]), int(found["b"]), int(found["y"])
        return (_day(year, b, a, found["time"]), _day(year, a, b, found["time"]))
    for form in _FORMS:
        if (found := form.fullmatch(plain)) and (day := _from_parts(found.groupdict())):
            return day, day
    return NEITHER


def _from_parts(parts: dict[str, str | None]) -> Day | None:
    # Two digits turn at 69, as in POSIX; the reading is remarked.
    two = int(parts.get("yy") or 0)
    year = int(parts.get("y") or (2000 + two if two < 69 else 1900 + two))
    name = parts.get("name")
    month = MONTH_NAMES.get(name, 0) if name else int(parts.get("m") or 0)
    return _day(year, month, parts.get("d"), parts.get("time"))


def _day(year: int, month: int, day: int | str | None, time: str | None) -> Day | None:
    if not 1 <= month <= 12 or (time and not _MIDNIGHT.fullmatch(time.strip())):
        return None
    if day is None:
        return year, month, 0
    return (year, month, int(day)) if 1 <= int(day) <= calendar.monthrange(year, month)[1] else None


def read_months(cells: Sequence[object], where: Callable[[int], str]) -> Months:
    """The cells of a column (T) as months, under the one reading that fits them all."""
    both = [readings(cell) for cell in cells]
    for at, pair in enumerate(both):
        if pair == NEITHER:
            raise DataError(f"{where(at)}: {_why_not(cells[at])}.")
    day_first = tuple(pair[0] for pair in both if pair[0])
    month_first = tuple(pair[1] for pair in both if pair[1])
    fitting = [one for one in (day_first, month_first) if len(one) == len(both)]
    if not fitting:
        at, other = (
            both.index(next(p for p in both if not p[0])),
            both.index(next(p for p in both if not p[1])),
        )
        raise DataError(
            f"{where(at)}: {shown(cells[at])} has its month first, but {where(other)}: {shown(cells[other])}"
            " has its day first: write all months as 2024-05."
        )
    if day_first != month_first and len(fitting) == 2:
        at = next(at for at, pair in enumerate(both) if pair[0] != pair[1])
        fitting = [one for one in fitting if all(day <= 1 for _, _, day in one)]
        if len(fitting) != 1:
            raise DataError(f"{where(at)}: {shown(cells[at])} may be day/month or month/day: write months as 2024-05.")
    return Months(fitting[0], tuple(_remarks(cells, both, fitting[0], day_first)))


def _why_not(cell: object) -> str:
    if cell is None:
        return "the month is missing: fill the cell in or remove the row"
    return other_kind(cell) or f"{shown(cell)} is not a month: write months as 2024-05, or remove the row"


def other_kind(cell: object) -> str:
    """What a cell is instead of a month, and the remedy; empty where it is not known."""
    plain = unicodedata.normalize("NFKC", str(cell)).strip().lower()
    for form, kind, remedy in _NOT_MONTHS:
        if form.fullmatch(plain):
            return f"{shown(cell)} is {kind}, not a month: {remedy}"
    return ""


def _remarks(
    cells: Sequence[object], both: Sequence[Readings], days: tuple[Day, ...], day_first: tuple[Day, ...]
) -> list[str]:
    remarks = []
    for at, (one, other) in enumerate(both):
        if one != other:
            order = "day/month/year" if days == day_first else "month/day/year"
            remarks.append(f"dates such as {shown(cells[at])} were read as {order}")
            break
    if short := [c for c in cells if isinstance(c, str) and re.fullmatch(r"[A-Za-z]+\.?[-/'’][0-9]{2}", c)]:
        remarks.append(f"two-digit years such as {shown(short[0])} were read as 1969 to 2068")
    written = [(y, m, d) for y, m, d in days if d > 1]
    if written and all(d == calendar.monthrange(y, m)[1] for y, m, d in days if d):
        remarks.append("dates were month ends: only their month was kept")
    elif written:
        y, m, d = written[0]
        remarks.append(f"dates such as {y}-{m:02}-{d:02} lie within a month: only their month was kept")
    return remarks

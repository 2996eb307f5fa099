"""Single printed figures, read: levels, growth, running totals and shares as equations in months.

A fact is a row of FACT_COLUMNS, every cell as printed: the last digit says how exact it is.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import CatalogueError, DataError
from forecasting.toml_table import MONTH, YEAR
from forecasting.units import conversion

FACT_COLUMNS = ("period", "series", "measure", "value", "unit", "source", "note")
FIGURE = re.compile(r"[+-]?[0-9]{1,15}(\.[0-9]{1,9})?")
"""A number as printed; what is longer was never printed."""
GROWTH = {"yoy": "level", "ytd_yoy": "ytd"}
MEASURES = ("level", "ytd", *GROWTH, "share")

UNITS = {"kt": "kilotonnes", "t": "tonnes", "thousand_kl": "megalitres"}
_GOODS = {
    "cars": "exports.transport.motor_vehicles.cars",
    "buses_trucks": "exports.transport.motor_vehicles.buses_trucks",
    "car_parts": "exports.transport.car_parts",
    "motorcycles": "exports.transport.motorcycles",
    "lng": "imports.mineral_fuels.lng",
    "coal": "imports.mineral_fuels.coal",
    "crude": "imports.mineral_fuels.crude",
    "fish": "imports.food.fish",
    "cereals": "imports.food.cereals",
    "vegetables": "imports.food.vegetables",
    "fruits": "imports.food.fruits",
    "nonferrous": "imports.manufactured_goods.nonferrous",
    "iron_steel": "imports.manufactured_goods.iron_steel",
}
NAMES = {
    "trade_total": "jp_ru.trade.value",
    "exports": "jp_ru.exports.value",
    "imports": "jp_ru.imports.value",
    "motor_vehicles_value": "jp_ru.exports.transport.motor_vehicles.value",
    "transport_equipment_value": "jp_ru.exports.transport.value",
    "energy_value": "jp_ru.imports.mineral_fuels.value",
    **{name: f"jp_ru.{of}.quantity" for name, of in _GOODS.items()},
    **{f"{name}_value": f"jp_ru.{of}.value" for name, of in _GOODS.items()},
}
"""Short names of published_facts.csv; growth of goods is by quantity unless the name says value."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_SPAN = re.compile(r"\b([a-z]{3})[a-z]*(?: (\d{4}))?\s*[-–]\s*([a-z]{3})[a-z]*(?: (\d{4}))?\b", re.IGNORECASE)


@dataclass(frozen=True)
class Fact:
    """One printed figure: stored terms with their signs, the months, what of them, and how exactly it is printed.

    ``value`` and ``step`` (one unit of the last digit) are in the catalogue's unit, of growth and shares in parts of
    one: ``factor`` is one printed unit in that. ``whole`` are the terms that a share is a share of; ``text`` and
    ``unit`` are as printed.
    """

    period: str
    series: str
    measure: str
    terms: tuple[tuple[str, float], ...]
    start: pd.Period
    end: pd.Period
    value: float
    step: float
    factor: float
    source: str
    text: str
    unit: str
    whole: tuple[tuple[str, float], ...] = ()

    @property
    def spans(self) -> tuple[tuple[tuple[tuple[str, float], ...], pd.Period, pd.Period, float], ...]:
        """What is added up, over which months, with which factor: their sum is ``target`` if the fact is exact."""
        own = (self.terms, self.start, self.end, 1.0)
        if self.measure in GROWTH:
            return own, (self.terms, self.start - 12, self.end - 12, -(1.0 + self.value))
        return (own, (self.whole, self.start, self.end, -self.value)) if self.measure == "share" else (own,)

    @property
    def target(self) -> float:
        """Left over when all is on one side: the printed level, or nothing."""
        return self.value if self.measure in ("level", "ytd") else 0.0

    @property
    def monthly(self) -> float:
        """A printed level as a level of one month."""
        return self.value / ((self.end - self.start).n + 1)

    @property
    def order(self) -> tuple[str, ...]:
        """A name that does not depend on where in the file the fact stands."""
        return (self.period, self.series, self.measure, self.text, self.unit, self.source)

    @property
    def gives_a_month(self) -> bool:
        """A level of one stored series in one month."""
        return self.measure in ("level", "ytd") and self.start == self.end and len(self.terms) == 1

    def __str__(self) -> str:
        return f"{self.period} {self.series} {self.measure} {self.text} {self.unit}"


def read(table: pd.DataFrame, catalogue: Catalogue) -> tuple[tuple[Fact, ...], tuple[str, ...]]:
    """Facts of a table of FACT_COLUMNS (all text, as printed), and which could not be used and why.

    A malformed row is a DataError that names its line; a series or unit that the catalogue cannot place is a remark.
    """
    if missing := [name for name in FACT_COLUMNS[:5] if name not in table.columns]:
        raise DataError(f"The facts lack the column {missing[0]}; they need {', '.join(FACT_COLUMNS)}.")
    facts: list[Fact] = []
    unused: dict[str, int] = {}
    for line, row in enumerate(table.fillna("").astype(str).to_dict("records"), start=2):
        if row["measure"] == "note":
            continue
        try:
            facts.append(_fact(row, catalogue))
        except CatalogueError as error:
            unused[str(error)] = unused.get(str(error), 0) + 1
        except ValueError as error:
            raise DataError(f"Facts, line {line}: {error}") from error
    remarks = tuple(f"Not used: {times} fact(s), {why}." for why, times in sorted(unused.items()))
    return tuple(sorted(set(facts), key=lambda one: one.order)), remarks


def _fact(row: dict[Any, str], catalogue: Catalogue) -> Fact:
    measure, text, unit = row["measure"].strip(), row["value"].strip(), row["unit"].strip()
    if measure not in MEASURES:
        raise ValueError(f"measure {measure!r} is not one of {', '.join(MEASURES)}.")
    value = _number(text)
    start, end = _months_of(row["period"].strip(), measure.startswith("ytd"), row.get("note", ""))
    name, whole = row["series"].strip(), ""
    if measure == "share":
        name, _, whole = name.partition("_share_of_")
        if whole not in NAMES and whole not in catalogue:
            raise CatalogueError(f"share {row['series']} names no whole that is known")
    series = _series(name, catalogue, value_of=measure == "share")
    terms = _terms(series, catalogue)
    factor, step = _scaled(measure, text, unit, catalogue[series].unit)
    return Fact(
        row["period"].strip(), row["series"].strip(), measure, terms, start, end,
        value * factor, step * factor, factor, row.get("source", "").strip(), text, unit,
        _terms(_series(whole, catalogue), catalogue) if whole else (),
    )  # fmt: skip


def _number(text: str) -> float:
    if not FIGURE.fullmatch(text):
        raise ValueError(f"{text!r} is not a number such as -12.3.")
    return float(text)


def _scaled(measure: str, text: str, unit: str, wanted: str) -> tuple[float, float]:
    """Factor to the catalogue's unit (or to parts of one), and one unit of the last printed digit."""
    digits = len(text.partition(".")[2])
    if measure in (*GROWTH, "share"):
        if unit not in ("%", "percent"):
            raise ValueError(f"{measure} in {unit!r}: growth and shares are in %.")
        return 0.01, 10.0**-digits
    try:
        factor = conversion(UNITS.get(unit, unit), wanted)
    except DataError as error:
        raise CatalogueError(f"in {unit}, the series is in {wanted}") from error
    # Trailing zeros of a whole number may only fill it up: 1040 is printed to tens.
    whole = text.lstrip("+-")
    return factor, 10.0**-digits if digits else 10.0 ** (len(whole) - len(whole.rstrip("0")))


def _series(name: str, catalogue: Catalogue, value_of: bool = False) -> str:
    short = f"{name}_value" if value_of and f"{name}_value" in NAMES else name
    series = name if name in catalogue else NAMES.get(short, name)
    if series not in catalogue:
        raise CatalogueError(f"{name} is no series of the catalogue")
    return series


def _terms(series: str, catalogue: Catalogue) -> tuple[tuple[str, float], ...]:
    """Stored series and signs that this one is the sum of."""
    entry = catalogue[series]
    if not entry.derived:
        return ((series, 1.0),)
    if entry.formula not in ("sum", "difference"):
        raise CatalogueError(f"{series} is a {entry.formula}, no sum of stored series")
    signs = [1.0] * len(entry.terms) if entry.formula == "sum" else [1.0, -1.0]
    return tuple(
        (stored, sign * inner * conversion(catalogue[stored].unit, entry.unit))
        for one, sign in zip(entry.terms, signs, strict=True)
        for stored, inner in _terms(one, catalogue)
    )


def _months_of(period: str, running: bool, note: str) -> tuple[pd.Period, pd.Period]:
    """First and last month: ``2022-04`` (of a running total: January to then, or as the note says), ``2022``,
    ``2022-H1``, ``2022-Q1``, ``FY2022`` (April to March)."""
    if found := MONTH.fullmatch(period):
        month = pd.Period(period, "M")
        if not running:
            return month, month
        first = _first_of_note(note, month)
        return first or pd.Period(f"{month.year}-01", "M"), month
    for pattern, months in (
        (rf"FY({YEAR})()", 12),
        (rf"({YEAR})()", 12),
        (rf"({YEAR})-H([12])", 6),
        (rf"({YEAR})-Q([1-4])", 3),
    ):
        if found := re.fullmatch(pattern, period):
            year, part = int(found[1]), int(found[2] or 1)
            start = pd.Period(f"{year}-{4 if period.startswith('FY') else 1:02d}", "M") + (part - 1) * months
            return start, start + months - 1
    raise ValueError(f"period {period!r} is not like 2022-04, 2022, 2022-H1, 2022-Q1 or FY2022.")


def _first_of_note(note: str, last: pd.Period) -> pd.Period | None:
    """January of ``Jan-Nov``, April 2022 of ``Apr 2022-Feb 2023``: where the note's span ends in this month."""
    for found in _SPAN.finditer(note):
        names = [found[1].lower(), found[3].lower()]
        if all(name in _MONTHS for name in names) and _MONTHS.index(names[1]) + 1 == last.month:
            first = _MONTHS.index(names[0]) + 1
            year = int(found[2]) if found[2] else last.year - (first > last.month)
            return pd.Period(year=year, month=first, freq="M")
    return None

"""Printed figures held against the tables: which agree, which do not, and what else they might have meant.

A fact is a row of FACT_COLUMNS: a level, a growth rate on a year earlier or a share, over whole months.
Best read as text, so that ``65`` and ``65.0`` stay apart: the last printed digit says how exact it is.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product

import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.published_facts import FIGURE
from forecasting.toml_table import MONTH

FACT_COLUMNS = ("fact_id", "series", "period_start", "period_end", "measure", "value", "unit")
VERDICTS = ("agrees", "conflicts", "untestable")
VERDICT_COLUMNS = (
    "fact", "series", "period", "measure", "unit", "printed", "table", "difference",
    "verdict", "how", "basis", "reading", "contradicts", "remark",
)  # fmt: skip
MEASURES = ("level", "yoy_pct", "share_pct")

# Bases are revised after the article: growth moves by tenths of a point, levels by less than 1 in 200.
POINTS = 0.5
RELATIVE = 0.005
READINGS = 3

# Unit → what it measures and how many basic ones it holds.
UNITS = {
    "jpy": ("money", 1.0), "thousand_jpy": ("money", 1e3), "mn_jpy": ("money", 1e6), "bn_jpy": ("money", 1e9),
    "kg": ("mass", 1.0), "tonnes": ("mass", 1e3), "kilotonnes": ("mass", 1e6),
    "kl": ("volume", 1.0), "megalitres": ("volume", 1e3),
    "units": ("count", 1.0), "thousand_units": ("count", 1e3),
    "persons": ("persons", 1.0), "thousand_persons": ("persons", 1e3),
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """A measure of a series over months, as the tables can give it; ``of`` is the whole of a share."""

    series: str
    start: pd.Period
    end: pd.Period
    measure: str
    of: str = ""

    @property
    def length(self) -> int:
        return int((self.end - self.start).n) + 1

    def moved(self, months: int) -> Reading:
        """The same over months so much later."""
        return replace(self, start=self.start + months, end=self.end + months)


@dataclass(frozen=True)
class Fact:
    """A printed figure and what it says that it is."""

    id: str
    reading: Reading
    text: str
    unit: str

    @property
    def value(self) -> float:
        return float(self.text)

    @property
    def step(self) -> float:
        """One unit of the last printed digit."""
        return 10.0 ** -len(self.text.partition(".")[2])

    @property
    def coarse_step(self) -> float:
        """The same if trailing zeros of a whole number only fill it up: 610 may be 61 tens."""
        whole = self.text.lstrip("+-")
        return self.step if "." in whole else 10.0 ** (len(whole) - len(whole.rstrip("0")))

    @property
    def is_level(self) -> bool:
        return self.reading.measure == "level"


@dataclass(frozen=True)
class Tables:
    """What facts are held against: values and stages (T × n each; stages may be empty), and the catalogue."""

    y: pd.DataFrame
    catalogue: Catalogue
    stages: pd.DataFrame

    def total(self, reading: Reading) -> float:
        """Sum over the months; NaN unless all are known."""
        if reading.series not in self.y.columns:
            return math.nan
        months = pd.period_range(reading.start, reading.end, freq="M")
        return float(self.y[reading.series].reindex(months).sum(skipna=False))

    def figure(self, reading: Reading, unit: str) -> float:
        """The reading in this unit; NaN where months are missing or units do not fit."""
        total = self.total(reading)
        if reading.measure == "level":
            return total * self._factor(reading.series, unit)
        if reading.measure == "share_pct":
            return 100.0 * _ratio(total, self.total(replace(reading, series=reading.of)))
        return 100.0 * (_ratio(total, self.total(reading.moved(-12))) - 1.0)

    def _factor(self, series: str, unit: str) -> float:
        own = self.catalogue[series].unit if series in self.catalogue else unit
        if own == unit:
            return 1.0
        (kind, size), (wanted, step) = UNITS.get(own, ("", 1.0)), UNITS.get(unit, ("?", 1.0))
        return size / step if kind == wanted else math.nan

    def ancestors(self, series: str) -> tuple[str, ...]:
        """Parent, its parent, … and the sums in which the last of them is a term."""
        chain: list[str] = []
        at = series
        while at in self.catalogue and self.catalogue[at].parent:
            at = self.catalogue[at].parent
            chain.append(at)
        sums = (one.id for one in self.catalogue.values() if one.formula == "sum" and at in one.terms)
        return (*chain, *sums)

    def whole(self, series: str) -> str:
        """What a share is a share of unless it says otherwise: the topmost stored ancestor."""
        stored = [one for one in self.ancestors(series) if not self.catalogue[one].derived]
        return stored[-1] if stored else ""

    def title(self, series: str) -> str:
        return self.catalogue[series].title if series in self.catalogue else series


def check_facts(
    facts: pd.DataFrame, y: pd.DataFrame, catalogue: Catalogue, stages: pd.DataFrame | None = None
) -> pd.DataFrame:
    """One row of VERDICT_COLUMNS per fact; ``y`` (T × n) holds derived series too, ``stages`` is alike."""
    tables = Tables(y, catalogue, pd.DataFrame(index=y.index) if stages is None else stages)
    known = _read(facts, tables)
    against = contradictions(known, tables)
    rows = [_verdict(fact, known, tables) | {"contradicts": ", ".join(against[fact.id])} for fact in known]
    return pd.DataFrame(rows, columns=list(VERDICT_COLUMNS))


def _read(facts: pd.DataFrame, tables: Tables) -> list[Fact]:
    if missing := [name for name in FACT_COLUMNS if name not in facts.columns]:
        raise DataError(f"The facts lack the column {missing[0]}; they have {', '.join(map(str, facts.columns))}.")
    return [_fact(row, tables) for row in facts.to_dict("records")]


def _fact(row: dict, tables: Tables) -> Fact:
    series, measure = str(row["series"]), str(row["measure"])
    if measure not in MEASURES:
        raise DataError(f"{row['fact_id']}: measure {measure!r} is not one of {', '.join(MEASURES)}.")
    start, end = (_month(row, name) for name in ("period_start", "period_end"))
    text = str(row["value"]).strip()
    of = tables.whole(series) if measure == "share_pct" else ""
    text = text.removesuffix(".0") if isinstance(row["value"], float) else text
    if not FIGURE.fullmatch(text):
        raise DataError(f"{row['fact_id']}: value {text!r} is not a number such as -12.3.")
    return Fact(str(row["fact_id"]), Reading(series, start, end, measure, of), text, str(row["unit"]))


def _month(row: dict, name: str) -> pd.Period:
    if not MONTH.fullmatch(str(row[name])):
        raise DataError(f"{row['fact_id']}: {name} {str(row[name])!r} is not a month such as 2024-08.")
    return pd.Period(str(row[name]), "M")


def _verdict(fact: Fact, facts: list[Fact], tables: Tables) -> dict:
    reading = fact.reading
    table = tables.figure(reading, fact.unit)
    how = agreement(fact, table)
    row = {
        "fact": fact.id, "series": reading.series, "period": period_name(reading.start, reading.end),
        "measure": reading.measure, "unit": fact.unit, "printed": fact.text, "table": table,
        "difference": fact.value - table, "how": how, "basis": "", "reading": "",
    }  # fmt: skip
    if math.isnan(table):
        return row | {"verdict": "untestable", "remark": _missing(fact, facts, tables)}
    row |= {"basis": _basis(reading, tables)}
    if how:
        return row | {"verdict": "agrees", "remark": _misreadable(fact, tables)}
    meant, tried = _best(other_readings(fact, tables))
    return row | {"verdict": "conflicts", "reading": meant, "remark": tried}


# Agreement


def agreement(fact: Fact, table: float) -> str:
    """In which way the table's figure comes to the printed one; empty where it does not."""
    if math.isnan(table):
        return ""
    if exact := _exactly(fact, table, fact.step):
        return exact
    gap = abs(fact.value - table)
    shorter = _cut(table, fact.step) == _cut(fact.value, fact.step) or _coarsely(fact, table)
    aside = " (cut off it would agree)" if shorter else ""
    if fact.is_level:
        return f"revision of {100 * gap / abs(table):.2f} %{aside}" if gap <= RELATIVE * abs(table) else ""
    return f"revision of {gap:.2f} points{aside}" if gap <= POINTS else ""


def _exactly(fact: Fact, table: float, step: float) -> str:
    if abs(fact.value - table) <= 0.5 * step * (1 + 1e-9):
        return "rounding"
    # Growth rates come rounded from the publisher's own tables; only levels are shortened by the press.
    return "truncation" if fact.is_level and _cut(table, step) == _cut(fact.value, step) else ""


def _coarsely(fact: Fact, table: float) -> str:
    """Agreement if trailing zeros were not printed as digits."""
    how = _exactly(fact, table, fact.coarse_step) if fact.is_level and fact.coarse_step > fact.step else ""
    return f"{how} to {fact.coarse_step:g}" if how else ""


def _cut(value: float, step: float) -> int:
    return math.trunc(value / step * (1 + 1e-12))


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


# What else a figure may have meant


@dataclass(frozen=True)
class Other:
    """Another reading of a printed figure, how much was changed, and how it agrees (empty: not)."""

    changes: int
    words: str
    table: float
    how: str

    @property
    def rank(self) -> tuple[bool, bool]:
        """Exact ones first."""
        return self.how.startswith("revision"), " to " in self.how

    def __str__(self) -> str:
        return f"{self.words}: {_plain(self.table)} ({self.how})"


def other_readings(fact: Fact, tables: Tables) -> list[Other]:
    """Every other reading that the tables can give, fewest changes first, then the most exact."""
    found = []
    for changes, reading, words in _alternatives(fact, tables):
        table = tables.figure(reading, fact.unit)
        if not math.isnan(table):
            how = _exactly(fact, table, fact.step) or _coarsely(fact, table) or agreement(fact, table)
            found.append(Other(changes, words, table, how))
    return sorted(found, key=lambda one: (one.changes, one.rank))


def _best(others: list[Other]) -> tuple[str, str]:
    """The agreeing readings with the fewest changes, and out of how many they come."""
    agreeing = [one for one in others if one.how]
    fewest = agreeing[0].changes if agreeing else 2
    best = [one for one in agreeing if one.changes == fewest]
    tried = sum(one.changes == fewest for one in others)
    changes = "one change" if fewest == 1 else "two changes"
    chance = "; may be chance" if agreeing and fewest == 2 else ""
    return (
        "; ".join(map(str, best[:READINGS])),
        f"{len(best)} of {tried} readings with {changes} would agree{chance}",
    )


def _alternatives(fact: Fact, tables: Tables) -> Iterator[tuple[int, Reading, str]]:
    """Readings with one or two of series, period and measure changed."""
    told = fact.reading
    series = [(told.series, ""), *_other_series(told, tables)]
    periods = [(told.start, told.end, ""), *_other_periods(told)]
    wholes = [(told.of, "")] + [(one, f"share of {_short(one, tables)}") for one in _other_wholes(told, tables)]
    for (one, said), (start, end, when), (of, share) in product(series, periods, wholes):
        words = [word for word in (said, when, share) if word]
        if 1 <= len(words) <= 2 and _sensible(one, of, tables):
            yield len(words), Reading(one, start, end, told.measure, of), ", ".join(words)


def _sensible(series: str, of: str, tables: Tables) -> bool:
    """A share is one of money in money, or of pieces in pieces."""
    known = tables.catalogue
    return not of or (series != of and series in known and known[series].unit == known[of].unit)


def _other_series(told: Reading, tables: Tables) -> list[tuple[str, str]]:
    stem, _, measure = told.series.rpartition(".")
    twin = {"value": "quantity", "quantity": "value"}.get(measure, "")
    area, _, rest = told.series.partition(".")
    parent = tables.catalogue[told.series].parent if told.series in tables.catalogue else ""
    above = [one for base in (told.series, f"{stem}.{twin}") for one in tables.ancestors(base)]
    beside = [one for one in tables.catalogue.children(parent) if one != told.series] if parent else []
    below = list(tables.catalogue.children(told.series))
    elsewhere = [one for one in tables.y.columns if one.partition(".")[2] == rest and one.partition(".")[0] != area]
    named = {f"{stem}.{twin}": f"by {twin} instead of {measure}"} if twin else {}
    for one in (*above, *beside, *below, *elsewhere):
        named.setdefault(one, _short(one, tables))
    return [(one, words) for one, words in named.items() if one in tables.y.columns]


def _other_wholes(told: Reading, tables: Tables) -> list[str]:
    if told.measure != "share_pct":
        return []
    return [one for one in tables.ancestors(told.series) if one != told.of and one in tables.y.columns]


def _short(series: str, tables: Tables) -> str:
    return tables.title(series).removeprefix("Japan's ")


def _other_periods(told: Reading) -> list[tuple[pd.Period, pd.Period, str]]:
    # An article cannot know months to come: one month on, or the fiscal year that the year begins.
    last = told.end + (1 if told.length == 1 else 3)
    spans = dict.fromkeys([*_near_periods(told), *_around(told.end), *_around(told.start)])
    own = (told.start, told.end)
    return [(a, b, period_name(a, b)) for a, b in spans if (a, b) != own and b <= last]


def _near_periods(told: Reading) -> Iterator[tuple[pd.Period, pd.Period]]:
    for months in (-1, 1) if told.length == 1 else (-3, 3):
        yield told.start + months, told.end + months
    for months in (-12, 12):
        yield told.start + months, told.end + months
    yield told.end, told.end
    yield told.end - 11, told.end


def _around(month: pd.Period) -> Iterator[tuple[pd.Period, pd.Period]]:
    """Halves, quarters and the year around a month, calendar and fiscal, whole and to date."""
    for first in (pd.Period(year=month.year, month=1, freq="M"), _fiscal_start(month)):
        yield first, month
        yield first, first + 11
        yield from ((first + at, first + at + 5) for at in (0, 6))
        yield from ((first + at, first + at + 2) for at in (0, 3, 6, 9))


def _fiscal_start(month: pd.Period) -> pd.Period:
    return pd.Period(year=month.year - (month.month < 4), month=4, freq="M")


def period_name(start: pd.Period, end: pd.Period) -> str:
    """``2024-09``, ``calendar 2024``, ``fiscal 2024`` (April to March), or ``2024-04…2024-09``."""
    if start == end:
        return str(start)
    if (end - start).n == 11 and start.month in (1, 4):
        return f"{'calendar' if start.month == 1 else 'fiscal'} {start.year}"
    return f"{start}…{end}"


# Remarks


def _missing(fact: Fact, facts: list[Fact], tables: Tables) -> str:
    """Which months the tables lack, and what they say if another fact lends its figure for the base."""
    reading = fact.reading
    if reading.series not in tables.y.columns:
        return "the tables hold no such series"
    spans = [reading, reading.moved(-12)] if reading.measure == "yoy_pct" else [reading]
    lacking = [month for span in spans for month in _unknown_months(span, tables)]
    said = f"the tables lack {period_name(min(lacking), max(lacking))}" if lacking else "the units do not fit"
    return "; ".join([said, *_borrowed(fact, facts, tables)])


def _unknown_months(reading: Reading, tables: Tables) -> list[pd.Period]:
    months = pd.period_range(reading.start, reading.end, freq="M")
    known = tables.y[reading.series].reindex(months)
    return list(months[known.isna()])


def _borrowed(fact: Fact, facts: list[Fact], tables: Tables) -> Iterator[str]:
    now = replace(fact.reading, measure="level")
    for other in facts:
        if fact.reading.measure == "yoy_pct" and other.reading == now.moved(-12):
            growth = 100.0 * (_ratio(tables.figure(now, other.unit), other.value) - 1.0)
            if not math.isnan(growth):
                yield f"on the base that {other.id} prints, the tables give {growth:+.1f} %"


def _misreadable(fact: Fact, tables: Tables) -> str:
    """The other year of the same number, where it would give another figure."""
    reading = fact.reading
    if reading.length != 12 or reading.start.month not in (1, 4):
        return ""
    other = reading.moved(3 if reading.start.month == 1 else -3)
    table = tables.figure(other, fact.unit)
    if math.isnan(table) or agreement(fact, table):
        return ""
    told = period_name(reading.start, reading.end)
    return f"easily misread: this is {told}; {period_name(other.start, other.end)} is {_plain(table)}"


def _basis(reading: Reading, tables: Tables) -> str:
    """Stages of the months that the comparison rests on, the year-ago base apart."""
    told = _stages(reading, tables)
    base = _stages(reading.moved(-12), tables) if reading.measure == "yoy_pct" else ""
    return f"{told}; base {base}" if base else told


def _stages(reading: Reading, tables: Tables) -> str:
    at = reading.series
    while at not in tables.stages.columns and at in tables.catalogue and tables.catalogue[at].terms:
        at = tables.catalogue[at].terms[0]
    if at not in tables.stages.columns:
        return ""
    months = pd.period_range(reading.start, reading.end, freq="M")
    counts = Counter(tables.stages[at].reindex(months).dropna())
    return ", ".join(f"{count} {stage}" for stage, count in counts.most_common())


def _plain(value: float) -> str:
    return f"{value:,.1f}" if abs(value) < 10_000 else f"{value:,.0f}"


# Facts against one another


def contradictions(facts: list[Fact], tables: Tables) -> dict[str, list[str]]:
    """For each fact the others that cannot be true together with it; revisions are allowed for."""
    against: dict[str, list[str]] = {fact.id: [] for fact in facts}
    for accused, others in (*_growth_and_levels(facts), *_two_figures(facts), *_sums(facts, tables)):
        for one in others:
            for a, b in ((accused, one), (one, accused)):
                if b.id not in against[a.id]:
                    against[a.id].append(b.id)
    return against


def _span(fact: Fact) -> tuple[float, float]:
    """Between what the true figure lies, given how it is printed and how far revisions go."""
    slack = RELATIVE * abs(fact.value) if fact.is_level else POINTS
    return fact.value - fact.step - slack, fact.value + fact.step + slack


def _apart(one: tuple[float, float], two: tuple[float, float]) -> bool:
    return one[1] < two[0] or two[1] < one[0]


def _growth_and_levels(facts: list[Fact]) -> Iterator[tuple[Fact, list[Fact]]]:
    """A growth rate that the two printed levels do not give."""
    for growth in (fact for fact in facts if fact.reading.measure == "yoy_pct"):
        at = replace(growth.reading, measure="level")
        now = [fact for fact in facts if fact.reading == at and fact.value > 0]
        ago = [fact for fact in facts if fact.reading == at.moved(-12) and fact.value > 0]
        for a, b in product(now, ago):
            (low, high), (least, most) = _span(a), _span(b)
            implied = (100 * (low / most - 1), 100 * (high / least - 1))
            if a.unit == b.unit and _apart(implied, _span(growth)):
                yield growth, [a, b]


def _two_figures(facts: list[Fact]) -> Iterator[tuple[Fact, list[Fact]]]:
    """Two figures for the same thing, or a part of the months that exceeds them all."""
    for a, b in product(facts, facts):
        if a.reading.series != b.reading.series or a.unit != b.unit or a.id == b.id:
            continue
        if a.reading == b.reading and a.id < b.id and _apart(_span(a), _span(b)):
            yield a, [b]
        within = b.reading.start <= a.reading.start and a.reading.end <= b.reading.end and a.reading != b.reading
        if within and a.is_level and b.is_level and _span(a)[0] > _span(b)[1]:
            yield a, [b]


def _sums(facts: list[Fact], tables: Tables) -> Iterator[tuple[Fact, list[Fact]]]:
    """A sum that its printed terms do not give: levels add up, growth lies between that of the terms."""
    by_reading = {(fact.reading, fact.unit): fact for fact in facts}
    for fact in facts:
        entry = tables.catalogue.get(fact.reading.series)
        if entry is None or entry.formula != "sum" or fact.reading.measure == "share_pct":
            continue
        keys = [(replace(fact.reading, series=term), fact.unit) for term in entry.terms]
        if not all(key in by_reading for key in keys):
            continue
        terms = [by_reading[key] for key in keys]
        lows, highs = [_span(one)[0] for one in terms], [_span(one)[1] for one in terms]
        bounds = (sum(lows), sum(highs)) if fact.is_level else (min(lows), max(highs))
        if _apart(bounds, _span(fact)):
            yield fact, terms

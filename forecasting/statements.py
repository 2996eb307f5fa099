"""Linear statements of a person about a forecast: read from text, written as rows over the cells of its cube."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import CatalogueError, DataError
from forecasting.forecast import Forecast
from forecasting.units import conversion, say

FORM = (
    "write it as 'SERIES 2026Q4 = 4500', '… = 4500 ± 200', 'A + B FY2026 = 4500', 'A / B 2026 = 30 %'"
    " or 'SERIES 2026-11 yoy = -20 %'"
)
PERIODS = "2026-11, 2026Q4, FY2026, CY2026 or 2026-10..2027-03"
LARGEST = 1e15
_YEARS = range(1900, 2200)
_PERIOD = r"(?:FY|CY)?[0-9]{4}(?:-?Q[0-9]|-[0-9]{1,2})?"
_LEFT = re.compile(
    rf"(?P<series>.+?)\s+(?P<first>{_PERIOD})(?:\s*\.\.\s*(?P<last>{_PERIOD}))?(?P<yoy>\s+yoy)?", re.IGNORECASE
)
_NUMBER = r"[+-]?\s*(?:[0-9]{1,3}(?:[ ,_][0-9]{3})+|[0-9]+)(?:\.[0-9]+)?(?:e[+-]?[0-9]+)?"
_RIGHT = re.compile(
    rf"(?P<value>{_NUMBER})\s*(?P<pct>%?)(?:\s*(?:±|\+/?-)\s*(?P<sd>{_NUMBER})\s*(?P<sd_pct>%?))?", re.IGNORECASE
)
_SPELLINGS = {"−": "-", "–": "-", "\u00a0": " ", "\u202f": " ", "\u2009": " ", "≤": "<", "≥": ">", "％": "%"}
_RELATIONS = {"<=": "<", ">=": ">", "==": "="}


@dataclass(frozen=True)
class Statement:
    """A total of ``terms`` (stored series, coefficients) over the months ``first`` to ``last``, held against a value.

    ``per`` holds the terms of what a share or a price is divided by; a growth rate (``yoy``) is divided by the same a
    year earlier. ``value`` and ``sd`` (0 = exactly) are in ``unit``, shares and growth in percent.
    ``series`` are the ids as they were written.
    """

    text: str = field(compare=False)
    series: tuple[str, ...] = field(compare=False)
    terms: tuple[tuple[str, float], ...]
    per: tuple[tuple[str, float], ...]
    first: pd.Period
    last: pd.Period
    yoy: bool
    relation: str
    value: float
    sd: float
    unit: str

    @property
    def stored(self) -> tuple[str, ...]:
        """The stored series that it speaks of."""
        return tuple(dict.fromkeys(one for one, _ in (*self.terms, *self.per)))

    @property
    def factor(self) -> tuple[float, float]:
        """How percent become a plain ratio: (a, c) with ratio = a + c × value."""
        return (1.0 if self.yoy else 0.0, 0.01 if self.unit in ("pct", "pct_yoy") else 1.0)

    def say(self, value: float) -> str:
        """A value in its unit, for people."""
        return f"{value:,.4g} %" if self.unit in ("pct", "pct_yoy") else say(self.unit, value)


def parse(text: str, catalogue: Catalogue) -> Statement:
    """Read 'SERIES PERIOD = VALUE ± SD' and its relatives: sums, shares, growth on a year earlier, unit prices.

    DataError for what is not such a statement, CatalogueError for an unknown series.
    """
    plain = " ".join("".join(_SPELLINGS.get(sign, sign) for sign in text).split())
    for spelled, relation in _RELATIONS.items():
        plain = plain.replace(spelled, relation)
    sides = re.fullmatch(r"(?P<left>.*[^=<>])(?P<relation>[=<>])(?P<right>[^=<>]+)", plain)
    if not sides:
        raise DataError(f"{_short(text)!r} holds no '=', '<' or '>' between two sides: {FORM}.")
    left, right = _LEFT.fullmatch(sides["left"].strip()), _RIGHT.fullmatch(sides["right"].strip())
    if not left:
        raise DataError(f"{_short(text)!r} names no period ({PERIODS}) after the series: {FORM}.")
    if not right:
        raise DataError(f"{_short(text)!r}: {sides['right'].strip()!r} is not a number with an optional ± SD: {FORM}.")
    first, last = _months(left["first"], text)[0], _months(left["last"] or left["first"], text)[1]
    if last < first:
        raise DataError(f"{_short(text)!r} ends in {last}, before it begins in {first}: swap the two.")
    series, terms, per, unit = _read_series(left["series"], catalogue, text)
    if left["yoy"]:
        if unit == "pct":
            raise DataError(f"{_short(text)!r} asks for the growth of a share, which is not linear: {FORM}.")
        unit = "pct_yoy"
    value, sd = _number(right["value"], text), _number(right["sd"] or "0", text)
    percent = bool(right["pct"] or right["sd_pct"])
    if percent != (unit in ("pct", "pct_yoy")):
        wanted = f"is in {unit}, not percent" if percent else "is a growth rate or a share, in percent: add the %"
        raise DataError(f"{_short(text)!r} {wanted}; {FORM}.")
    if sd < 0:
        raise DataError(f"{_short(text)!r}: a standard deviation of {sd:g} is below zero; {FORM}.")
    said = text if text.isprintable() else plain
    return Statement(
        said.strip(), series, terms, per, first, last, bool(left["yoy"]), sides["relation"], value, sd, unit
    )


def _short(text: str) -> str:
    flat = " ".join(text.split())
    return flat if len(flat) <= 100 else flat[:97] + "…"


def _number(text: str, whole: str) -> float:
    value = float(re.sub(r"[ ,_]", "", text))
    if abs(value) > LARGEST:
        raise DataError(f"{_short(whole)!r}: {text.strip()[:20]} is too large: give it in the unit of the catalogue.")
    return value


def _months(text: str, whole: str) -> tuple[pd.Period, pd.Period]:
    """First and last month of a period."""
    name = text.upper()
    year = int(re.findall(r"[0-9]{4}", name)[0])
    form = re.fullmatch(r"(?P<kind>FY|CY)?[0-9]{4}(?:-?Q(?P<quarter>[1-4])|-(?P<month>0?[1-9]|1[0-2]))?", name)
    if year not in _YEARS or not form or (form["kind"] and (form["quarter"] or form["month"])):
        raise DataError(f"{_short(whole)!r}: {text} is not a period: write {PERIODS}.")
    if form["month"]:
        start, count = pd.Period(year=year, month=int(form["month"]), freq="M"), 1
    elif form["quarter"]:
        start, count = pd.Period(year=year, month=3 * int(form["quarter"]) - 2, freq="M"), 3
    else:
        start, count = pd.Period(year=year, month=4 if form["kind"] == "FY" else 1, freq="M"), 12
    return start, start + (count - 1)


Terms = tuple[tuple[str, float], ...]


def _read_series(text: str, catalogue: Catalogue, whole: str) -> tuple[tuple[str, ...], Terms, Terms, str]:
    """Ids as written, terms, what they are divided by, and the unit, of 'A', 'A + B', 'A - B', 'A / B' or a price."""
    series, signs = _split(text, catalogue, whole)
    entries = [catalogue[one] for one in series]
    if len(entries) == 1 and entries[0].formula == "ratio":
        value, quantity = (_expanded(term, catalogue, whole) for term in entries[0].terms)
        return series, _sorted(value), _sorted(quantity), entries[0].unit
    unit = entries[0].unit
    for entry in entries[1:]:
        if entry.unit != unit:
            raise DataError(
                f"{_short(whole)!r}: {series[0]} is in {unit}, {entry.id} in {entry.unit}:"
                " only series of one unit go into one statement."
            )
    if "/" in signs:
        if len(series) != 2:
            raise DataError(f"{_short(whole)!r}: a share is of one series in another, 'A / B 2026 = 30 %'.")
        part, of = (_sorted(_expanded(one, catalogue, whole)) for one in series)
        if part == of:
            raise DataError(f"{_short(whole)!r}: the share of a series in itself is always 100 %: name another.")
        return series, part, of, "pct"
    total: dict[str, float] = {}
    for sign, one in zip(("+", *signs), series, strict=True):
        for term, by in _expanded(one, catalogue, whole).items():
            total[term] = total.get(term, 0.0) + (by if sign == "+" else -by)
    if not any(total.values()):
        raise DataError(f"{_short(whole)!r}: the series cancel out, nothing is left to speak of.")
    return series, _sorted(total), (), unit


def _split(text: str, catalogue: Catalogue, whole: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Ids and the signs between them; an id may itself hold blanks and signs where the catalogue knows it so."""
    if text in catalogue:
        return (text,), ()
    ways = [re.split(rule, text) for rule in (r"\s+([+/-])\s+", r"\s*([+/-])\s*")]
    chosen = next((way for way in ways if all(one in catalogue for one in way[::2])), ways[0])
    for one in chosen[::2]:
        if one in catalogue:
            continue
        if not one.strip():
            raise DataError(f"{_short(whole)!r} lacks a series beside a sign: {FORM}.")
        if _LEFT.fullmatch(one):
            raise DataError(f"{_short(whole)!r} has more than one period: name it once, after the last series; {FORM}.")
        found = catalogue.select([one])
        raise CatalogueError(f"{one!r} means {len(found)} series ({found[0]} …): name one, or join them by +.")
    return tuple(chosen[::2]), tuple(chosen[1::2])


def _expanded(series: str, catalogue: Catalogue, whole: str) -> dict[str, float]:
    """Stored series and their coefficients that make up this one."""
    entry = catalogue[series]
    if not entry.derived:
        return {series: 1.0}
    if entry.formula == "ratio":
        raise DataError(f"{_short(whole)!r}: {series} is a price and stands alone in a statement: {FORM}.")
    minus = entry.terms[1:] if entry.formula == "difference" else ()
    plus = entry.terms[:1] if entry.formula == "difference" else entry.terms
    if entry.formula == "rest":
        minus = catalogue.children(entry.terms[0])
    total: dict[str, float] = {}
    for sign, terms in ((1.0, plus), (-1.0, minus)):
        for term in terms:
            by = sign * (conversion(catalogue[term].unit, entry.unit) if entry.formula == "difference" else 1.0)
            for stored, of in _expanded(term, catalogue, whole).items():
                total[stored] = total.get(stored, 0.0) + by * of
    return total


def _sorted(terms: dict[str, float]) -> Terms:
    return tuple(sorted((one, by) for one, by in terms.items() if by))


def needed_series(statements: Iterable[Statement]) -> tuple[str, ...]:
    """Stored series that a cube must hold for these statements, sorted."""
    return tuple(sorted({one for statement in statements for one in statement.stored}))


def needed_last_month(statements: Iterable[Statement]) -> pd.Period | None:
    """Last month of which these statements speak; nothing without statements."""
    return max((one.last for one in statements), default=None)


@dataclass(frozen=True)
class Linear:
    """k statements over the cells of a cube: (top · X + top_known) / (base · X + base_known) is each one's quantity.

    ``top`` and ``base`` (k × h × n) hold coefficients of open cells, ``top_known`` and ``base_known`` (k) what is
    published of the sums. A plain total is divided by 1. ``sd`` (k) belongs to ``a · X = b``.
    """

    statements: tuple[Statement, ...]
    top: np.ndarray
    base: np.ndarray
    top_known: np.ndarray
    base_known: np.ndarray
    sd: np.ndarray

    @property
    def ratio(self) -> np.ndarray:
        """The stated values (k), percent as plain ratios."""
        return np.array([one.factor[0] + one.factor[1] * one.value for one in self.statements])

    @property
    def a(self) -> np.ndarray:
        """Left-hand side A (k × h × n): quantity = value wherever A · X = b."""
        return self.top - self.ratio[:, None, None] * self.base

    @property
    def b(self) -> np.ndarray:
        """Right-hand side b (k)."""
        return np.asarray(self.ratio * self.base_known - self.top_known)

    def totals(self, cells: np.ndarray) -> np.ndarray:
        """The quantities in their statements' units (… × k) of cells (… × h × n); NaN where divided by zero."""
        top = np.tensordot(cells, self.top, axes=([-2, -1], [1, 2])) + self.top_known
        base = np.tensordot(cells, self.base, axes=([-2, -1], [1, 2])) + self.base_known
        shift = np.array([one.factor[0] for one in self.statements])
        scale = np.array([one.factor[1] for one in self.statements])
        return (np.divide(top, base, out=np.full(top.shape, np.nan), where=base != 0) - shift) / scale

    def take(self, at: Sequence[int]) -> Linear:
        """Only these statements, in this order."""
        rows = list(at)
        return Linear(
            tuple(self.statements[row] for row in rows), self.top[rows], self.base[rows], self.top_known[rows],
            self.base_known[rows], self.sd[rows],
        )  # fmt: skip


def rows(statements: Iterable[Statement], forecast: Forecast, history: pd.DataFrame) -> Linear:
    """The statements over the cells of this forecast; said twice counts once.

    ``history`` (T × n) holds published values until the cutoff. The SD of a share, growth rate or price is taken at the
    mean of what it is divided by. DataError where a period is wholly published, not published and not forecast, or
    divided by nothing.
    """
    chosen = tuple(dict.fromkeys(statements))
    made = [_row(one, forecast, history) for one in chosen]
    shape = (0, len(forecast.months), len(forecast.series))
    top = np.stack([one[0] for one in made]) if made else np.empty(shape)
    base = np.stack([one[2] for one in made]) if made else np.empty(shape)
    base_known = np.array([one[3] for one in made])
    means = np.tensordot(base, forecast.paths.mean(axis=0), axes=([1, 2], [0, 1])) + base_known
    sd = np.array([one.sd * one.factor[1] for one in chosen]) * np.abs(means)
    return Linear(chosen, top, base, np.array([one[1] for one in made]), base_known, sd)


def _row(one: Statement, forecast: Forecast, history: pd.DataFrame) -> tuple[np.ndarray, float, np.ndarray, float]:
    top, top_known = _cells(one, one.terms, 0, forecast, history)
    base, base_known = _cells(one, one.per, 0, forecast, history) if one.per else (np.zeros_like(top), 1.0)
    if one.yoy:
        before = _cells(one, one.terms, 12, forecast, history)
        if not one.per:
            base, base_known = before
        else:
            price = _known_ratio(one, before, _cells(one, one.per, 12, forecast, history))
            base, base_known = price * base, price * base_known
    if not base.any() and base_known == 0:
        what = f"a year before {_span(one)}" if one.yoy else f"in {_span(one)}"
        raise DataError(f"{one.text!r} divides by a total of zero {what}: state a level instead.")
    if not top.any() and not base.any():
        value = (top_known / base_known - one.factor[0]) / one.factor[1]
        raise DataError(f"{one.text!r}: {_span(one)} is wholly published: it is {one.say(value)}.")
    return top, top_known, base, base_known


def _span(one: Statement) -> str:
    return str(one.first) if one.first == one.last else f"{one.first} to {one.last}"


def _known_ratio(one: Statement, top: tuple[np.ndarray, float], base: tuple[np.ndarray, float]) -> float:
    if top[0].any() or base[0].any():
        raise DataError(
            f"{one.text!r} is the growth of a price on a year that is not published yet, which is not linear:"
            " state the price itself."
        )
    return top[1] / base[1] if base[1] else 0.0


def _cells(
    one: Statement, terms: Terms, back: int, forecast: Forecast, history: pd.DataFrame
) -> tuple[np.ndarray, float]:
    """Coefficients of open cells (h × n) and what is published, of a total ``back`` months earlier."""
    open_, known = np.zeros((len(forecast.months), len(forecast.series))), 0.0
    months = pd.period_range(one.first - back, one.last - back, freq="M")
    if months[-1] > forecast.months[-1]:
        steps = (months[-1] - history.index[-1]).n
        raise DataError(
            f"{one.text!r} reaches {months[-1]}, the forecast only {forecast.months[-1]}: give --horizon {steps}."
        )
    for series, by in terms:
        if series not in forecast.series:
            raise DataError(f"{one.text!r} rests on {series}, which this forecast does not hold: add it to --series.")
        column = forecast.series.index(series)
        ahead = months > forecast.cutoff[column]
        inside = forecast.months.isin(months[ahead])
        open_[inside, column] = by
        known += by * _published(one, series, months[~ahead], history)
    return open_, known


def _published(one: Statement, series: str, months: pd.PeriodIndex, history: pd.DataFrame) -> float:
    if not len(months):
        return 0.0
    column = history[series] if series in history.columns else pd.Series(np.nan, index=history.index)
    values = column.reindex(months)
    if values.isna().any():
        missing, first = months[values.isna()][0], column.first_valid_index()
        begins = isinstance(first, pd.Period) and missing < first
        why = f"begins in {first!s}" if begins else "has no published value for it"
        raise DataError(f"{one.text!r} needs {series} of {missing!s}, but it {why}: choose another period.")
    return float(values.sum())

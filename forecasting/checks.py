"""What is wrong with a table of observations: findings, never a silent repair."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import astuple, dataclass

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.observations import OBSERVATION_COLUMNS, STAGES, wide
from forecasting.toml_table import MONTH

SEVERITIES = ("error", "warning", "note")
FINDING_COLUMNS = ("severity", "check", "series", "month", "found", "advice")

COUNTED = ("units", "persons")
COMPUTED_STAGES = ("implied", "reconstructed")

# The Russian tables list cars, buses and trucks under motor vehicles, and nothing else is left but rounding.
COMPLETE = {
    "jp_ru.exports.transport.motor_vehicles.value": 10.0,
    "jp_ru.exports.transport.motor_vehicles.quantity": 10.0,
}

# In decades: beyond half of a thousand-fold, a value lies nearer to a slip than to its neighbours.
SLIP = 1.5
# Value and quantity moving together by more than 180-fold: trade hardly does so, a file in other units does.
JOINT_SLIP = 2.25
# A unit price that jumps 2.5-fold and far beyond its own habits.
PRICE_JUMP, PRICE_SPREADS = 0.4, 6.0
# Customs print detailed figures within weeks and revise the year in the following March.
STALE_AFTER = 14

ADVICE = {
    "month": "write months as 2026-08",
    "number": "publishers print '-' or 'X' for missing: leave such rows out",
    "finite": "leave the row out or read the source again",
    "negative": "trade is never negative: look for a balance or a correction among the levels",
    "stage": f"use one of {', '.join(STAGES)}",
    "text": "fill in the cell",
    "std_error": "a standard error is positive, or empty where unknown",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong or worth knowing, and what to do about it."""

    severity: str
    check: str
    series: str
    month: str
    found: str
    advice: str


def check_observations(observations: pd.DataFrame, catalogue: Catalogue) -> pd.DataFrame:
    """Findings (FINDING_COLUMNS), errors first; months as periods or as text."""
    if missing := [name for name in OBSERVATION_COLUMNS if name not in observations.columns]:
        advice = f"the columns are {', '.join(OBSERVATION_COLUMNS)}"
        return _table([Finding("error", "schema", "", "", f"no column {name}", advice) for name in missing])
    rows = observations.reset_index(drop=True)
    typed = _typed(rows)
    findings = [
        *_schema(rows),
        *_duplicates(typed),
        *_units_and_names(typed, catalogue),
        *_fractions(typed),
        *_stale(typed),
    ]
    good = typed[typed["month"].notna() & np.isfinite(typed["value"])].drop_duplicates(["series", "month"])
    if not good.empty:
        y = wide(good).astype(float)
        width = _half_widths(good, y)
        findings += [
            *_holes(y),
            *_slips(y, catalogue),
            *_price_jumps(y, width, catalogue),
            *_identities(y, width, catalogue),
        ]
    return _table(findings)


def _table(findings: list[Finding]) -> pd.DataFrame:
    ranked = sorted(findings, key=lambda one: (SEVERITIES.index(one.severity), one.check, one.series, one.month))
    return pd.DataFrame([astuple(one) for one in ranked], columns=list(FINDING_COLUMNS))


def _typed(rows: pd.DataFrame) -> pd.DataFrame:
    """The same rows with months as periods and values as numbers; what cannot be read becomes missing."""
    months = pd.to_datetime(rows["month"].astype(str), format="%Y-%m", errors="coerce").dt.to_period("M")
    return rows.assign(month=months, value=pd.to_numeric(rows["value"], errors="coerce").astype(float))


def _schema(rows: pd.DataFrame) -> Iterator[Finding]:
    import pandera.pandas as pa  # seconds to import

    def column(check: str, holds: Callable[[pd.Series], pd.Series], nullable: bool = False) -> object:
        return pa.Column(checks=pa.Check(holds, error=check), nullable=nullable)

    values = {"number": _is_number, "finite": _is_finite, "negative": _is_not_negative}
    schema = pa.DataFrameSchema(
        {
            "series": column("text", _is_text),
            "month": column("month", lambda months: months.astype(str).str.fullmatch(MONTH.pattern)),
            "value": pa.Column(checks=[pa.Check(holds, error=check) for check, holds in values.items()]),
            "unit": column("text", _is_text),
            "stage": column("stage", lambda stages: stages.isin(STAGES)),
            "std_error": column("std_error", lambda errors: _numbers(errors) > 0, nullable=True),
        }
    )
    try:
        schema.validate(rows, lazy=True)
    except pa.errors.SchemaErrors as broken:
        yield from _failures(broken.failure_cases, rows)


def _numbers(column: pd.Series) -> pd.Series:
    return pd.to_numeric(column, errors="coerce").astype(float)


def _is_text(column: pd.Series) -> pd.Series:
    return column.astype(str).str.strip() != ""


def _is_number(column: pd.Series) -> pd.Series:
    return _numbers(column).notna()


def _is_finite(column: pd.Series) -> pd.Series:
    return ~_numbers(column).isin([np.inf, -np.inf])


def _is_not_negative(column: pd.Series) -> pd.Series:
    return ~(_numbers(column) < 0)


def _failures(cases: pd.DataFrame, rows: pd.DataFrame) -> Iterator[Finding]:
    if_empty = {"month": "month", "value": "number", "stage": "stage"}
    for case in cases.to_dict("records"):
        row, column = rows.loc[int(case["index"])], case["column"]
        check = case["check"] if case["check"] in ADVICE else if_empty.get(column, "text")
        found = f"{column} is {row[column]!r}"
        yield Finding("error", check, str(row["series"]), str(row["month"]), found, ADVICE[check])


def _duplicates(typed: pd.DataFrame) -> Iterator[Finding]:
    key = ["series", "month"]
    for (series, month), rows in typed[typed.duplicated(key, keep=False)].groupby(key):
        found = f"{len(rows)} rows: {', '.join(f'{value:g}' for value in rows['value'])}"
        yield Finding("error", "duplicate", str(series), str(month), found, "keep one value per month")


def _units_and_names(typed: pd.DataFrame, catalogue: Catalogue) -> Iterator[Finding]:
    for (series, unit), rows in typed.groupby(["series", "unit"], sort=False):
        month, entry = str(rows["month"].min()), catalogue.get(str(series))
        if entry is None:
            yield Finding(
                "error", "catalogue", str(series), month, "not in the catalogue", "add its row or mend the id"
            )
        elif entry.derived:
            advice = f"leave it out: it is computed as {entry.formula} of {' '.join(entry.terms)}"
            yield Finding("error", "catalogue", str(series), month, "a derived series is stored", advice)
        elif entry.unit != unit:
            found = f"{len(rows)} values in {unit}, the catalogue says {entry.unit}"
            yield Finding("error", "unit", str(series), month, found, "convert where the source is read")
    known = set(typed["series"])
    absent = [one for one in catalogue if not catalogue[one].derived and one not in known]
    if absent:
        found = f"{len(absent)} catalogued series have no data: {_some(absent, 3)}"
        yield Finding("note", "catalogue", "", "", found, "fetch them, or ignore this for a part of the data")


def _some(names: list[str], most: int) -> str:
    return f"{', '.join(names[:most])}{' …' if names[most:] else ''}"


def _fractions(typed: pd.DataFrame) -> Iterator[Finding]:
    # Implied counts come from rounded growth rates and cannot be whole.
    counted = typed["unit"].isin(COUNTED) & ~typed["stage"].isin(COMPUTED_STAGES)
    for row in typed[counted & np.isfinite(typed["value"]) & (typed["value"] % 1 != 0)].to_dict("records"):
        found = f"{row['value']:g} {row['unit']}"
        advice = "counts are whole: check the unit"
        yield Finding("error", "fraction", str(row["series"]), str(row["month"]), found, advice)


def _stale(typed: pd.DataFrame) -> Iterator[Finding]:
    last = typed["month"].max()
    old = typed[(typed["stage"] == "provisional") & (typed["month"] < last - STALE_AFTER)]
    if not old.empty:
        count, series, newest = len(old), old["series"].nunique(), old["month"].max()
        found = f"{count} values of {series} series up to {newest} are provisional still"
        advice = "fetch the detailed or revised figures"
        yield Finding("note", "stale", "", str(old["month"].min()), found, advice)


def _holes(y: pd.DataFrame) -> Iterator[Finding]:
    advice = "fetch them; 0 is 'nothing traded', missing is not"
    for series, column in y.items():
        span = column.loc[column.first_valid_index() : column.last_valid_index()]
        holes = [str(month) for month in span.index[span.isna()]]
        if holes:
            found = f"{len(holes)} missing: {_some(holes, 6)}"
            yield Finding("warning", "hole", str(series), holes[0], found, advice)


def _near(logs: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Decades off the median of a year before and after (T × n); NaN = cannot say."""
    lags = [lag for k in range(1, 13) for lag in (-k, k)]
    median, said = _median_of(logs, lags)
    around = sum(known.shift(lag, fill_value=False).astype(int) for lag in lags)
    # Where most months are zero, a positive one has no neighbours to be compared with.
    return (logs - median).where((said >= 6) & (2 * said >= around))


def _off(logs: pd.DataFrame, known: pd.DataFrame) -> pd.DataFrame:
    """Decades off the year around or the same month of other years, the less (T × n); NaN = cannot say."""
    near = _near(logs, known)
    median, years = _median_of(logs, [lag for k in (12, 24, 36) for lag in (-k, k)])
    alike = (logs - median).where(years >= 2)
    smaller = near.where(near.abs() <= alike.abs(), alike).where(near * alike > 0, 0.0)
    return near.where(alike.isna() | near.isna(), smaller)


def _median_of(logs: pd.DataFrame, lags: list[int]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Median of the values at these distances, and how many are known (T × n each)."""
    stack = np.sort(np.stack([logs.shift(lag).to_numpy() for lag in lags]), axis=0)  # NaN last
    count = np.isfinite(stack).sum(axis=0)
    lower, upper = np.maximum((count - 1) // 2, 0), count // 2
    low, high = (np.take_along_axis(stack, at[None], axis=0)[0] for at in (lower, upper))
    return _like(logs, (low + high) / 2), _like(logs, count)


def _like(table: pd.DataFrame, values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, table.index, table.columns)


def _decades(table: pd.DataFrame) -> pd.DataFrame:
    """Decimal logarithms; NaN for what is not positive."""
    return _like(table, np.log10(table.where(table > 0).to_numpy(dtype=float)))


def _spread(off: pd.DataFrame) -> pd.Series:
    """Robust standard deviation of each column (n)."""
    return 1.4826 * (off - off.median()).abs().median()


def _slips(y: pd.DataFrame, catalogue: Catalogue) -> Iterator[Finding]:
    """Thousand-fold slips. A unit price tells a slip from a real jump, which value and quantity share."""
    logs = _decades(y)
    level, near = _off(logs, y.notna()), _near(logs, y.notna()).fillna(0.0)
    spread, shift, twin = _spread(level), *_twins(logs, y, catalogue)
    for series in y.columns:
        own = level[series]
        doubt = own.abs() > SLIP
        if series in twin:
            off, mine, other = shift[series], near[series], near[twin[series]]
            # Whichever comes nearer to its neighbours when put right slipped; within a decade, either may.
            guilty = (mine - off).abs() + other.abs() <= mine.abs() + (other + off).abs() + 1.0
            slipped = (off.abs() > SLIP) & guilty
            doubt = slipped.where(off.notna(), doubt) | (own.abs() > JOINT_SLIP)
            own = off.where(slipped, own)
        for month in y.index[doubt]:
            yield _slip(str(series), str(month), y[series][month], own[month], spread[series], catalogue)


def _slip(series: str, month: str, value: float, off: float, spread: float, catalogue: Catalogue) -> Finding:
    unit = catalogue[series].unit if series in catalogue else "its unit"
    exact = abs(abs(off) - 3) <= max(0.5, 3 * spread)
    times = f"{10**off:,.0f} times" if off > 0 else f"one {10**-off:,.0f}th of"
    found = f"{value:g} is about {times} what its surroundings or its unit price say"
    plain = "look at the source: a real jump, or another unit?"
    advice = f"read the source's unit again (thousands as {unit}?)" if exact else plain
    return Finding("error" if exact else "warning", "slip", series, month, found, advice)


def _pairs(y: pd.DataFrame, catalogue: Catalogue) -> Iterator[tuple[str, str, str]]:
    """Unit price, value and quantity wherever both are stored."""
    for one in catalogue.values():
        if one.formula == "ratio" and set(one.terms) <= set(y.columns):
            yield (one.id, *one.terms)  # type: ignore[misc]


def _twins(logs: pd.DataFrame, y: pd.DataFrame, catalogue: Catalogue) -> tuple[pd.DataFrame, dict[str, str]]:
    """Decades by which a series is too high if the unit price is its fault (T × n); each one's other."""
    pairs = list(_pairs(y, catalogue))
    price = pd.DataFrame({value: logs[value] - logs[quantity] for _, value, quantity in pairs}, index=y.index)
    known = pd.DataFrame({value: y[value].notna() & y[quantity].notna() for _, value, quantity in pairs}, index=y.index)
    off = _off(price, known) if pairs else price
    twin = {one: other for _, value, quantity in pairs for one, other in ((value, quantity), (quantity, value))}
    return off.assign(**{quantity: -off[value] for _, value, quantity in pairs}), twin


def _price_jumps(y: pd.DataFrame, width: pd.DataFrame, catalogue: Catalogue) -> Iterator[Finding]:
    advice = "another mix of goods, or a wrong value or quantity"
    for name, value, quantity in _pairs(y, catalogue):
        # Prices of a few tonnes say nothing: keep those known to a tenth.
        sure = width[value] / y[value] + width[quantity] / y[quantity] < 0.1
        price = (y[value] / y[quantity]).where(sure).to_frame(name)
        off = _off(_decades(price), price.notna())
        limit = max(PRICE_JUMP, PRICE_SPREADS * _spread(off)[name])
        for month, jump in off[name][off[name].abs() > limit].items():
            found = f"{price[name][month]:.3g} {catalogue[name].unit}: {10.0**jump:.2g} times its surroundings"
            yield Finding("warning", "price", name, str(month), found, advice)


def _half_widths(rows: pd.DataFrame, y: pd.DataFrame) -> pd.DataFrame:
    """How far the true figure may lie from the printed one (T × n)."""
    stage = wide(rows, "stage").reindex_like(y)
    deviation = wide(rows.assign(std_error=_numbers(rows["std_error"])), "std_error").reindex_like(y)
    printed = y.where(~stage.isin(COMPUTED_STAGES))
    width = pd.DataFrame({one: 0.5 * 10.0 ** -_decimals(printed[one].dropna()) for one in y}, index=y.index)
    # Implied = the figure of a year later / (1 + growth), growth printed to a tenth of a percent.
    later = y.shift(-12).where(lambda table: table > 0)
    rate = (y.pow(2) / later * 0.0005).fillna(0.02 * y) + 0.05
    width = width.where(stage != "implied", rate.where(rate > width, width))
    return width.where(deviation.isna(), 3 * deviation.astype(float))


def _decimals(printed: pd.Series) -> int:
    """Decimals of nine tenths of the printed values; a few odd ones do not count."""
    for places in range(3):
        if printed.empty or np.isclose(printed, printed.round(places), rtol=0, atol=1e-9).mean() >= 0.9:
            return places
    return 3


def _identities(y: pd.DataFrame, width: pd.DataFrame, catalogue: Catalogue) -> Iterator[Finding]:
    for parent in (str(one) for one in y.columns if one in catalogue):
        parts = [one for one in catalogue.children(parent) if one in y.columns]
        if parts:
            slack = width[parent] + width[parts].where(y[parts].notna(), 0.0).sum(axis=1)
            yield from _broken(parent, y[parent], y[parts], slack)


def _broken(parent: str, whole: pd.Series, parts: pd.DataFrame, slack: pd.Series) -> Iterator[Finding]:
    """Months in which the known parts exceed the whole, or all parts of a complete list fall short of it."""
    over = parts.sum(axis=1, min_count=1) - whole
    short = whole - parts.sum(axis=1, skipna=False)
    advice = f"compare with {', '.join(parts.columns)}"
    for month in whole.index[over > slack]:
        found = f"its parts exceed it by {over[month]:g}; rounding explains {slack[month]:.3g}"
        yield Finding("error", "identity", parent, str(month), found, advice)
    for month in whole.index[short > slack + COMPLETE.get(parent, np.inf)]:
        found = f"its parts fall short of it by {short[month]:g}, though they are all of it"
        yield Finding("error", "identity", parent, str(month), found, advice)

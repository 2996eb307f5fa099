"""What the picture of scenarios says: levels, changes and totals of each series, which are shown and what is left out.

``plot_scenario`` draws it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.forecast import QUANTILE_COLUMNS
from forecasting.periods import quarter_words
from forecasting.plot_forecast import NOTHING, Pane, by_month, header_of, marks_of, unit_line
from forecasting.plot_layout import clean, wrapped
from forecasting.tables import DIFFERENCE, differences
from forecasting.units import Scale, scale_of

# A page for a minister has seven rows; three series are shown even if unchanged.
MOST_ROWS, FEW = 7, 3
ZERO = 1e-9  # of the largest baseline value: less is rounding
# Inches: width of the words, height of a line of them, width of a digit.
WORDS, LEADING, DIGIT = 3.3, 0.17, 0.066


@dataclass(frozen=True)
class Change:
    """What a scenario does to a series: months (m), differences of those that change, differences of totals."""

    name: str
    place: int
    months: pd.DataFrame
    differences: pd.DataFrame
    totals: pd.DataFrame

    @property
    def start(self) -> pd.Period | None:
        """The first month that is not as in the baseline."""
        return self.differences.index[0] if len(self.differences) else None


@dataclass(frozen=True)
class Row:
    """One series: its levels, what every scenario does to it, and how far that goes beside its own spread."""

    pane: Pane
    unit: str
    changes: tuple[Change, ...]
    spreads: float

    @property
    def changed(self) -> tuple[Change, ...]:
        return tuple(one for one in self.changes if one.start is not None)


def scenarios_of(table: pd.DataFrame) -> list[str]:
    baseline, *names = dict.fromkeys(map(str, table["scenario"])) if len(table) else [""]
    moving = set(differences(table)["scenario"])
    names = [one for one in names if one in moving] or names
    if not names or not table["kind"].str.endswith(DIFFERENCE).any():
        raise DataError(
            f"The table holds {baseline or 'nothing'} without a scenario and its differences: run a scenario first."
        )
    return names


def row_of(
    series: str,
    history: pd.DataFrame,
    stages: pd.DataFrame | None,
    table: pd.DataFrame,
    names: Sequence[str],
    catalogue: Catalogue,
) -> Row:
    rows = table[table["series"] == series]
    # Growth rows stand in the same table in a unit of their own.
    unit = str(rows["unit"].iloc[0])
    rows = rows[rows["unit"] == unit]
    baseline = rows[rows["scenario"] == table["scenario"].iloc[0]]
    months = _months(baseline, "month")
    least = ZERO * float(baseline["mean"].abs().max())
    changes = tuple(_change(rows[rows["scenario"] == one], one, at, least) for at, one in enumerate(names))
    known = history.get(series, NOTHING).dropna()
    known = known if known.empty else known.loc[known.index[-1] - (24 if len(months) <= 12 else 36) + 1 :]
    levels = [months, *(one.months for one in changes)]
    scale = scale_of(unit, [*known, *(value for one in levels for value in one["q50"])])
    pane = Pane(
        clean(catalogue[series].title if series in catalogue else series),
        _levels_note(baseline, rows, changes, unit),
        unit_line(scale, unit),
        known,
        marks_of(known, stages),
        (("baseline", months), *((one.name, fan_months(one)) for one in changes if one.start is not None)),
        scale,
    )
    return Row(pane, unit, changes, max((_spreads(one, months) for one in changes), default=0.0))


def _months(rows: pd.DataFrame, kind: str) -> pd.DataFrame:
    return by_month(rows[(rows["kind"] == kind) & (rows["step"] >= 1)]).dropna(subset="q50")


def _change(rows: pd.DataFrame, name: str, place: int, least: float) -> Change:
    totals = rows[rows["kind"].isin(["quarter" + DIFFERENCE, "fiscal_year" + DIFFERENCE])]
    return Change(
        name,
        place,
        _months(rows, "month"),
        _differing(_months(rows, "month" + DIFFERENCE), least),
        _differing(totals.dropna(subset="q50"), least),
    )


def _differing(rows: pd.DataFrame, least: float) -> pd.DataFrame:
    return rows[(rows[["mean", *QUANTILE_COLUMNS]].abs() > least).any(axis=1)]


def fan_months(change: Change) -> pd.DataFrame:
    """Months of the scenario from the last one that is as in the baseline."""
    assert change.start is not None
    return change.months.loc[change.start - 1 :]


def _spreads(change: Change, baseline: pd.DataFrame) -> float:
    """The largest monthly difference in widths of the baseline's 80 % interval."""
    width = (baseline["q90"] - baseline["q10"]).reindex(change.differences.index)
    floor = ZERO * float(baseline["q50"].abs().max() or 1.0)
    return float((change.differences["q50"].abs() / width.clip(lower=floor)).max()) if len(width.dropna()) else 0.0


def _levels_note(baseline: pd.DataFrame, rows: pd.DataFrame, changes: tuple[Change, ...], unit: str) -> str:
    """The first quarter that changes: its total with the scenario, and without."""
    period = next(iter(_touched(changes, "quarter")), None)
    quarters = baseline[baseline["kind"] == "quarter"].dropna(subset="q50")
    before = quarters[quarters["period"] == period] if period else quarters.iloc[-1:]
    if before.empty:
        return ""
    low, middle, high = (float(before[column].iloc[0]) for column in ("q10", "q50", "q90"))
    scale = scale_of(unit, [low, middle, high])
    named = quarter_words(before["period"].iloc[0])
    plain = f"{named}, baseline: {scale.text(middle)} (80 %: {scale.number(low)} to {scale.number(high)})"
    if len(changes) > 1 or not period:
        return _minus(plain)
    after = rows[(rows["scenario"] == changes[0].name) & (rows["kind"] == "quarter") & (rows["period"] == period)]
    if after["q50"].isna().all():
        return _minus(plain)
    low, other, high = (float(after[column].iloc[0]) for column in ("q10", "q50", "q90"))
    interval = f"(80 %: {scale.number(low)} to {scale.number(high)})"
    return _minus(f"{named}: {scale.text(other)} {interval} instead of {scale.number(middle)}")


# --- What is shown, and what is said to be left out


def drawn_rows(rows: dict[str, Row]) -> list[str]:
    changed = [one for one, row in rows.items() if row.changed]
    wanted = changed if changed and len(rows) > FEW else list(rows)
    # Wholes first: who reads a chart of exports' parts wants the exports.
    strongest = sorted(wanted, key=lambda one: (one.count(".") > 2, -rows[one].spreads))[:MOST_ROWS]
    return [one for one in rows if one in strongest]


def left_out(rows: dict[str, Row], drawn: Sequence[str]) -> Iterator[str]:
    rest = [row for one, row in rows.items() if one not in drawn]
    yield from named("Unchanged", [row.pane.title for row in rest if not row.changed])
    smaller = [row.pane.title for row in rest if row.changed]
    yield from named("Not drawn, because they change less beside their own spread", smaller)


def named(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield clean(f"{what} ({len(names)}): {'; '.join(names)}.")


def scenario_header(table: pd.DataFrame, names: Sequence[str]) -> tuple[str, str]:
    its, title = ("its", "Scenario: ") if len(names) == 1 else ("their", "Scenarios: ")
    _, data = header_of(table)
    if len(names) == 1 and names[0].startswith("mixture"):
        return clean(names[0].capitalize()), f"Each scenario as often as it is probable. {data}"
    return clean(title + ", ".join(names)), f"If {its} assumptions come true, not a forecast that they will. {data}"


def reading_note(rows: list[Row]) -> str:
    alone = all(len(row.changes) == 1 for row in rows)
    bars = "bars: 80 and 95 % intervals" if alone else "bars or bands: 80 % intervals"
    years = sorted({one for row in rows for one in _touched(row.changed, "fiscal_year")})
    named = f" {years[0]} is April {years[0][2:]} to March {int(years[0][2:]) + 1}." if years else ""
    return (
        "Differences: scenario minus baseline on the same random numbers; marks or lines: medians"
        f" (not the difference of medians); {bars}.{named}"
    )


# --- Totals in words


@dataclass(frozen=True)
class Line:
    """A line of words: a mark of which scenario (or none), what, how much."""

    what: str
    much: str = ""
    place: int | None = None


def by_weight(changes: Sequence[Change]) -> list[str]:
    """Quarters and fiscal years, one about the other, those first that most of these change."""
    quarters, years = _touched(changes, "quarter"), _touched(changes, "fiscal_year")
    return [*quarters[:1], *years[:1], *quarters[1:], *years[1:]]


def _touched(changes: Sequence[Change], kind: str) -> list[str]:
    """Periods of a kind by how many scenarios change them (most first), then by date."""
    parts = [one.totals.loc[one.totals["kind"] == kind + DIFFERENCE, "period"] for one in changes]
    counts = pd.concat(parts).astype(str).value_counts().sort_index() if parts else pd.Series(dtype=int)
    return list(counts.sort_values(ascending=False, kind="stable").index)


def lines_of(row: Row, periods: Sequence[str], room: int) -> list[Line]:
    """The differences of totals, of the weightiest periods if there is no room for all."""
    touched = [one for one in periods if any((change.totals["period"] == one).any() for change in row.changed)]
    if not touched and row.changed:
        return [Line("no quarter that changes ends in the months shown")]
    if len(row.changes) == 1:
        return _one_scenario(row, sorted(touched[: room - 1], key=_in_order))
    blocks = touched[: (room + 1) // (len(row.changes) + 2)] or touched[:1]
    lines = [line for one in sorted(blocks, key=_in_order) for line in (Line(""), *_block(row, one))]
    return lines[1:]


def _in_order(period: str) -> tuple[bool, str]:
    return period.startswith("FY"), period


def _one_scenario(row: Row, periods: list[str]) -> list[Line]:
    if not periods:
        return []
    change = row.changed[0]
    totals = [change.totals[change.totals["period"] == one].iloc[0] for one in periods]
    bounds = np.array([[float(one["q10"]), float(one["q90"])] for one in totals])
    scale = readable_scale(row.unit, np.array([float(one["q50"]) for one in totals]), bounds)
    lines = [
        Line(_period(period), _much(total, scale), change.place) for period, total in zip(periods, totals, strict=True)
    ]
    return [Line(f"difference of totals, {scale.label} (80 % interval)"), *lines]


def _block(row: Row, period: str) -> list[Line]:
    """One period: a line a scenario."""
    totals = [one.totals[one.totals["period"] == period] for one in row.changes]
    every = pd.concat(totals)
    scale = readable_scale(row.unit, every["q50"].to_numpy(dtype=float), every[["q10", "q90"]].to_numpy(dtype=float))
    lines = [Line(f"difference, {_period(period)}, {scale.label} (80 % interval)")]
    for change, total in zip(row.changes, totals, strict=True):
        much = _much(total.iloc[0], scale) if len(total) else "no change"
        name = "".join(wrapped(clean(change.name), WORDS - 0.26 - DIGIT * len(much), 8, 1))
        lines.append(Line(name, much, change.place))
    return lines


def _much(rows: pd.Series, scale: Scale) -> str:
    size = abs(float(rows["q50"]) * scale.factor)
    # A small difference beside large ones is not written as nothing.
    fine = replace(scale, decimals=max(scale.decimals, min(math.ceil(-math.log10(size)), 6))) if size else scale
    low, middle, high = (signed(fine, float(rows[one])) for one in ("q10", "q50", "q90"))
    return f"{middle} ({low} to {high})"


def _period(period: str) -> str:
    return period if period.startswith("FY") else quarter_words(period)


def readable_scale(unit: str, medians: np.ndarray, bounds: np.ndarray) -> Scale:
    """The scale on which the largest of these medians is readable, or the farthest bound where all are zero."""
    most = float(np.abs(medians).max())
    return scale_of(unit, [most or float(np.abs(bounds).max())])


def _minus(text: str) -> str:
    return text.replace("-", "−")


def signed(scale: Scale, value: float) -> str:
    number = scale.number(value)
    rises = value > 0 and any(digit in number for digit in "123456789")
    return f"+{number}" if rises else _minus(number)

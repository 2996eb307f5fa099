"""Charts of histories and forecasts, one panel a series.

Colours are shades of Okabe and Ito's palette, which colour-blind readers tell apart. matplotlib is imported
inside the functions: it takes half a second, and most commands draw nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.periods import quarter_words
from forecasting.plot_layout import (
    BLUE,
    GREY,
    INK,
    PALE,
    Grid,
    blank,
    clean,
    styled,
    write_axes,
    write_frame,
    write_titles,
)
from forecasting.units import Scale, percent, say, scale_of

FANS = (
    ("q025", "q975", "#dbe9f4", "95 %"),
    ("q10", "q90", "#b0d0e8", "80 %"),
    ("q25", "q75", "#7fb2d9", "50 %"),
)
OTHER_MEDIANS = ("#d55e00", "#009e73", "#cc79a7", "#e69f00")
STAGE_MARKS: dict[str, tuple[str, dict[str, Any]]] = {
    "provisional": ("provisional", {"marker": "o", "markerfacecolor": "white", "markeredgecolor": INK}),
    "implied": ("implied or rebuilt", {"marker": "s", "markerfacecolor": PALE, "markeredgecolor": GREY}),
}
SAME_MARK = {"nine_digit": "provisional", "reconstructed": "implied", "published_in_press": "implied"}
# How far a fan may rise above history and medians, as a multiple of their height.
REACH = 1.5
NOTHING = pd.Series(dtype=float, index=pd.PeriodIndex([], freq="M"))


@dataclass(frozen=True)
class Pane:
    """One picture of the chart: history and forecasts (or none) of a series on one scale."""

    title: str
    note: str
    unit: str
    known: pd.Series
    marks: pd.Series
    scenarios: tuple[tuple[str, pd.DataFrame], ...]
    scale: Scale


def forecast_figure(
    history: pd.DataFrame,
    stages: pd.DataFrame | None,
    table: pd.DataFrame,
    catalogue: Catalogue,
    source_line: str,
) -> Any:
    """The forecast of every series of a table (FORECAST_COLUMNS) after its history, as a matplotlib figure.

    ``history`` and ``stages`` (or none) are months × series. DataError if the table holds no series.
    """
    series = list(dict.fromkeys(table["series"]))
    if not series:
        raise DataError("The forecast table holds no series: there is nothing to draw.")
    panels = [_panel(one, history, stages, table, catalogue) for one in series]
    return _drawn(panels, header_of(table), source_line)


def series_figure(rows: pd.DataFrame, entry: Series, source_line: str) -> Any:
    """All observations of one series (long), stages marked, as a matplotlib figure."""
    known = pd.Series(rows["value"].to_numpy(dtype=float), pd.PeriodIndex(rows["month"], freq="M"))
    known = known.dropna().sort_index()
    if known.empty:
        raise DataError(f"{entry.id} has no value: there is nothing to draw.")
    marks = pd.Series(rows["stage"].to_numpy(), pd.PeriodIndex(rows["month"], freq="M")).map(mark_of)
    scale = scale_of(entry.unit, known.tolist())
    pane = Pane("", _last_note(known, entry), unit_line(scale, entry.unit), known, marks, (), scale)
    return _drawn([pane], (clean(entry.title), _span_line(known, entry)), source_line)


def _drawn(panels: list[Pane], header: tuple[str, str], source_line: str) -> Any:
    with styled():
        handles = list(_legend(panels))
        grid = Grid.of([panel.title for panel in panels], legend=bool(handles))
        figure = blank(grid.size, 150 if len(panels) <= 16 else 110)
        for at, panel in enumerate(panels):
            _draw(figure.add_axes(grid.box(at)), panel, grid)
        write_frame(figure, grid, header, clean(source_line), handles)
        return figure


# --- What a panel shows


def _panel(
    series: str, history: pd.DataFrame, stages: pd.DataFrame | None, table: pd.DataFrame, catalogue: Catalogue
) -> Pane:
    rows = table[table["series"] == series]
    # Growth rows stand in the same table in a unit of their own.
    rows = rows[rows["unit"] == rows["unit"].iloc[0]]
    # The model stands in the header, unless several are compared.
    names = ["scenario", "model"] if table["model"].nunique() > 1 else ["scenario"]
    scenarios = [(" ".join(map(str, name)), part) for name, part in rows.groupby(names, sort=False)]
    months = [part[(part["kind"] == "month") & (part["step"] >= 1)] for _, part in scenarios]
    known = _window(history.get(series, NOTHING).dropna(), len(months[0]))
    unit, title = str(rows["unit"].iloc[0]), catalogue[series].title if series in catalogue else series
    shown = np.concatenate([known.to_numpy(dtype=float), *(part["q50"].to_numpy(dtype=float) for part in months)])
    scale = scale_of(unit, shown.tolist())
    return Pane(
        clean(title),
        _quarter_note(scenarios[0][1], unit),
        unit_line(scale, unit),
        known,
        marks_of(known, stages),
        tuple((name, by_month(part)) for (name, _), part in zip(scenarios, months, strict=True)),
        scale,
    )


def marks_of(known: pd.Series, stages: pd.DataFrame | None) -> pd.Series:
    """The mark of every published month (T) of the series that ``known`` is named after."""
    series = known.name
    marks = stages[series].reindex(known.index) if stages is not None and series in stages else known.map(str)
    return marks.map(mark_of)


def mark_of(stage: object) -> str:
    """The mark of a stage; what is computed of several wears that of the least certain."""
    marks = [SAME_MARK.get(one, one) for one in str(stage).split(" and ")]
    return next((one for one in ("implied", "provisional") if one in marks), marks[0])


def unit_line(scale: Scale, unit: str) -> str:
    rate = "" if "/" in unit or scale.label.startswith("%") or not scale.label else " a month"
    return clean(f"{scale.label}{rate}")


def _last_note(known: pd.Series, entry: Series) -> str:
    """The last value and, unless it is a balance, its change on a year earlier."""
    month, value = known.index[-1], float(known.iloc[-1])
    before = float(known.get(month - 12, math.nan))
    change = 100 * (value / before - 1) if before > 0 and entry.formula != "difference" else math.nan
    grown = f", {percent(change)} on a year earlier" if math.isfinite(change) else ""
    return clean(f"{month.strftime('%B %Y')}: {say(entry.unit, value)}{grown}")


def _span_line(known: pd.Series, entry: Series) -> str:
    first, last = (one.strftime("%B %Y") for one in (known.index[0], known.index[-1]))
    gaps = (known.index[-1] - known.index[0]).n + 1 - len(known)
    missing = f", {gaps} month{'s' * (gaps != 1)} missing" if gaps else ""
    made = "computed from published figures" if entry.derived else ""
    return clean("; ".join(filter(None, [f"{first} to {last}{missing}", made, entry.publisher])))


def _window(known: pd.Series, horizon: int) -> pd.Series:
    # Three years show the season three times; long histories also show where the level comes from.
    months = max(36, 3 * horizon) if len(known) < 96 else max(48, 3 * horizon)
    return known if known.empty else known.loc[known.index[-1] - months + 1 :]


def by_month(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.set_index(pd.PeriodIndex(rows["period"].astype(str), freq="M"))


def _quarter_note(rows: pd.DataFrame, unit: str) -> str:
    """The next quarter that lies wholly ahead: its total and 80 % interval, in words."""
    quarters = rows[rows["kind"] == "quarter"]
    full = quarters[quarters["observed_months"] == 0]
    known = (full if len(full) else quarters).dropna(subset="q50")
    if known.empty:
        return ""
    period, low, middle, high = known.iloc[0][["period", "q10", "q50", "q90"]]
    scale = scale_of(unit, [low, middle, high])
    return f"{quarter_words(period)}: {scale.text(middle)} (80 %: {scale.number(low)} to {scale.number(high)})"


def header_of(table: pd.DataFrame) -> tuple[str, str]:
    cutoffs = [pd.Period(one, "M").strftime("%B %Y") for one in sorted({str(one) for one in table["cutoff"]})]
    upto = cutoffs[0] if len(cutoffs) == 1 else f"{cutoffs[0]} to {cutoffs[-1]}, by series"
    models = ", ".join(dict.fromkeys(map(str, table["model"])))
    return "Outlook for monthly trade", clean(f"Published data until {upto}; model: {models}")


# --- Drawing


def _draw(axes: Any, panel: Pane, grid: Grid) -> None:
    draw_history(axes, panel)
    if panel.scenarios:
        _fans(axes, panel, panel.scenarios[0][1])
    else:  # the value of which the note speaks
        axes.plot(*_last(panel), marker="o", markersize=5, color=BLUE, zorder=6, clip_on=False)
    for (_, rows), colour in zip(panel.scenarios[1:], OTHER_MEDIANS, strict=False):
        axes.plot(*line_of(panel, rows), color=colour, linewidth=1.5, linestyle=(0, (4, 1.5)), zorder=5)
    leaves = set_limits(axes, panel)
    months = [ordinals(panel.known), *(ordinals(rows) for _, rows in panel.scenarios)]
    write_axes(axes, grid.width, np.concatenate(months).tolist())
    warning = "; the intervals reach beyond the picture" if leaves else ""
    write_titles(axes, grid.width, panel.title, panel.note, panel.unit + warning)


def ordinals(table: pd.DataFrame | pd.Series) -> np.ndarray:
    """The months of the index as numbers."""
    return pd.PeriodIndex(table.index).asi8


def _fans(axes: Any, panel: Pane, rows: pd.DataFrame) -> None:
    for low, high, colour, _ in FANS:
        at, lower = line_of(panel, rows, low)
        axes.fill_between(at, lower, line_of(panel, rows, high)[1], color=colour, linewidth=0, zorder=2)
    axes.plot(*line_of(panel, rows), color=BLUE, linewidth=1.8, zorder=4)
    if len(rows):
        axes.axvline(rows.index[0].ordinal - 0.5, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)


def line_of(panel: Pane, rows: pd.DataFrame, column: str = "q50") -> tuple[np.ndarray, np.ndarray]:
    """Month numbers and scaled values, from the last published value on, so that the fan opens there."""
    at, values = ordinals(rows).astype(float), rows[column].to_numpy(dtype=float)
    if len(panel.known) and len(rows) and panel.known.index[-1] == rows.index[0] - 1:
        at, values = np.append(at[0] - 1, at), np.append(panel.known.iloc[-1], values)
    return at, values * panel.scale.factor


def _last(panel: Pane) -> tuple[list[int], list[float]]:
    return [panel.known.index[-1].ordinal], [float(panel.known.iloc[-1]) * panel.scale.factor]


def draw_history(axes: Any, panel: Pane) -> None:
    if panel.known.empty:
        return
    months = pd.period_range(panel.known.index[0], panel.known.index[-1], freq="M")
    values = panel.known.reindex(months).to_numpy(dtype=float) * panel.scale.factor  # a gap stays a gap
    axes.plot(months.asi8, values, color=INK, linewidth=1.2, zorder=3)
    known = np.pad(np.isfinite(values), 1)
    lone = known[1:-1] & ~known[:-2] & ~known[2:]  # a line needs a neighbour
    axes.plot(months.asi8[lone], values[lone], linestyle="none", marker=".", markersize=4, color=INK, zorder=3)
    for stage, (_, mark) in STAGE_MARKS.items():
        here = (panel.marks.reindex(months) == stage).to_numpy()
        axes.plot(
            months.asi8[here],
            values[here],
            linestyle="none",
            markersize=3.0,
            markeredgewidth=0.7,
            zorder=3.5,
            clip_on=False,
            **mark,
        )


def set_limits(axes: Any, panel: Pane, fans: int = 1) -> bool:
    """Set the height of the picture for the medians and the first fans; true when a fan leaves it."""
    rows = [rows for _, rows in panel.scenarios]
    lines = np.concatenate([panel.known.to_numpy(dtype=float), *(one["q50"].to_numpy(dtype=float) for one in rows)])
    lines = lines[np.isfinite(lines)] * panel.scale.factor
    if not len(lines):
        return False
    ends = [one[["q025", "q975"]].to_numpy(dtype=float).ravel() for one in rows[:fans]]
    fan = np.concatenate([lines, *(one * panel.scale.factor for one in ends)])
    # A fan of a hundred times the history would press it flat, so that nothing could be read.
    reach = REACH * ((float(lines.max()) - min(float(lines.min()), 0.0)) or math.inf)
    low, high = (
        max(float(fan.min()), float(lines.min()) - reach),
        min(float(fan.max()), float(lines.max()) + reach),
    )
    leaves = low > fan.min() or high < fan.max()
    if 0 <= low < 0.6 * high:
        low = 0.0
    room = 0.06 * ((high - low) or abs(high) or 1.0)
    axes.set_ylim(0.0 if low == 0 else low - room, high + room)
    return bool(leaves)


# --- The legend


def _legend(panels: list[Pane]) -> Iterator[Any]:
    from matplotlib.lines import Line2D

    scenarios = max((panel.scenarios for panel in panels), key=len)
    present = {stage for panel in panels for stage in panel.marks}
    marked = [one for stage, one in STAGE_MARKS.items() if stage in present]
    if scenarios or marked:  # a line alone needs no name
        yield Line2D([], [], color=INK, linewidth=1.2, label="published")
    for name, mark in marked:
        yield Line2D([], [], color=INK, linewidth=1.2, markersize=3.5, label=name, **mark)
    if scenarios:
        yield from _forecast_legend([name for name, _ in scenarios])


def _forecast_legend(scenarios: list[str]) -> Iterator[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    first, *others = map(clean, scenarios)
    yield Line2D([], [], color=BLUE, linewidth=1.8, label=first if others else "median")
    for _, _, colour, name in reversed(FANS):
        yield Patch(facecolor=colour, label=f"{name} interval")
    yield Line2D([], [], color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), label="end of data")
    for name, colour in zip(others, OTHER_MEDIANS, strict=False):
        yield Line2D([], [], color=colour, linewidth=1.5, linestyle=(0, (4, 1.5)), label=name)

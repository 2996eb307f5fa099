"""Charts of forecasts: history, median and fans, one panel a series, as PNG or SVG always in the same bytes.

Colours are shades of Okabe and Ito's palette, which colour-blind readers tell apart. matplotlib is imported
inside the functions: it takes half a second, and most commands draw nothing.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.store import write_bytes
from forecasting.units import Scale, scale_of

FORMS = {".png": "png", ".svg": "svg"}
INK, GREY, PALE = "#222222", "#6b6b6b", "#dddddd"
MEDIAN = "#0072b2"
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
# Sizes in inches.
MARGIN, LEFT, GAP_X, BETWEEN, HEADER, FOOTER, LINE = 0.3, 0.5, 0.65, 0.4, 1.1, 0.5, 0.19
# How far a fan may rise above history and medians, as a multiple of their height.
REACH = 1.5
NOTHING = pd.Series(dtype=float, index=pd.PeriodIndex([], freq="M"))
FALLBACK_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "IPAexGothic",
    "Hiragino Sans",
    "Yu Gothic",
    "MS Gothic",
)


@dataclass(frozen=True)
class Pane:
    """One picture of the chart: history and forecast of a series on one scale."""

    title: str
    note: str
    unit: str
    known: pd.Series
    marks: pd.Series
    scenarios: tuple[tuple[str, pd.DataFrame], ...]
    scale: Scale


@dataclass(frozen=True)
class Grid:
    """Where the panels stand, in inches."""

    columns: int
    rows: int
    width: float
    height: float
    head: float

    @property
    def size(self) -> tuple[float, float]:
        across = 2 * MARGIN + LEFT + self.columns * self.width + (self.columns - 1) * GAP_X
        return across, HEADER + FOOTER + self.rows * (self.head + self.height + BETWEEN)

    def box(self, at: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of a panel as shares of the figure."""
        across, down = self.size
        left = MARGIN + LEFT + (at % self.columns) * (self.width + GAP_X)
        top = HEADER + (at // self.columns) * (self.head + self.height + BETWEEN) + self.head
        return left / across, 1 - (top + self.height) / down, self.width / across, self.height / down


def forecast_chart(
    history: pd.DataFrame,
    stages: pd.DataFrame | None,
    table: pd.DataFrame,
    catalogue: Catalogue,
    source_line: str,
    path: Path,
) -> None:
    """Draw the forecast after its history (months × series; ``stages`` alike) into a .png or .svg file."""
    if path.suffix.lower() not in FORMS:
        raise DataError(f"{path} has no known ending: use {' or '.join(FORMS)}.")
    write_bytes(chart_bytes(history, stages, table, catalogue, source_line, FORMS[path.suffix.lower()]), path)


def chart_bytes(
    history: pd.DataFrame,
    stages: pd.DataFrame | None,
    table: pd.DataFrame,
    catalogue: Catalogue,
    source_line: str,
    form: str,
) -> bytes:
    """The chart as the bytes of a ``png`` or ``svg`` file."""
    import matplotlib
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    series = list(dict.fromkeys(table["series"]))
    if not series:
        raise DataError("The forecast table holds no series: there is nothing to draw.")
    panels = [_panel(one, history, stages, table, catalogue) for one in series]
    grid = _grid(panels)
    with matplotlib.rc_context(_look()):
        figure = Figure(figsize=grid.size, dpi=150 if len(panels) <= 16 else 110)
        FigureCanvasAgg(figure)
        for at, panel in enumerate(panels):
            _draw(figure.add_axes(grid.box(at)), panel, grid)
        _frame(figure, grid, panels, _header(table), _clean(source_line))
        buffer = io.BytesIO()
        metadata = {"Date": None, "Creator": "tradecast"} if form == "svg" else {"Software": "tradecast"}
        figure.savefig(buffer, format=form, metadata=metadata)
    return buffer.getvalue()


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
    marks = stages[series].reindex(known.index) if stages is not None and series in stages else known.map(str)
    unit, title = str(rows["unit"].iloc[0]), catalogue[series].title if series in catalogue else series
    shown = np.concatenate(
        [known.to_numpy(dtype=float), *(part["q50"].to_numpy(dtype=float) for part in months)]
    )
    scale = scale_of(unit, shown.tolist())
    rate = "" if "/" in unit or scale.label.startswith("%") or not scale.label else " a month"
    return Pane(
        _clean(title),
        _quarter_note(scenarios[0][1], unit),
        _clean(f"{scale.label}{rate}"),
        known,
        marks.replace(SAME_MARK),
        tuple((name, _indexed(part)) for (name, _), part in zip(scenarios, months, strict=True)),
        scale,
    )


def _window(known: pd.Series, horizon: int) -> pd.Series:
    # Three years show the season three times; long histories also show where the level comes from.
    months = max(36, 3 * horizon) if len(known) < 96 else max(48, 3 * horizon)
    return known if known.empty else known.loc[known.index[-1] - months + 1 :]


def _indexed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.set_index(pd.PeriodIndex(rows["period"].astype(str), freq="M"))


def _ordinals(table: pd.DataFrame | pd.Series) -> np.ndarray:
    """The months of the index as numbers."""
    return pd.PeriodIndex(table.index).asi8


def _quarter_note(rows: pd.DataFrame, unit: str) -> str:
    """The next quarter that lies wholly ahead: its total and 80 % interval, in words."""
    quarters = rows[rows["kind"] == "quarter"]
    full = quarters[quarters["observed_months"] == 0]
    known = (full if len(full) else quarters).dropna(subset="q50")
    if known.empty:
        return ""
    period, low, middle, high = known.iloc[0][["period", "q10", "q50", "q90"]]
    scale = scale_of(unit, [low, middle, high])
    return f"{_quarter(period)}: {scale.text(middle)} (80 %: {scale.number(low)} to {scale.number(high)})"


def _quarter(period: object) -> str:
    year, _, quarter = str(period).partition("Q")
    return f"{('Jan–Mar', 'Apr–Jun', 'Jul–Sep', 'Oct–Dec')[int(quarter) - 1]} {year}"


def _header(table: pd.DataFrame) -> tuple[str, str]:
    cutoffs = [pd.Period(one, "M").strftime("%B %Y") for one in sorted({str(one) for one in table["cutoff"]})]
    upto = cutoffs[0] if len(cutoffs) == 1 else f"{cutoffs[0]} to {cutoffs[-1]}, by series"
    models = ", ".join(dict.fromkeys(map(str, table["model"])))
    return "Outlook for monthly trade", _clean(f"Published data until {upto}; model: {models}")


def _clean(text: str) -> str:
    # Control characters are not allowed in SVG, and a line break would leave the line.
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", text).split())


# --- Where it stands


def _grid(panels: list[Pane]) -> Grid:
    columns = next(many for most, many in ((1, 1), (4, 2), (9, 3), (math.inf, 4)) if len(panels) <= most)
    width, height = {1: (8.2, 3.9), 2: (5.6, 2.7), 3: (4.4, 2.2), 4: (4.0, 1.9)}[columns]
    lines = max(len(_title_lines(panel.title, width)) for panel in panels)
    return Grid(columns, math.ceil(len(panels) / columns), width, height, (lines + 2) * LINE + 0.14)


def _title_lines(title: str, width: float) -> list[str]:
    # A bold letter of 10 points takes about 0.079 inch; Japanese letters take twice that.
    wide = 1 + sum(ord(letter) > 0x2E7F for letter in title) / max(len(title), 1)
    return textwrap.wrap(title, int((width + LEFT) / 0.079 / wide), max_lines=2, placeholder=" …") or [""]


def _look() -> dict[str, Any]:
    from matplotlib.font_manager import fontManager

    present = set(fontManager.get_font_names())
    return {
        "font.family": ["DejaVu Sans", *(one for one in FALLBACK_FONTS if one in present)],
        "font.size": 8.5,
        "text.parse_math": False,  # a "$" in a title is a dollar
        "text.usetex": False,
        "svg.hashsalt": "tradecast",
        "svg.fonttype": "path",
        "axes.unicode_minus": True,
        "path.simplify": True,
    }


# --- Drawing


def _draw(axes: Any, panel: Pane, grid: Grid) -> None:
    _fans(axes, panel)
    _history(axes, panel)
    for (_, rows), colour in zip(panel.scenarios[1:], OTHER_MEDIANS, strict=False):
        axes.plot(*_line(panel, rows), color=colour, linewidth=1.5, linestyle=(0, (4, 1.5)), zorder=5)
    leaves = _limits(axes, panel)
    _axes(axes, panel)
    _titles(axes, panel, grid, "; the intervals reach beyond the picture" if leaves else "")


def _fans(axes: Any, panel: Pane) -> None:
    rows = panel.scenarios[0][1]
    for low, high, colour, _ in FANS:
        at, lower = _line(panel, rows, low)
        axes.fill_between(at, lower, _line(panel, rows, high)[1], color=colour, linewidth=0, zorder=2)
    axes.plot(*_line(panel, rows), color=MEDIAN, linewidth=1.8, zorder=4)
    if len(rows):
        axes.axvline(rows.index[0].ordinal - 0.5, color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)


def _line(panel: Pane, rows: pd.DataFrame, column: str = "q50") -> tuple[np.ndarray, np.ndarray]:
    """Month numbers and scaled values, from the last published value on, so that the fan opens there."""
    at, values = _ordinals(rows).astype(float), rows[column].to_numpy(dtype=float)
    if len(panel.known) and len(rows) and panel.known.index[-1] == rows.index[0] - 1:
        at, values = np.append(at[0] - 1, at), np.append(panel.known.iloc[-1], values)
    return at, values * panel.scale.factor


def _history(axes: Any, panel: Pane) -> None:
    if panel.known.empty:
        return
    months = pd.period_range(panel.known.index[0], panel.known.index[-1], freq="M")
    values = panel.known.reindex(months).to_numpy(dtype=float) * panel.scale.factor  # a gap stays a gap
    axes.plot(months.asi8, values, color=INK, linewidth=1.2, zorder=3)
    known = np.pad(np.isfinite(values), 1)
    lone = known[1:-1] & ~known[:-2] & ~known[2:]  # a line needs a neighbour
    axes.plot(
        months.asi8[lone], values[lone], linestyle="none", marker=".", markersize=4, color=INK, zorder=3
    )
    for stage, (_, mark) in STAGE_MARKS.items():
        here = (panel.marks.reindex(months) == stage).to_numpy()
        axes.plot(
            months.asi8[here],
            values[here],
            linestyle="none",
            markersize=3.0,
            markeredgewidth=0.7,
            zorder=3.5,
            **mark,
        )


def _limits(axes: Any, panel: Pane) -> bool:
    """Set the height of the picture; true when a fan leaves it."""
    rows = [rows for _, rows in panel.scenarios]
    lines = np.concatenate(
        [panel.known.to_numpy(dtype=float), *(one["q50"].to_numpy(dtype=float) for one in rows)]
    )
    lines = lines[np.isfinite(lines)] * panel.scale.factor
    if not len(lines):
        return False
    fan = np.append(rows[0][["q025", "q975"]].to_numpy(dtype=float) * panel.scale.factor, lines)
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


def _axes(axes: Any, panel: Pane) -> None:
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color=PALE, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(axis="both", colors=GREY, length=0, labelsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, min_n_ticks=3))
    axes.yaxis.set_major_formatter(FuncFormatter(_plain_number(axes)))
    numbers = [*_ordinals(panel.known), *(one for _, rows in panel.scenarios for one in _ordinals(rows))]
    if numbers:
        _months_axis(axes, min(numbers), max(numbers))


def _plain_number(axes: Any) -> Callable[[float, int], str]:
    def text(value: float, _: int) -> str:
        ticks = axes.yaxis.get_majorticklocs()
        step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else abs(value) or 1.0
        decimals = next((many for many in range(6) if math.isclose(step, round(step, many), rel_tol=1e-6)), 6)
        return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")

    return text


def _months_axis(axes: Any, first: int, last: int) -> None:
    """A tick at every January, the year in the middle of its months; quarters when the span is short."""
    axes.set_xlim(first - 0.8, last + 0.8)
    span = pd.period_range(pd.Period(ordinal=first, freq="M"), pd.Period(ordinal=last, freq="M"), freq="M")
    if len(span) < 20:
        at = [one for one in span if one.month % 3 == 1]
        axes.set_xticks([one.ordinal for one in at], [one.strftime("%b %Y") for one in at])
        axes.tick_params(axis="x", length=3)
        return
    axes.set_xticks([one.ordinal - 0.5 for one in span if one.month == 1], minor=True)
    axes.tick_params(axis="x", which="minor", length=9, color=PALE, width=0.8)
    years = span.to_series().groupby(span.year)
    every = 1 if len(span) <= 84 else math.ceil(len(span) / 84)
    middles = [
        (year, _ordinals(part).mean()) for year, part in years if len(part) >= 4 * every or len(part) == 12
    ]
    kept = [one for one in middles if one[0] % every == 0]
    axes.set_xticks([at for _, at in kept], [str(year) for year, _ in kept])


def _titles(axes: Any, panel: Pane, grid: Grid, warning: str) -> None:
    def above(inches: float, text: str, **look: Any) -> None:
        axes.annotate(
            text, (0, 1), xycoords="axes fraction", xytext=(-LEFT * 72, inches * 72),
            textcoords="offset points", ha="left", va="baseline", annotation_clip=False, **look,
        )  # fmt: skip

    above(0.10, panel.unit + warning, color=GREY, fontsize=8)
    above(0.10 + LINE, panel.note, color=MEDIAN, fontsize=8.5)
    for up, line in enumerate(reversed(_title_lines(panel.title, grid.width))):
        above(0.12 + (2 + up) * LINE, line, color=INK, fontsize=10, fontweight="bold")


# --- Around the panels


def _frame(figure: Any, grid: Grid, panels: list[Pane], header: tuple[str, str], source_line: str) -> None:
    across, down = grid.size
    left = MARGIN / across
    figure.text(left, 1 - 0.33 / down, header[0], fontsize=13, fontweight="bold", color=INK, va="baseline")
    figure.text(left, 1 - 0.54 / down, header[1], fontsize=9, color=GREY, va="baseline")
    figure.text(left, 0.16 / down, source_line, fontsize=8, color=GREY, va="baseline")
    handles = list(_legend(panels))
    inches = sum(0.55 + 0.066 * len(one.get_label()) for one in handles)
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(left, 1 - 0.68 / down), frameon=False, fontsize=8,
        ncols=len(handles) if inches < across - MARGIN else math.ceil(len(handles) / 2), labelcolor=INK,
        handlelength=1.5, columnspacing=1.4, borderpad=0, borderaxespad=0, handletextpad=0.5,
    )  # fmt: skip


def _legend(panels: list[Pane]) -> Iterator[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    yield Line2D([], [], color=INK, linewidth=1.2, label="published")
    for stage, (name, mark) in STAGE_MARKS.items():
        if any((panel.marks == stage).any() for panel in panels):
            yield Line2D([], [], color=INK, linewidth=1.2, markersize=3.5, label=name, **mark)
    many = max((panel.scenarios for panel in panels), key=len)
    yield Line2D([], [], color=MEDIAN, linewidth=1.8, label=_clean(many[0][0]) if len(many) > 1 else "median")
    for _, _, colour, name in reversed(FANS):
        yield Patch(facecolor=colour, label=f"{name} interval")
    yield Line2D([], [], color=GREY, linewidth=0.8, linestyle=(0, (2, 2)), label="end of data")
    for (name, _), colour in zip(many[1:], OTHER_MEDIANS, strict=False):
        yield Line2D([], [], color=colour, linewidth=1.5, linestyle=(0, (4, 1.5)), label=_clean(name))

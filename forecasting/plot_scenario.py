"""The picture of scenarios: one row a series, its levels at the left, the difference from the baseline at the right.

The baseline is grey, a scenario has a hue of Okabe and Ito's palette, a mark and a dash of its own. matplotlib is
imported inside the functions: it takes half a second, and most commands draw nothing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.plot_forecast import (
    STAGE_MARKS,
    Pane,
    draw_history,
    line_of,
    ordinals,
    set_limits,
    unit_line,
)
from forecasting.plot_layout import (
    BETWEEN,
    FOOTER,
    GAP_X,
    GREY,
    HEADER,
    INK,
    LEFT,
    LINE,
    MARGIN,
    PALE,
    blank,
    clean,
    styled,
    wrapped,
    write_axes,
    write_legend,
    write_titles,
    write_words,
)
from forecasting.plot_scenario_rows import (
    LEADING,
    MOST_ROWS,
    WORDS,
    Change,
    Row,
    by_weight,
    drawn_rows,
    fan_months,
    left_out,
    lines_of,
    named,
    readable_scale,
    reading_note,
    row_of,
    scenario_header,
    scenarios_of,
)
from forecasting.units import Scale

HUES = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "D", "^", "v", "P")
# Scenarios that do the same to a series lie on one another: the gaps of the later show the earlier.
DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (2, 2)), (0, (5, 2, 1, 2)), (0, (1, 1.5)), (0, (8, 4)))
BASELINE_FANS = (("q025", "q975", "#ebebeb", "95 %"), ("q10", "q90", "#d0d0d0", "80 %"))
SCENARIO_FANS = (("q025", "q975", 0.18), ("q10", "q90", 0.28))
MOST_FANS = 2  # more cannot be told apart
# Inches: widths of the two pictures, and of the gap before the words.
LEVELS, CHANGES, GAP_WORDS = 4.6, 3.4, 0.25
THINNEST = 2.5  # points that a bar needs to stand free of the next


@dataclass(frozen=True)
class Page:
    """Where rows and columns stand, in inches."""

    rows: int
    height: float
    header: float
    footer: float
    head: float = 3 * LINE + 0.14

    @property
    def size(self) -> tuple[float, float]:
        return CONTENT + 2 * MARGIN, self.header + self.footer + self.rows * (self.head + self.height + BETWEEN)

    def box(self, row: int, column: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of levels (0), differences (1) or words (2), as shares of the page."""
        across, down = self.size
        widths = (LEVELS, CHANGES, WORDS)
        left = MARGIN + LEFT + sum(widths[:column]) + (0.0, GAP_X, GAP_X + GAP_WORDS)[column]
        bottom = down - self.header - (row + 1) * (self.head + self.height + BETWEEN) + BETWEEN
        return left / across, bottom / down, widths[column] / across, self.height / down


CONTENT = LEFT + LEVELS + GAP_X + CHANGES + GAP_WORDS + WORDS


def scenario_figure(
    history: pd.DataFrame,
    stages: pd.DataFrame | None,
    table: pd.DataFrame,
    catalogue: Catalogue,
    source_line: str,
) -> Any:
    """The chart of scenarios against their baseline, as a matplotlib figure.

    ``history`` and ``stages`` are months × series. ``table`` has FORECAST_COLUMNS: first the baseline, then one to
    six scenarios (more are named, not drawn), each with difference rows of kind ``month-difference``,
    ``quarter-difference`` and ``fiscal_year-difference``: scenario minus baseline, path by path. At most seven
    series are drawn: those that change most beside the width of their own 80 % interval. DataError if the table
    holds no scenario.
    """
    names = scenarios_of(table)
    shown = names[: len(HUES)]
    series = list(dict.fromkeys(table["series"]))
    rows = {one: row_of(one, history, stages, table, shown, catalogue) for one in series}
    drawn = drawn_rows(rows)
    notes = [*left_out(rows, drawn), *named("Scenarios not drawn", names[len(HUES) :])]
    header = scenario_header(table, shown)
    return _picture([rows[one] for one in drawn], header, notes, clean(source_line))


# --- Drawing


def _picture(rows: list[Row], header: tuple[str, str], notes: list[str], source_line: str) -> Any:
    lines = [line for note in [reading_note(rows), *notes] for line in wrapped(note, 1.1 * CONTENT, 8, 5)]
    height = next(high for most, high in ((1, 3.4), (3, 2.4), (MOST_ROWS, 1.5)) if len(rows) <= most)
    periods = by_weight([change for row in rows for change in row.changed])
    with styled():
        keys = list(_packed(list(_legend(rows))))
        page = Page(len(rows), height, HEADER - 2 * LINE + LINE * len(keys), FOOTER + LINE * len(lines))
        figure = blank(page.size)
        for at, row in enumerate(rows):
            _levels(figure.add_axes(page.box(at, 0)), row)
            _differences(figure.add_axes(page.box(at, 1)), row)
            _words(figure.add_axes(page.box(at, 2)), row, periods, height)
        write_words(figure, page.size, header, source_line)
        for up, line in enumerate(reversed(lines)):
            figure.text(
                MARGIN / page.size[0], (0.16 + LINE * (1 + up)) / page.size[1], line, fontsize=8, color=GREY,
                va="baseline",
            )  # fmt: skip
        for down, handles in enumerate(keys):
            write_legend(figure, page.size, handles, 0.68 + LINE * down, len(handles))
        return figure


def _levels(axes: Any, row: Row) -> None:
    pane = row.pane
    draw_history(axes, pane)
    baseline = pane.scenarios[0][1]
    for low, high, colour, _ in BASELINE_FANS:
        _band(axes, pane, baseline, low, high, color=colour, zorder=2)
    axes.plot(*line_of(pane, baseline), color=GREY, linewidth=1.5, zorder=4)
    fans = len(row.changes) <= MOST_FANS
    for change in row.changed:
        rows, hue = fan_months(change), HUES[change.place]
        for low, high, alpha in SCENARIO_FANS[len(row.changes) > 1 :] if fans else ():
            _fan(axes, pane, change, low, high, color=hue, alpha=alpha, zorder=2.5)
        axes.plot(*line_of(pane, rows), color=hue, linewidth=1.7, linestyle=DASHES[change.place], zorder=5)
    for start, hue in _starts(row).items():
        axes.axvline(start - 0.5, color=hue, linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
    leaves = set_limits(axes, pane, 1 + fans * len(row.changed))
    write_axes(axes, LEVELS, [*ordinals(pane.known).tolist(), *ordinals(baseline).tolist()])
    warning = "; the intervals reach beyond the picture" if leaves else ""
    write_titles(axes, CONTENT - LEFT, pane.title, pane.note, pane.unit + warning, INK)


def _band(axes: Any, pane: Pane, rows: pd.DataFrame, low: str, high: str, **style: Any) -> None:
    at, lower = line_of(pane, rows, low)
    axes.fill_between(at, lower, line_of(pane, rows, high)[1], linewidth=0, **style)


def _fan(axes: Any, pane: Pane, change: Change, low: str, high: str, **style: Any) -> None:
    """A band of the scenario, which begins with an edge where the baseline is left."""
    rows = change.months.loc[change.start :]
    at = np.append(ordinals(rows)[:1] - 0.5, ordinals(rows))
    ends = [np.append(rows[one].iloc[:1], rows[one]) * pane.scale.factor for one in (low, high)]
    axes.fill_between(at, *ends, linewidth=0, **style)


def _starts(row: Row) -> dict[int, str]:
    """Months in which something begins to change, in the hue of whose they are; grey if of several."""
    starts: dict[int, str] = {}
    for change in row.changed:
        assert change.start is not None
        starts[change.start.ordinal] = GREY if change.start.ordinal in starts else HUES[change.place]
    return starts


def _differences(axes: Any, row: Row) -> None:
    months = ordinals(row.pane.scenarios[0][1]).tolist()
    outer = ("q025", "q975") if len(row.changes) == 1 else ("q10", "q90")
    shown = [one.differences[[*outer, "q10", "q50", "q90"]].to_numpy(dtype=float) for one in row.changed]
    cells = np.concatenate(shown) if shown else np.zeros((1, 5))
    scale = readable_scale(row.unit, cells[:, 3], cells[:, :2])
    room = 0.8 * 72 * CHANGES / (len(months) + 1)  # points that a month has for its bars
    slot = 0.8 / max(len(row.changed), 1)
    for at, change in enumerate(row.changed):
        if room / len(row.changes) < THINNEST:
            _bands(axes, change, scale)
        else:
            shift = slot * (at - (len(row.changed) - 1) / 2)
            _bars(axes, change, scale, shift, room / len(row.changed), len(row.changes) == 1)
    leaves = _difference_limits(axes, shown, scale)
    write_axes(axes, CHANGES, months)
    axes.axhline(0.0, color=INK, linewidth=1.0, zorder=3)
    if len(months) <= 5:
        labels = [pd.Period(ordinal=one, freq="M").strftime("%b %Y") for one in months]
        axes.set_xticks(months, labels)
    if len(row.changes) > 1 and len(months) <= 12:  # whose month a mark stands in
        for month in months[1:]:
            axes.axvline(month - 0.5, color=PALE, linewidth=0.5, zorder=0)
    if not row.changed:
        axes.set_yticks([0.0])
        axes.text(0.5, 0.6, "unchanged", transform=axes.transAxes, ha="center", color=GREY, fontsize=9)
    what = f"difference from the baseline, {unit_line(scale, row.unit)}" if row.changed else ""
    write_titles(axes, CHANGES, "", "", what + ("; intervals reach beyond the picture" if leaves else ""), INK)


def _bars(axes: Any, change: Change, scale: Scale, shift: float, points: float, wide: bool) -> None:
    """Median and intervals of every month that changes, in so many points beside those of other scenarios."""
    at = ordinals(change.differences) + shift
    hue, size = HUES[change.place], min(max(0.85 * points, 1.2), 5.5)
    if wide:
        axes.vlines(at, *_ends(change, scale, "q025", "q975"), color=hue, linewidth=min(1.0, 0.3 * size), zorder=4)
    low, middle, high = _ends(change, scale, "q10", "q50", "q90")
    axes.vlines(at, low, high, color=hue, linewidth=0.65 * size, alpha=0.5, zorder=4)
    style = {"marker": MARKERS[change.place], "markersize": size, "color": hue, "markeredgewidth": 0}
    axes.plot(at, middle, linestyle="none", zorder=5, **style)


def _bands(axes: Any, change: Change, scale: Scale) -> None:
    """Medians as a line in their 80 % band, where bars would be too thin."""
    at, hue = ordinals(change.differences), HUES[change.place]
    low, middle, high = _ends(change, scale, "q10", "q50", "q90")
    axes.fill_between(at, low, high, color=hue, alpha=0.15, linewidth=0, zorder=4)
    axes.plot(at, middle, color=hue, linewidth=1.5, linestyle=DASHES[change.place], zorder=5)


def _ends(change: Change, scale: Scale, *columns: str) -> list[np.ndarray]:
    return [change.differences[one].to_numpy(dtype=float) * scale.factor for one in columns]


def _difference_limits(axes: Any, shown: list[np.ndarray], scale: Scale) -> bool:
    """Zero, medians and 80 % intervals are always inside; true when a wider interval leaves the picture."""
    if not shown:
        axes.set_ylim(-1.0, 1.0)
        return False
    cells = np.concatenate(shown) * scale.factor
    inner = np.append(cells[:, 2:].ravel(), 0.0)
    reach = 0.75 * float(np.ptp(inner))
    low = max(min(float(cells.min()), 0.0), float(inner.min()) - reach)
    high = min(max(float(cells.max()), 0.0), float(inner.max()) + reach)
    room = 0.08 * ((high - low) or 1.0)
    axes.set_ylim(low - room, high + room)
    return bool(low > cells.min() or high < cells.max())


def _words(axes: Any, row: Row, periods: Sequence[str], height: float) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, WORDS)
    axes.set_ylim(0, height)
    for at, line in enumerate(lines_of(row, periods, int((height + 0.5) / LEADING))):
        up = height + 0.10 - at * LEADING
        heading = not line.much
        if line.place is not None:
            mark = {"marker": MARKERS[line.place], "color": HUES[line.place]}
            axes.plot(0.06, up + 0.045, markersize=4.5, clip_on=False, **mark)
        style = {"fontsize": 8, "va": "baseline", "color": GREY if heading else INK}
        axes.text(0.0 if line.place is None else 0.18, up, line.what, **style)
        axes.text(WORDS, up, line.much, ha="right", **style)


# --- The legend


def _legend(rows: list[Row]) -> Iterator[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    present = {mark for row in rows for mark in row.pane.marks}
    yield Line2D([], [], color=INK, linewidth=1.2, label="published")
    for stage, (name, mark) in STAGE_MARKS.items():
        if stage in present:
            yield Line2D([], [], color=INK, linewidth=1.2, markersize=3.5, label=name, **mark)
    yield Line2D([], [], color=GREY, linewidth=1.5, label="baseline")
    for _, _, colour, name in reversed(BASELINE_FANS):
        yield Patch(facecolor=colour, label=f"its {name} interval")
    for change in rows[0].changes:
        hue, place = HUES[change.place], change.place
        label = "".join(wrapped(clean(change.name), 5.0, 8, 1))
        yield Line2D([], [], color=hue, linewidth=1.7, linestyle=DASHES[place], marker=MARKERS[place],
                     markersize=4, label=label)  # fmt: skip
        if len(rows[0].changes) <= MOST_FANS:
            for low, _, alpha in reversed(SCENARIO_FANS[len(rows[0].changes) > 1 :]):
                named = "80 %" if low == "q10" else "95 %"
                yield Patch(facecolor=hue, alpha=alpha if low == "q025" else 0.46, label=f"its {named} interval")
    if any(row.changed for row in rows):
        yield Line2D([], [], color=GREY, linewidth=0.8, linestyle=(0, (4, 3)), label="first month that changes")


def _packed(handles: list[Any]) -> Iterator[list[Any]]:
    """The entries in rows that fit the page."""
    row: list[Any] = []
    for handle in handles:
        if row and sum(map(_key_width, [*row, handle])) > CONTENT:
            yield row
            row = []
        row = [*row, handle]
    if row:
        yield row


def _key_width(handle: Any) -> float:
    """Inches that an entry of the legend takes; Japanese letters take twice the room."""
    label = handle.get_label()
    return 0.38 + 0.062 * (len(label) + sum(ord(letter) > 0x2E7F for letter in label))

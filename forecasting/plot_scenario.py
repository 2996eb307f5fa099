"""The picture of scenarios: one row a series, its levels at the left, the difference from the baseline at the right.

The baseline is grey, a scenario has a hue of Okabe and Ito's palette, a mark and a dash of its own. matplotlib is
imported inside the functions: it takes half a second, and most commands draw nothing.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.forecast import QUANTILE_COLUMNS
from forecasting.plot_forecast import (
    NOTHING,
    STAGE_MARKS,
    Pane,
    by_month,
    draw_history,
    header_of,
    line_of,
    marks_of,
    ordinals,
    quarter_words,
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
from forecasting.units import Scale, scale_of

DIFFERENCE = "-difference"
HUES = ("#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
MARKERS = ("o", "s", "D", "^", "v", "P")
# Scenarios that do the same to a series lie on one another: the gaps of the later show the earlier.
DASHES: tuple[Any, ...] = ("solid", (0, (5, 2)), (0, (2, 2)), (0, (5, 2, 1, 2)), (0, (1, 1.5)), (0, (8, 4)))
BASELINE_FANS = (("q025", "q975", "#ebebeb", "95 %"), ("q10", "q90", "#d0d0d0", "80 %"))
SCENARIO_FANS = (("q025", "q975", 0.18), ("q10", "q90", 0.28))
# Three fans can be told apart; a page for a minister has seven rows; three series are shown even if unchanged.
MOST_FANS, MOST_ROWS, FEW = 2, 7, 3
ZERO = 1e-9  # of the largest baseline value: less is rounding
# Inches: widths of the three columns, height of a line of words.
LEVELS, CHANGES, WORDS, GAP_WORDS, LEADING = 4.6, 3.4, 3.3, 0.25, 0.17
DIGIT = 0.066  # inches that a digit of the words takes
THINNEST = 2.5  # points that a bar needs to stand free of the next


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
    names = _scenarios(table)
    shown = names[: len(HUES)]
    series = list(dict.fromkeys(table["series"]))
    rows = {one: _row(one, history, stages, table, shown, catalogue) for one in series}
    drawn = _drawn_rows(rows)
    notes = [*_left_out(rows, drawn), *_named("Scenarios not drawn", names[len(HUES) :])]
    header = _header(table, shown)
    return _picture([rows[one] for one in drawn], header, notes, clean(source_line))


def _scenarios(table: pd.DataFrame) -> list[str]:
    baseline, *names = dict.fromkeys(map(str, table["scenario"])) if len(table) else [""]
    gaps = table[table["kind"].str.endswith(DIFFERENCE)]
    moving = set(gaps.loc[(gaps["q025"] != 0) | (gaps["q975"] != 0), "scenario"])
    names = [one for one in names if one in moving] or names
    if not names or not table["kind"].str.endswith(DIFFERENCE).any():
        raise DataError(
            f"The table holds {baseline or 'nothing'} without a scenario and its differences: run a scenario first."
        )
    return names


# --- What a row shows


def _row(
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
        (("baseline", months), *((one.name, _fan_months(one)) for one in changes if one.start is not None)),
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


def _fan_months(change: Change) -> pd.DataFrame:
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


def _touched(changes: Sequence[Change], kind: str) -> list[str]:
    """Periods of a kind by how many scenarios change them (most first), then by date."""
    parts = [one.totals.loc[one.totals["kind"] == kind + DIFFERENCE, "period"] for one in changes]
    counts = pd.concat(parts).astype(str).value_counts().sort_index() if parts else pd.Series(dtype=int)
    return list(counts.sort_values(ascending=False, kind="stable").index)


def _minus(text: str) -> str:
    return text.replace("-", "−")


def _signed(scale: Scale, value: float) -> str:
    number = scale.number(value)
    rises = value > 0 and any(digit in number for digit in "123456789")
    return f"+{number}" if rises else _minus(number)


# --- What is shown, and what is said to be left out


def _drawn_rows(rows: dict[str, Row]) -> list[str]:
    changed = [one for one, row in rows.items() if row.changed]
    wanted = changed if changed and len(rows) > FEW else list(rows)
    # Wholes first: who reads a chart of exports' parts wants the exports.
    strongest = sorted(wanted, key=lambda one: (one.count(".") > 2, -rows[one].spreads))[:MOST_ROWS]
    return [one for one in rows if one in strongest]


def _left_out(rows: dict[str, Row], drawn: Sequence[str]) -> Iterator[str]:
    rest = [row for one, row in rows.items() if one not in drawn]
    yield from _named("Unchanged", [row.pane.title for row in rest if not row.changed])
    smaller = [row.pane.title for row in rest if row.changed]
    yield from _named("Not drawn, because they change less beside their own spread", smaller)


def _named(what: str, names: Sequence[str]) -> Iterator[str]:
    if names:
        yield clean(f"{what} ({len(names)}): {'; '.join(names)}.")


def _header(table: pd.DataFrame, names: Sequence[str]) -> tuple[str, str]:
    its, title = ("its", "Scenario: ") if len(names) == 1 else ("their", "Scenarios: ")
    _, data = header_of(table)
    if len(names) == 1 and names[0].startswith("mixture"):
        return clean(names[0].capitalize()), f"Each scenario as often as it is probable. {data}"
    return clean(title + ", ".join(names)), f"If {its} assumptions come true, not a forecast that they will. {data}"


# --- Drawing


def _picture(rows: list[Row], header: tuple[str, str], notes: list[str], source_line: str) -> Any:
    lines = [line for note in [_reading_note(rows), *notes] for line in wrapped(note, 1.1 * CONTENT, 8, 5)]
    height = next(high for most, high in ((1, 3.4), (3, 2.4), (MOST_ROWS, 1.5)) if len(rows) <= most)
    periods = _by_weight([change for row in rows for change in row.changed])
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
        rows, hue = _fan_months(change), HUES[change.place]
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
    scale = _scale(row.unit, cells[:, 3], cells[:, :2])
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


def _scale(unit: str, medians: np.ndarray, bounds: np.ndarray) -> Scale:
    """The scale on which the largest of these medians is readable, or the farthest bound where all are zero."""
    most = float(np.abs(medians).max())
    return scale_of(unit, [most or float(np.abs(bounds).max())])


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


# --- Totals in words


@dataclass(frozen=True)
class Line:
    """A line of words: a mark of which scenario (or none), what, how much."""

    what: str
    much: str = ""
    place: int | None = None


def _words(axes: Any, row: Row, periods: Sequence[str], height: float) -> None:
    axes.set_axis_off()
    axes.set_xlim(0, WORDS)
    axes.set_ylim(0, height)
    for at, line in enumerate(_lines(row, periods, int((height + 0.5) / LEADING))):
        up = height + 0.10 - at * LEADING
        heading = not line.much
        if line.place is not None:
            mark = {"marker": MARKERS[line.place], "color": HUES[line.place]}
            axes.plot(0.06, up + 0.045, markersize=4.5, clip_on=False, **mark)
        style = {"fontsize": 8, "va": "baseline", "color": GREY if heading else INK}
        axes.text(0.0 if line.place is None else 0.18, up, line.what, **style)
        axes.text(WORDS, up, line.much, ha="right", **style)


def _by_weight(changes: Sequence[Change]) -> list[str]:
    """Quarters and fiscal years, one about the other, those first that most of these change."""
    quarters, years = _touched(changes, "quarter"), _touched(changes, "fiscal_year")
    return [*quarters[:1], *years[:1], *quarters[1:], *years[1:]]


def _lines(row: Row, periods: Sequence[str], room: int) -> list[Line]:
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
    scale = _scale(row.unit, np.array([float(one["q50"]) for one in totals]), bounds)
    lines = [
        Line(_period(period), _much(total, scale), change.place) for period, total in zip(periods, totals, strict=True)
    ]
    return [Line(f"difference of totals, {scale.label} (80 % interval)"), *lines]


def _block(row: Row, period: str) -> list[Line]:
    """One period: a line a scenario."""
    totals = [one.totals[one.totals["period"] == period] for one in row.changes]
    every = pd.concat(totals)
    scale = _scale(row.unit, every["q50"].to_numpy(dtype=float), every[["q10", "q90"]].to_numpy(dtype=float))
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
    low, middle, high = (_signed(fine, float(rows[one])) for one in ("q10", "q50", "q90"))
    return f"{middle} ({low} to {high})"


def _period(period: str) -> str:
    return period if period.startswith("FY") else quarter_words(period)


def _reading_note(rows: list[Row]) -> str:
    alone = all(len(row.changes) == 1 for row in rows)
    bars = "bars: 80 and 95 % intervals" if alone else "bars or bands: 80 % intervals"
    years = sorted({one for row in rows for one in _touched(row.changed, "fiscal_year")})
    named = f" {years[0]} is April {years[0][2:]} to March {int(years[0][2:]) + 1}." if years else ""
    return (
        "Differences: scenario minus baseline on the same random numbers; marks or lines: medians"
        f" (not the difference of medians); {bars}.{named}"
    )


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

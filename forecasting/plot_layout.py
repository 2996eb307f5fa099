"""Where the parts of a chart stand and how its axes are written, whatever is drawn there.

matplotlib is imported inside the functions: it takes half a second, and most commands draw nothing.
"""

from __future__ import annotations

import io
import math
import re
import textwrap
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting.errors import DataError

INK, GREY, PALE, BLUE = "#222222", "#6b6b6b", "#dddddd", "#0072b2"
FORMS = {".png": "png", ".svg": "svg"}
# Sizes in inches.
MARGIN, LEFT, GAP_X, BETWEEN, HEADER, FOOTER, LINE = 0.3, 0.5, 0.65, 0.4, 1.1, 0.5, 0.19
# A bold letter takes about this many inches a point; a year needs so many to stand free of the next.
LETTER, YEAR = 0.0079, 0.55
FALLBACK_FONTS = (
    "Noto Sans CJK JP",
    "Noto Sans JP",
    "IPAexGothic",
    "Hiragino Sans",
    "Yu Gothic",
    "MS Gothic",
)


@dataclass(frozen=True)
class Grid:
    """Where the panels stand, in inches."""

    columns: int
    rows: int
    width: float
    height: float
    header: float
    head: float

    @classmethod
    def of(cls, titles: Sequence[str], legend: bool = True) -> Grid:
        """The grid of as many panels as there are titles; empty titles and no legend take no room."""
        many = len(titles)
        columns = next(across for most, across in ((1, 1), (4, 2), (9, 3), (math.inf, 4)) if many <= most)
        width, height = {1: (8.2, 3.9), 2: (5.6, 2.7), 3: (4.4, 2.2), 4: (4.0, 1.9)}[columns]
        lines = max(len(title_lines(one, width)) for one in titles)
        header = HEADER - (0 if lines else LINE) - (0 if legend else LINE)
        return cls(columns, math.ceil(many / columns), width, height, header, (lines + 2) * LINE + 0.14)

    @property
    def size(self) -> tuple[float, float]:
        across = 2 * MARGIN + LEFT + self.columns * self.width + (self.columns - 1) * GAP_X
        return across, self.header + FOOTER + self.rows * (self.head + self.height + BETWEEN)

    def box(self, at: int) -> tuple[float, float, float, float]:
        """Left, bottom, width and height of a panel as shares of the figure."""
        across, down = self.size
        left = MARGIN + LEFT + (at % self.columns) * (self.width + GAP_X)
        top = self.header + (at // self.columns) * (self.head + self.height + BETWEEN) + self.head
        return left / across, 1 - (top + self.height) / down, self.width / across, self.height / down


def look() -> dict[str, Any]:
    """Settings of matplotlib under which a chart comes out in the same bytes everywhere."""
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


@contextmanager
def styled(**more: Any) -> Iterator[None]:
    """``look`` and these settings in force for what is drawn inside, and for nothing else."""
    import matplotlib

    with matplotlib.rc_context(look() | more):
        yield


def blank(size: tuple[float, float], dpi: int = 150) -> Any:
    """An empty figure of this size (inches) that belongs to no window and to no list of pyplot's."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=size, dpi=dpi)
    FigureCanvasAgg(figure)
    return figure


def form_of(path: Path) -> str:
    """``png`` or ``svg`` by the ending of the path; another ending is a DataError."""
    if path.suffix.lower() not in FORMS:
        raise DataError(f"{path} has no known ending: use {' or '.join(FORMS)}.")
    return FORMS[path.suffix.lower()]


def image(figure: Any, form: str = "png") -> bytes:
    """The figure as the bytes of a ``png`` or ``svg`` file without a date: the same picture is the same bytes."""
    buffer = io.BytesIO()
    metadata = {"Date": None, "Creator": "tradecast"} if form == "svg" else {"Software": "tradecast"}
    with styled():
        figure.savefig(buffer, format=form, metadata=metadata)
    return buffer.getvalue()


def clean(text: str) -> str:
    """One line of text that an SVG may hold."""
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]", " ", text).split())


def title_lines(title: str, width: float) -> list[str]:
    """The title in at most two lines over a panel of this width."""
    return wrapped(title, width + LEFT, 10, 2)


def wrapped(text: str, inches: float, points: float, lines: int) -> list[str]:
    """The text in at most so many lines of this width; what does not fit becomes " …"."""
    # Japanese letters take twice the room.
    wide = 1 + sum(ord(letter) > 0x2E7F for letter in text) / max(len(text), 1)
    return textwrap.wrap(text, int(inches / (LETTER * points) / wide), max_lines=lines, placeholder=" …")


# --- Axes


def write_axes(axes: Any, width: float, months: Sequence[int]) -> None:
    """Months below, plain numbers at the left, a line at zero where the picture (inches wide) crosses it."""
    from matplotlib.ticker import FuncFormatter, MaxNLocator

    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color=PALE, linewidth=0.6, zorder=0)
    axes.set_axisbelow(True)
    axes.tick_params(axis="both", colors=GREY, length=0, labelsize=8)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10], min_n_ticks=3))
    axes.yaxis.set_major_formatter(FuncFormatter(_plain_number(axes)))
    low, high = axes.get_ylim()
    if low < 0 < high:
        axes.axhline(0.0, color=GREY, linewidth=0.8, zorder=1)
    if len(months):
        _months_axis(axes, min(months), max(months), int(width / YEAR))


def _plain_number(axes: Any) -> Callable[[float, int], str]:
    def text(value: float, _: int) -> str:
        ticks = axes.yaxis.get_majorticklocs()
        step = abs(ticks[1] - ticks[0]) if len(ticks) > 1 else abs(value) or 1.0
        decimals = next((many for many in range(6) if math.isclose(step, round(step, many), rel_tol=1e-6)), 6)
        return f"{round(value, decimals) + 0.0:,.{decimals}f}".replace("-", "−")

    return text


def _months_axis(axes: Any, first: int, last: int, most: int) -> None:
    """Quarters of a short span, else years: in the middle of their months, or some Januaries if only ``most`` fit."""
    axes.set_xlim(first - 0.8, last + 0.8)
    span = pd.period_range(pd.Period(ordinal=first, freq="M"), pd.Period(ordinal=last, freq="M"), freq="M")
    if len(span) < 20:
        at = [one for one in span if one.month % 3 == 1]
        axes.set_xticks([one.ordinal for one in at], [one.strftime("%b %Y") for one in at])
        axes.tick_params(axis="x", length=3)
        return
    years = span.to_series().groupby(span.year)
    if len(years) > most:
        every = next((step for step in (2, 5, 10, 20, 50) if len(years) <= step * most), 100)
        at = [one for one in span if one.month == 1 and one.year % every == 0]
        axes.set_xticks([one.ordinal for one in at], [str(one.year) for one in at])
        axes.tick_params(axis="x", length=3)
        return
    axes.set_xticks([one.ordinal - 0.5 for one in span if one.month == 1], minor=True)
    axes.tick_params(axis="x", which="minor", length=9, color=PALE, width=0.8)
    # A year of three months has no room for its number.
    middles = [(str(year), pd.PeriodIndex(part).asi8.mean()) for year, part in years if len(part) >= 4]
    axes.set_xticks([at for _, at in middles], [year for year, _ in middles])


# --- Words


def write_titles(axes: Any, width: float, title: str, note: str, unit: str, colour: str = BLUE) -> None:
    """Title (over so many inches), note (in this colour) and unit above a panel, from the top down."""

    def above(inches: float, text: str, **style: Any) -> None:
        axes.annotate(
            text, (0, 1), xycoords="axes fraction", xytext=(-LEFT * 72, inches * 72),
            textcoords="offset points", ha="left", va="baseline", annotation_clip=False, **style,
        )  # fmt: skip

    above(0.10, unit, color=GREY, fontsize=8)
    above(0.10 + LINE, note, color=colour, fontsize=8.5)
    for up, line in enumerate(reversed(title_lines(title, width))):
        above(0.12 + (2 + up) * LINE, line, color=INK, fontsize=10, fontweight="bold")


def write_frame(figure: Any, grid: Grid, header: tuple[str, str], source_line: str, handles: Sequence[Any]) -> None:
    """Header, legend and source line around the panels."""
    across, _ = grid.size
    write_words(figure, grid.size, header, source_line)
    inches = sum(0.55 + 0.066 * len(one.get_label()) for one in handles)
    columns = len(handles) if inches < across - MARGIN else math.ceil(len(handles) / 2)
    write_legend(figure, grid.size, handles, 0.68, columns)


def write_words(figure: Any, size: tuple[float, float], header: tuple[str, str], source_line: str) -> None:
    """Header and source line of a page of this size (inches)."""
    across, down = size
    left = MARGIN / across
    title = "".join(wrapped(header[0], across - 2 * MARGIN, 13, 1))
    figure.text(left, 1 - 0.33 / down, title, fontsize=13, fontweight="bold", color=INK, va="baseline")
    figure.text(left, 1 - 0.54 / down, header[1], fontsize=9, color=GREY, va="baseline")
    figure.text(left, 0.16 / down, source_line, fontsize=8, color=GREY, va="baseline")


def write_legend(
    figure: Any, size: tuple[float, float], handles: Sequence[Any], below_top: float, columns: int
) -> None:
    """The legend, so many inches below the top of a page of this size (inches)."""
    across, down = size
    figure.legend(
        handles=handles, loc="upper left", bbox_to_anchor=(MARGIN / across, 1 - below_top / down), frameon=False,
        fontsize=8, ncols=max(columns, 1), labelcolor=INK, handlelength=1.5, columnspacing=1.4, borderpad=0,
        borderaxespad=0, handletextpad=0.5,
    )  # fmt: skip

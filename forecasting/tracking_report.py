"""The report of a backtest as one HTML file that needs nothing else: MLflow shows it offline and in a sandbox.

Charts are SVG in the page. matplotlib is imported inside the functions.
"""

from __future__ import annotations

import html
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecasting.leaderboard import do_intervals_cover, what_was_run, who_wins
from forecasting.plot_layout import GREY, INK, PALE, look
from forecasting.tracking_sheet import STEP_WORDS, Numbers, intervals, verdict

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b", "#444444")
"""Okabe and Ito's, which colour-blind readers tell apart; given to models in the order of their names."""
MOST_MODELS = len(COLOURS)
"""More lines in one chart cannot be told apart: the best are drawn, the table lists all."""
STYLE = f"""
body {{ font: 15px/1.5 system-ui, sans-serif; color: {INK}; max-width: 62rem; margin: 2rem auto; padding: 0 1rem }}
h1 {{ font-size: 1.5rem; margin-bottom: 0 }} h2 {{ font-size: 1.1rem; margin: 2rem 0 .3rem }}
p {{ margin: .2rem 0 .6rem; max-width: 48rem }} .pale {{ color: {GREY} }}
.wide {{ overflow-x: auto }}
table {{ border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; white-space: nowrap }}
th, td {{ padding: .2rem .8rem .2rem 0; text-align: right; border-bottom: 1px solid {PALE} }}
th:first-child, td:first-child, td.words, th.words {{ text-align: left }}
svg {{ max-width: 100%; height: auto }}
"""


def report(numbers: Numbers) -> str:
    """The whole page."""
    result, of = numbers.result, numbers.board
    drawn = numbers.leaders[:MOST_MODELS]
    left_out = len(numbers.leaders) - len(drawn)
    parts = [
        f"<h1>{html.escape(result.name)}</h1>",
        f"<p>{html.escape(f'{who_wins(of)} {do_intervals_cover(of)}')}</p>",
        f"<p class=pale>{html.escape(what_was_run(result, of))} Scores count only forecasts that every model made.</p>",
        f"<h2>Which model is best, and is the difference real</h2>{leaderboard(numbers)}",
    ]
    if drawn:
        remark = f" The best {len(drawn)} are drawn; {left_out} more stand in the table." if left_out else ""
        measure = "Skill" if numbers.base else "Scaled CRPS"
        parts += [
            f"<h2>{measure} by {STEP_WORDS[numbers.kind]}</h2>",
            "<p class=pale>Skill is 1 − CRPS / CRPS of the seasonal naive: above 0 is better than repeating last "
            f"year.{remark}</p>",
            skill_chart(numbers, drawn),
            "<h2>Do the intervals cover</h2><p class=pale>Share of outcomes inside the 80 % and 95 % intervals. Bars "
            "are bounds (Clopper–Pearson, 95 %) for the number of independent cutoffs: where a bar misses the dashed "
            "line, the interval is too narrow (below) or too wide (above).</p>",
            coverage_chart(numbers, drawn),
            "<h2>Where outcomes fell in the forecast distribution</h2><p class=pale>Flat is honest. High at both ends: "
            "too narrow. High in the middle: too wide. High at the right: outcomes came in above the forecasts.</p>",
            pit_chart(numbers, drawn),
        ]
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        f"<title>{html.escape(result.name)}</title><style>{STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def colours(models: Sequence[str]) -> dict[str, str]:
    """A colour for each model, the same in report and tracking page."""
    return {model: COLOURS[at % len(COLOURS)] for at, model in enumerate(sorted(models))}


def leaderboard(numbers: Numbers) -> str:
    """All models, best first, as an HTML table."""
    of = numbers.board
    bias = dict(numbers.overall[numbers.kind][["model", "bias_percent"]].to_numpy().tolist())
    head = ["model", *(["skill"] if numbers.base else []), "MASE", "CRPS", "bias %", "80 %", "95 %", "s/fit"]
    titles = "".join(f"<th>{one}</th>" for one in head) + "<th class=words>verdict</th><th class=words>intervals</th>"
    rows = []
    for row in of.table.to_dict("records"):
        model = str(row["model"])
        numbers_of = [
            *([f"{row['skill']:+.3f}"] if numbers.base else []), f"{row['mase']:.3f}", f"{row['crps_scaled']:.3f}",
            f"{bias[model]:+.1f}", f"{100 * row['covered80']:.0f}", f"{100 * row['covered95']:.0f}",
            f"{row['fit_seconds']:.2g}",
        ]  # fmt: skip
        words = (verdict(of, model), intervals(numbers.covered(model)))
        cells = "".join(f"<td>{_shown(one)}</td>" for one in numbers_of)
        texts = "".join(f"<td class=words>{html.escape(one)}</td>" for one in words)
        rows.append(f"<tr><td>{html.escape(model)}</td>{cells}{texts}</tr>")
    return f"<div class=wide><table><tr>{titles}</tr>{''.join(rows)}</table></div>"


def _shown(number: str) -> str:
    if "nan" in number:
        return "–"
    return number.lstrip("+-") if float(number) == 0 else number.replace("-", "−")


# --- Charts ----------------------------------------------------------------------------------------------


def skill_chart(numbers: Numbers, models: Sequence[str]) -> str:
    """Skill by step, a line a model."""
    score = "skill" if numbers.base else "crps_scaled"

    def draw(figure: Any) -> None:
        axes = figure.add_axes((0.06, 0.14, 0.74, 0.82))
        ends = []
        for model in models:
            line = numbers.by_step[numbers.by_step["model"] == model].sort_values("step")
            axes.plot(line["step"], line[score], color=palette[model], linewidth=1.8, marker="o", markersize=3.5)
            if len(line) and np.isfinite(line[score].iloc[-1]):
                ends.append((float(line[score].iloc[-1]), model))
        _plain(axes)
        if numbers.base:
            axes.axhline(0.0, color=GREY, linewidth=0.9)
        _label_ends(axes, ends, palette)
        axes.set_xlabel(STEP_WORDS[numbers.kind], color=GREY)
        axes.xaxis.get_major_locator().set_params(integer=True)

    palette = colours(numbers.models)
    return _svg((9.6, 3.6), draw)


def coverage_chart(numbers: Numbers, models: Sequence[str]) -> str:
    """Covered shares with bounds by step: a panel a model."""
    palette = colours(numbers.models)

    def draw(axes: Any, model: str) -> None:
        mine = numbers.coverage_by_step[numbers.coverage_by_step["model"] == model]
        for coverage, shade in ((80, 1.0), (95, 0.45)):
            found = mine[mine["coverage"] == coverage].sort_values("step")
            shift = -0.12 if coverage == 80 else 0.12
            axes.axhline(coverage, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
            at, ink = found["step"] + shift, {"color": palette[model], "alpha": shade}
            axes.vlines(at, 100 * found["low"], 100 * found["high"], linewidth=2, **ink)
            axes.plot(at, 100 * found["covered"], "o", markersize=3.5, **ink)
        axes.set_ylim(min(40.0, _lowest(numbers)), 102)
        axes.set_yticks([40, 60, 80, 95])
        axes.xaxis.get_major_locator().set_params(integer=True)

    return _panels(models, draw, STEP_WORDS[numbers.kind])


def pit_chart(numbers: Numbers, models: Sequence[str]) -> str:
    """Share of outcomes in each tenth of the forecast distribution: a panel a model."""
    palette = colours(numbers.models)
    bins = [str(one) for one in numbers.pit if str(one).startswith("bin")]

    def draw(axes: Any, model: str) -> None:
        shares = 100 * numbers.pit.loc[numbers.pit["model"] == model, bins].to_numpy(dtype=float)
        if len(shares):
            middles = (np.arange(len(bins)) + 0.5) / len(bins)
            axes.bar(middles, shares[0], 0.92 / len(bins), color=palette[model], alpha=0.85)
        axes.axhline(100 / len(bins), color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xticks([0, 0.5, 1], ["lowest", "median", "highest"])
        axes.set_ylim(0, max(2.5 * 100 / len(bins), 1.05 * _tallest(numbers.pit, bins)))

    return _panels(models, draw, "")


def _lowest(numbers: Numbers) -> float:
    table = numbers.coverage_by_step[numbers.coverage_by_step["coverage"] == 80]
    return float(100 * table["covered"].min()) - 5 if len(table) else 40.0


def _tallest(pit: pd.DataFrame, bins: Sequence[str]) -> float:
    return float(100 * pit[list(bins)].to_numpy(dtype=float).max(initial=0.0))


def _panels(models: Sequence[str], draw: Any, below: str) -> str:
    across = min(len(models), 4)
    down = -(-len(models) // across)
    height = 2.1 * down + 0.35

    def whole(figure: Any) -> None:
        for at, model in enumerate(models):
            axes = figure.add_subplot(down, across, at + 1)
            _plain(axes)
            draw(axes, model)
            axes.set_title(model, loc="left", fontsize=9.5, fontweight="bold", color=INK)
            if below and at // across == down - 1:
                axes.set_xlabel(below, color=GREY, fontsize=8)
        figure.subplots_adjust(
            left=0.05,
            right=0.99,
            top=1 - 0.3 / height,
            bottom=0.5 / height,
            wspace=0.2,
            hspace=0.45,
        )

    return _svg((2.4 * across if across > 1 else 4.0, height), whole)


def _plain(axes: Any) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=GREY, length=0, labelsize=8)


def _label_ends(axes: Any, ends: list[tuple[float, str]], palette: dict[str, str]) -> None:
    """Names at the right of the lines, pushed apart so that each can be read."""
    low, high = axes.get_ylim()
    room, last, right = (high - low) / 16, -np.inf, axes.get_xlim()[1]
    for value, model in sorted(ends):
        last = max(value, last + room)
        axes.text(right, last, model, color=palette[model], fontsize=9, va="center", ha="left", clip_on=False)
    axes.set_ylim(low, high)


def _svg(size: tuple[float, float], draw: Any) -> str:
    """The drawing as an SVG element, the same text every time."""
    import matplotlib
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with matplotlib.rc_context(look() | {"svg.fonttype": "none", "font.family": ["sans-serif"]}):
        figure = Figure(figsize=size)
        FigureCanvasSVG(figure)
        draw(figure)
        buffer = io.StringIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    text = buffer.getvalue()
    return text[text.index("<svg") :]

"""Charts of a backtest: skill by step, whether intervals cover, where outcomes fell in the forecast distribution.

Tables are those of ``scores``. What is drawn follows matplotlib's settings in force, so that a page and a file can
each have their own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from forecasting.plot_layout import GREY, INK, PALE, blank, clean

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8a6d3b", "#444444")
"""Okabe and Ito's, which colour-blind readers tell apart; given to models in the order of their names."""
MOST_MODELS = len(COLOURS)
"""More lines in one chart cannot be told apart: the best are drawn, the table lists all."""


def colours(models: Sequence[str]) -> dict[str, str]:
    """A colour for each model, the same on every page."""
    return {model: COLOURS[at % len(COLOURS)] for at, model in enumerate(sorted(models))}


def skill_figure(
    by_step: pd.DataFrame, models: Sequence[str], palette: Mapping[str, str], score: str, below: str
) -> Any:
    """``score`` of a score table by model and step, a line a model; ``below`` says what a step is."""
    figure = blank((9.6, 3.6))
    axes = figure.add_axes((0.06, 0.14, 0.74, 0.82))
    ends = []
    for model in models:
        line = by_step[by_step["model"] == model].sort_values("step")
        axes.plot(line["step"], line[score], color=palette[model], linewidth=1.8, marker="o", markersize=3.5)
        if len(line) and np.isfinite(line[score].iloc[-1]):
            ends.append((float(line[score].iloc[-1]), model))
    _plain(axes)
    if score == "skill":
        axes.axhline(0.0, color=GREY, linewidth=0.9)
    _label_ends(axes, ends, palette)
    axes.set_xlabel(below, color=GREY)
    axes.xaxis.get_major_locator().set_params(integer=True)
    return figure


def coverage_figure(by_step: pd.DataFrame, models: Sequence[str], palette: Mapping[str, str], below: str) -> Any:
    """Covered shares with bounds of a coverage table by model and step: a panel a model."""

    def draw(axes: Any, model: str) -> None:
        mine = by_step[by_step["model"] == model]
        for coverage, shade in ((80, 1.0), (95, 0.45)):
            found = mine[mine["coverage"] == coverage].sort_values("step")
            shift = -0.12 if coverage == 80 else 0.12
            axes.axhline(coverage, color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
            at, ink = found["step"] + shift, {"color": palette[model], "alpha": shade}
            axes.vlines(at, 100 * found["low"], 100 * found["high"], linewidth=2, **ink)
            axes.plot(at, 100 * found["covered"], "o", markersize=3.5, **ink)
        axes.set_ylim(min(40.0, _lowest(by_step)), 102)
        axes.set_yticks([40, 60, 80, 95])
        axes.xaxis.get_major_locator().set_params(integer=True)

    return _panels(models, draw, below)


def pit_figure(pit: pd.DataFrame, models: Sequence[str], palette: Mapping[str, str]) -> Any:
    """Share of outcomes in each part of the forecast distribution, of a PIT table: a panel a model."""
    bins = [str(one) for one in pit if str(one).startswith("bin")]

    def draw(axes: Any, model: str) -> None:
        shares = 100 * pit.loc[pit["model"] == model, bins].to_numpy(dtype=float)
        if len(shares):
            middles = (np.arange(len(bins)) + 0.5) / len(bins)
            axes.bar(middles, shares[0], 0.92 / len(bins), color=palette[model], alpha=0.85)
        axes.axhline(100 / len(bins), color=GREY, linewidth=0.8, linestyle=(0, (4, 3)))
        axes.set_xticks([0, 0.5, 1], ["lowest", "median", "highest"])
        axes.set_ylim(0, max(2.5 * 100 / len(bins), 1.05 * _tallest(pit, bins)))

    return _panels(models, draw, "")


def _lowest(by_step: pd.DataFrame) -> float:
    table = by_step[by_step["coverage"] == 80]
    return float(100 * table["covered"].min()) - 5 if len(table) else 40.0


def _tallest(pit: pd.DataFrame, bins: Sequence[str]) -> float:
    return float(100 * pit[list(bins)].to_numpy(dtype=float).max(initial=0.0))


def _panels(models: Sequence[str], draw: Callable[[Any, str], None], below: str) -> Any:
    across = max(min(len(models), 4), 1)
    down = -(-len(models) // across)
    height = 2.1 * down + 0.35
    figure = blank((2.4 * across if across > 1 else 4.0, height))
    for at, model in enumerate(models):
        axes = figure.add_subplot(down, across, at + 1)
        _plain(axes)
        draw(axes, model)
        axes.set_title(clean(model), loc="left", fontsize=9.5, fontweight="bold", color=INK)
        if below and at // across == down - 1:
            axes.set_xlabel(below, color=GREY, fontsize=8)
    margins = {"left": 0.05 if across > 1 else 0.1, "right": 0.99, "wspace": 0.2, "hspace": 0.45}
    figure.subplots_adjust(top=1 - 0.3 / height, bottom=0.5 / height, **margins)
    return figure


def _plain(axes: Any) -> None:
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(GREY)
    axes.grid(axis="y", color=PALE, linewidth=0.6)
    axes.set_axisbelow(True)
    axes.tick_params(colors=GREY, length=0, labelsize=8)


def _label_ends(axes: Any, ends: list[tuple[float, str]], palette: Mapping[str, str]) -> None:
    """Names at the right of the lines, pushed apart so that each can be read."""
    low, high = axes.get_ylim()
    room, last, right = (high - low) / 16, -np.inf, axes.get_xlim()[1]
    for value, model in sorted(ends):
        last = max(value, last + room)
        axes.text(right, last, clean(model), color=palette[model], fontsize=9, va="center", ha="left", clip_on=False)
    axes.set_ylim(low, high)

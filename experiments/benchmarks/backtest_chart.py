"""One chart of a finished backtest: skill against seasonal naive by months ahead, one line a model.

python experiments/benchmarks/backtest_chart.py data/backtests/headline docs/images/backtest-headline.png
"""

from __future__ import annotations

import sys
from pathlib import Path

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from forecasting import backtest_files
from forecasting.scores import score_table, skill

COLOURS = {
    "ensemble": "#0072b2", "theta": "#e69f00", "ets": "#009e73", "sarima": "#cc79a7", "boosting": "#d55e00",
    "boosting_yearly": "#56b4e9", "naive": "#999999", "seasonal_naive": "#444444",
}  # fmt: skip


def main() -> None:
    source, target = map(Path, sys.argv[1:3])
    result = backtest_files.read(source)
    months = result.rows[result.rows["kind"] == "month"]
    scored = skill(score_table(months, by=("model", "step")))
    figure = Figure(figsize=(7.2, 3.8), dpi=110)
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0.09, 0.14, 0.72, 0.74))
    for model, rows in scored.groupby("model"):
        rows = rows.sort_values("step")
        axes.plot(
            rows["step"], 100 * rows["skill"], color=COLOURS.get(str(model)), marker="o", markersize=3.5, linewidth=1.6
        )
    ends = scored[scored["step"] == scored["step"].max()].sort_values("skill")
    low = -100.0
    for model, value in zip(ends["model"], 100 * ends["skill"], strict=True):
        low = max(value, low + 3.2)
        axes.text(scored["step"].max() + 0.12, low, model, color=COLOURS.get(str(model)), va="center", fontsize=9)
    axes.set_xlabel("months ahead", fontsize=9)
    axes.set_ylabel("skill, % (CRPS against seasonal naive)", fontsize=9)
    axes.set_xticks(sorted(scored["step"].unique()))
    axes.grid(axis="y", color="#dddddd", linewidth=0.6)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)
    axes.set_title(
        f"{result.about['n_series']} series, {len(result.about['cutoffs'])} cutoffs", loc="left", fontsize=10
    )
    figure.savefig(target, metadata={"Software": "tradecast"})


if __name__ == "__main__":
    main()

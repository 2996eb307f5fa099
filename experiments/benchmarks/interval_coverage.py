"""Do the intervals cover? Months and quarter totals, rolling origins 2010 to 2025, Japan's trade with the world.

    python experiments/benchmarks/interval_coverage.py [--model ensemble] [--first 2010-02] [--workers 2]

At every cutoff the whole chain runs as in `tradecast forecast` (fit, calibrate on earlier cutoffs only, couple, tie
prices, reconcile). Beside it, the same quarter total made by adding monthly bounds and by assuming independent months.
"""

from __future__ import annotations

import argparse
import resource
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

from forecasting import pipeline, workflow
from forecasting.backtest_truth import truth_of
from forecasting.coherence import coherent
from forecasting.experiment import rolling
from forecasting.forecast import Forecast
from forecasting.models import forecaster
from forecasting.panel import Panel
from forecasting.periods import totals
from forecasting.plan import Plan, plan
from forecasting.tables import all_totals, closure

WORLD = (
    "jp_world.trade.value", "jp_world.exports.value", "jp_world.imports.value",
    "jp_world.exports.transport.motor_vehicles.cars.value", "jp_world.exports.transport.motor_vehicles.cars.quantity",
    "jp_world.imports.mineral_fuels.lng.value", "jp_world.imports.mineral_fuels.lng.quantity",
)  # fmt: skip
HORIZON = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default=workflow.DEFAULT_MODEL)
    parser.add_argument("--first", default="2010-02", help="first cutoff that is scored")
    parser.add_argument("--last", default="2025-11", help="last cutoff that is scored")
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--keep", type=Path, help="folder for the raw forecasts, to be read again if there")
    parser.add_argument("--by-series", action="store_true", help="coverage of each series as well")
    arguments = parser.parse_args()
    chosen = world_plan(arguments.model)
    panel = Panel(chosen.learned[list(chosen.modelled(chosen.core))])
    first, last = pd.Period(arguments.first, "M"), pd.Period(arguments.last, "M")
    spacing, back = pipeline.LONG_SPACING, pipeline.LONG_ORIGINS
    cutoffs = pd.period_range(first - spacing * back, last, freq="M")[::spacing]
    raw = raw_forecasts(arguments, panel, list(cutoffs))
    scored = [score(raw, at, panel, chosen) for at in range(len(raw)) if raw[at].cutoff[0] >= first]
    rows = pd.concat(scored, ignore_index=True)
    table = summary(rows)
    print(table.to_string(index=False, float_format="%.3f"))
    if arguments.by_series:
        inside = rows.pivot_table(index="series", columns=["coverage", "way"], values="inside")
        print(inside.to_string(float_format="%.3f"))
    use = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = sum(one.ru_utime + one.ru_stime for one in use)
    print(f"{seconds:.0f} CPU seconds, {len(cutoffs)} cutoffs, {len(panel.series)} series")


def world_plan(model: str) -> Plan:
    """Japan's trade with the world: its core series, their identities and unit prices."""
    dataset = workflow.load()
    stored = Panel(dataset.panel.y[list(closure(WORLD, dataset.catalogue))])
    return plan(stored, dataset.catalogue, WORLD, forecaster(model).min_months, model)


def raw_forecasts(arguments: argparse.Namespace, panel: Panel, cutoffs: list[pd.Period]) -> list[Forecast]:
    """The model's own forecasts at every cutoff, before anything is calibrated."""
    kept = arguments.keep / f"{arguments.model}.npz" if arguments.keep else None
    if kept and kept.exists():
        cube = np.load(kept)["paths"]
        months = [pd.period_range(one + 1, one + HORIZON, freq="M") for one in cutoffs]
        return [
            Forecast(p, m, panel.series, (c,) * len(panel.series), arguments.model)
            for p, m, c in zip(cube, months, cutoffs, strict=True)
        ]
    origins = [(one, panel.until(one).future(one + HORIZON), panel.series) for one in cutoffs]
    model = forecaster(arguments.model)
    rolled = rolling(
        model,
        panel.until,
        origins,
        arguments.paths,
        0,
        arguments.workers,
        lambda done, of: print(f"{done}/{of}", end="\r"),
    )
    for failure in rolled.failures:
        print(failure)
    if rolled.failures:
        raise SystemExit("The model failed at some cutoffs; coverage of the others would flatter it.")
    forecasts = [one.select(panel.series) for one in rolled.forecasts]
    if kept:
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(kept, paths=np.stack([one.paths for one in forecasts]))
    return forecasts


def score(raw: list[Forecast], at: int, panel: Panel, chosen: Plan) -> pd.DataFrame:
    """Inside or outside, for every cell, way of making the interval and coverage at one cutoff."""
    final, cutoff = raw[at], raw[at].cutoff[0]
    past = raw[max(0, at - pipeline.LONG_ORIGINS) : at]
    ready, _ = pipeline.after_the_model(final, past, panel.y.loc[:cutoff], seed=0)
    done = coherent(ready, None, chosen)
    rows = []
    for stage, made in (
        ("raw", final.select(chosen.core)),
        ("calibrated", ready.select(chosen.core)),
        ("published", done),
    ):
        rows += _inside(stage, made, panel, "month") + _inside(stage, made, panel, "quarter")
    rows += _quarter_from_months(done, panel) + _unit_prices(done, chosen)
    return pd.DataFrame(rows, columns=["way", "kind", "series", "cutoff", "coverage", "inside", "width"])


def _unit_prices(made: Forecast, chosen: Plan) -> list[tuple]:
    """The ratio of value to quantity, of a month and of a whole quarter."""
    catalogue, names = workflow.load().catalogue, tuple(one.price for one in chosen.pairs)
    kinds, came = (
        all_totals(made, chosen.y.loc[: made.cutoff[0]], catalogue, names),
        truth_of(chosen.y, catalogue, names),
    )
    rows = []
    for kind in ("month", "quarter"):
        of = kinds[kind]
        whole = [at for at in range(len(of.labels)) if kind == "month" or of.observed[at].max() == 0]
        truth = came[kind].reindex([of.labels[at] for at in whole]).to_numpy()
        rows += _judged("published unit price", kind, of.series, made.cutoff[0], of.paths[:, whole], truth)
    return rows


def _inside(way: str, made: Forecast, panel: Panel, kind: str) -> list[tuple]:
    of = totals(made, panel.y.loc[: made.cutoff[0]], kind)
    whole = [at for at in range(len(of.labels)) if kind == "month" or of.observed[at].max() == 0]
    truth = _truth(made, panel, kind, [of.labels[at] for at in whole])
    return _judged(way, kind, made.series, made.cutoff[0], of.paths[:, whole], truth)


def _judged(way, kind, series, cutoff, paths, truth) -> list[tuple]:
    rows = []
    for coverage in (80, 95):
        # There is no price on a path without trade.
        low, high = np.nanquantile(paths, [0.5 - coverage / 200, 0.5 + coverage / 200], axis=0)
        rows += _judge(way, kind, series, cutoff, coverage, low, high, truth)
    return rows


def _quarter_from_months(made: Forecast, panel: Panel) -> list[tuple]:
    """What the next full quarter's interval would be from monthly bounds alone (steps 2 to 4)."""
    cells = made.paths[:, 1:4]
    truth = _truth(made, panel, "quarter", [f"{made.months[1].year}Q{made.months[1].quarter}"])
    rng = np.random.default_rng(0)
    shuffled = np.stack([rng.permuted(cells[:, row], axis=0) for row in range(3)], axis=1).sum(axis=1)
    rows = []
    for coverage in (80, 95):
        levels = [0.5 - coverage / 200, 0.5 + coverage / 200]
        low, high = np.quantile(cells, levels, axis=0).sum(axis=1)
        rows += _judge(
            "monthly bounds added", "quarter", made.series, made.cutoff[0], coverage, low[None], high[None], truth
        )
        low, high = np.quantile(shuffled, levels, axis=0)
        rows += _judge(
            "months independent", "quarter", made.series, made.cutoff[0], coverage, low[None], high[None], truth
        )
    return rows


def _truth(made: Forecast, panel: Panel, kind: str, labels: list[str]) -> np.ndarray:
    y = panel.y[list(made.series)]
    if kind == "quarter":
        y = y.groupby([f"{m.year}Q{m.quarter}" for m in y.index]).sum(min_count=3)
        return y.reindex(labels).to_numpy()
    return y.reindex(pd.PeriodIndex(labels, freq="M")).to_numpy()


def _judge(way, kind, series, cutoff, coverage, low, high, truth) -> list[tuple]:
    inside = (truth >= low) & (truth <= high)
    size = np.abs(truth)
    return [
        (
            way,
            kind,
            series[n],
            str(cutoff),
            coverage,
            bool(inside[m, n]),
            float((high - low)[m, n] / size[m, n]),
        )
        for m, n in np.ndindex(inside.shape)
        if not np.isnan(truth[m, n]) and not series[n].endswith("|beyond core")
    ]


def summary(rows: pd.DataFrame) -> pd.DataFrame:
    """Coverage with Clopper–Pearson bounds; ``origins`` counts cutoffs whose horizons do not overlap (the honest n)."""
    found = []
    for (way, kind, coverage), part in rows.groupby(["way", "kind", "coverage"], sort=False):
        rate = part["inside"].mean()
        origins = part["cutoff"].nunique()
        # Errors of one cutoff are related across series and steps: the bounds count cutoffs, not cells.
        low, high = stats.binomtest(round(rate * origins), origins).proportion_ci(0.95)
        found.append(
            (
                way,
                kind,
                coverage,
                rate,
                low,
                high,
                low <= coverage / 100 <= high,
                part["width"].mean(),
                len(part),
                origins,
            )
        )
    names = [
        "way",
        "kind",
        "nominal",
        "covered",
        "low",
        "high",
        "inside_bounds",
        "mean_width",
        "cells",
        "origins",
    ]
    return pd.DataFrame(found, columns=names)


if __name__ == "__main__":
    main()

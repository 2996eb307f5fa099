"""What a rolling backtest costs beside one fit, and whether what it shares between origins costs accuracy.

    python experiments/benchmarks/rolling.py --dataset FILE --horizon 18 --series 12 --origins 24

CPU seconds of (a) one forecast from cold, the last origin's; (b) the backtest as `forecasting.experiment` does it, with
choices of form and orders shared within a half-year; (c) every origin from cold, with nothing remembered. Forecasts of
(b) and (c) are scored by the same truth: ratios above one say what sharing costs. Compiling and imports are left out.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from against import scoring
from against.data import Task, read

from forecasting.errors import DataError, ForecastingError
from forecasting.experiment import Job, Origin, jobs_of, side_by_side, work
from forecasting.forecast import QUANTILE_COLUMNS, QUANTILES, Forecast
from forecasting.models import forecaster
from forecasting.models.ensemble import Ensemble
from forecasting.panel import Panel

MODELS = ("theta", "ets", "sarima", "boosting", "ensemble")
KEYS = ["model", "cutoff", "unique_id", "h"]


@dataclass(frozen=True)
class Rolled:
    """Forecasts and CPU seconds by origin."""

    forecasts: tuple[Forecast, ...]
    seconds: np.ndarray


def main() -> None:
    given = arguments()
    try:
        task = chosen(read(given.dataset, given.horizon), given.origins, given.series)
        tables = [measured(task, name, given.paths, given.seed) for name in given.models]
    except ForecastingError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    series, first, last = len(task.series), task.cutoffs[0], task.cutoffs[-1]
    print(f"{given.dataset.name}: {series} series, {given.origins} origins {first} to {last}, horizon {given.horizon}")
    table = pd.DataFrame(tables).set_index("model")
    print(table.to_string(float_format="{:.4g}".format))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(given.out / "rolling.csv")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--horizon", type=int, required=True)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--series", type=int, default=12)
    parser.add_argument("--origins", type=int, default=24, help="monthly, the last one a horizon before the end")
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="folder for rolling.csv")
    return parser.parse_args()


def chosen(task: Task, origins: int, count: int) -> Task:
    """The last monthly origins, and so many series, from all over the file, that can be forecast from each of them."""
    last = task.cutoffs[-1]
    rolled = replace(task, cutoffs=tuple(pd.period_range(last - origins + 1, last, freq="M")))
    able = sorted(set[str].intersection(*(set(rolled.wanted(cutoff)) for cutoff in rolled.cutoffs)))
    if not able:
        raise DataError(f"No series is long enough for {origins} origins and horizon {task.horizon}: take fewer.")
    return replace(rolled, y=task.y[able[:: max(len(able) // count, 1)][:count]])


def measured(task: Task, name: str, paths: int, seed: int) -> dict[str, float | str]:
    """One row: CPU seconds, their ratios, and scores shared over scores from cold."""
    warm_up(task, name, paths, seed)
    shared, cold = rolled(task, name, paths, seed, together=True), rolled(task, name, paths, seed, together=False)
    scored = {one: scores(task, made) for one, made in (("b", shared), ("c", cold))}
    apart = max(
        float(np.max(np.abs(one.paths - other.paths) / np.abs(other.paths).mean(axis=(0, 1))))
        for one, other in zip(shared.forecasts, cold.forecasts, strict=True)
    )
    a, b, c = cold.seconds[-1], shared.seconds.sum(), cold.seconds.sum()
    return {
        "model": name,
        "a ms a series": 1000 * a / len(task.series),
        "b ms a series": 1000 * b / len(task.series),
        "c ms a series": 1000 * c / len(task.series),
        "b / a": b / a,
        "c / a": c / a,
        "b / c": b / c,
        "mase c": scored["c"]["mase"],
        "mase b / c": scored["b"]["mase"] / scored["c"]["mase"],
        "sql c": scored["c"]["sql"],
        "sql b / c": scored["b"]["sql"] / scored["c"]["sql"],
        "paths apart": apart,
    }


def warm_up(task: Task, name: str, paths: int, seed: int) -> None:
    """Imports and compiled code are there before any clock runs."""
    rolled(replace(task, y=task.y.iloc[:, :2], cutoffs=task.cutoffs[-1:]), name, paths, seed, together=True)


def rolled(task: Task, name: str, paths: int, seed: int, together: bool) -> Rolled:
    """Every origin, with choices shared as in a backtest or each origin alone and from cold."""
    whole = forecaster(name)
    parts, share = (whole.parts(), whole.share(paths)) if isinstance(whole, Ensemble) else ((whole,), paths)
    seconds = np.zeros(len(task.cutoffs))
    members = []
    for part in parts:
        pieces: list[list[Forecast]] = [[] for _ in task.cutoffs]
        for at in [range(len(task.cutoffs))] if together else [[one] for one in range(len(task.cutoffs))]:
            panels, origins = zip(*(origin(task, task.cutoffs[one]) for one in at), strict=True)
            for job, places in jobs_of(part, panels, origins, (share,), seed, watched=False):
                for place, made, took in zip(places, *afresh(job), strict=True):
                    pieces[at[place]].append(made)
                    seconds[at[place]] += took
        members.append([side_by_side(found) for found in pieces])
    if isinstance(whole, Ensemble):
        for at, made in enumerate(zip(*members, strict=True)):
            began = time.process_time()
            members[0][at] = whole.combine(made, paths)
            seconds[at] += time.process_time() - began
    return Rolled(tuple(members[0]), seconds)


def origin(task: Task, cutoff: pd.Period) -> tuple[Panel, Origin]:
    """What is known there, and what is wanted."""
    ahead = pd.DataFrame(index=pd.period_range(cutoff + 1, cutoff + task.horizon, freq="M"))
    return task.panel(cutoff), (cutoff, ahead, task.wanted(cutoff))


def afresh(job: Job) -> tuple[list[Forecast], Sequence[float]]:
    """The job's forecasts and CPU seconds by origin, nothing remembered from jobs before."""
    for module in [one for key, one in sys.modules.items() if key.startswith("forecasting.models.")]:
        for value in list(vars(module).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()
    done = work(job)
    if failed := [one for one in done.forecasts if isinstance(one, str)]:
        raise DataError(f"{job.forecaster.name} failed: {failed[0]}")
    return [one[0] for one in done.forecasts if not isinstance(one, str)], done.seconds


def scores(task: Task, made: Rolled) -> pd.Series:
    """MASE and sQL over all origins, series and steps."""
    rows = []
    for cutoff, one in zip(task.cutoffs, made.forecasts, strict=True):
        quantiles = np.quantile(one.paths, QUANTILES, axis=0).reshape(len(QUANTILES), -1)
        steps = np.repeat(np.arange(1, task.horizon + 1), len(one.series))
        keys = [np.full(len(steps), one.model), np.full(len(steps), str(cutoff))]
        keys += [np.tile(one.series, task.horizon), steps]
        columns = dict(zip((*KEYS, *QUANTILE_COLUMNS), (*keys, *quantiles), strict=True))
        rows.append(pd.DataFrame({**columns, "point": columns["q50"]}))
    scored = scoring.cells(scoring.Truth.of(task), pd.concat(rows, ignore_index=True))
    return scoring.averaged(scored, ["mase", "sql"]).iloc[0]


if __name__ == "__main__":
    main()

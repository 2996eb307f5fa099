"""Forecasts of other libraries: a program of its own, so that it can run in an interpreter of theirs.

    PYTHON peers.py TASK.parquet OUT.parquet --horizon H --peers AutoETS … [--workers N]

TASK: fold, unique_id, ds (whole numbers), y. OUT: model, fold, unique_id, h, mean, lo-95 … hi-50; beside it OUT.json
with CPU seconds by peer. Nothing of tradecast is imported here.
"""

from __future__ import annotations

import argparse
import json
import resource
import warnings
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd

LEVELS = (50, 80, 90, 95)
BOUNDS = tuple(f"{side}-{level}" for side in ("lo", "hi") for level in LEVELS)
NAMES = {"seasonal_naive": "SeasonalNaive"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("task", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--horizon", type=int, required=True)
    parser.add_argument("--peers", nargs="+", required=True)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    warnings.filterwarnings("ignore")
    task = pd.read_parquet(given.task)
    made, seconds = {}, {}
    for name in given.peers:
        forecast = light_gbm if name == "LightGBM" else statistical
        if forecast is statistical:  # compiles at its first call
            forecast(name, task[task["unique_id"] == task["unique_id"].iloc[0]], given.horizon, 1)
        began = cpu()
        made[name] = forecast(name, task, given.horizon, given.workers)
        seconds[name] = cpu() - began
    pd.concat([table.assign(model=name) for name, table in made.items()], ignore_index=True).to_parquet(given.out)
    given.out.with_suffix(".json").write_text(json.dumps(seconds))


def cpu() -> float:
    """CPU seconds, user and system, of this process and its children so far."""
    uses = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return sum(use.ru_utime + use.ru_stime for use in uses)


def statistical(name: str, task: pd.DataFrame, horizon: int, workers: int) -> pd.DataFrame:
    """A model of statsforecast with its defaults, season 12, series by series.

    By its models and not by its StatsForecast class, which hands pandas 3's read-only arrays to AutoCES, which fails.
    """
    keys, values = zip(*task.groupby(["fold", "unique_id"], sort=False)["y"], strict=True)
    one = partial(_forecast, NAMES.get(name, name), horizon)
    if workers > 1:
        with ProcessPoolExecutor(workers) as pool:
            found = list(pool.map(one, [y.to_numpy(copy=True) for y in values], chunksize=8))
    else:
        found = [one(y.to_numpy(copy=True)) for y in values]
    ids = {"fold": [fold for fold, _ in keys for _ in range(horizon)]}
    ids["unique_id"] = [series for _, series in keys for _ in range(horizon)]
    columns = {column: np.concatenate([table[column] for table in found]) for column in ("mean", *BOUNDS)}
    return tidy(pd.DataFrame({**ids, **columns}))


def _forecast(name: str, horizon: int, y: np.ndarray) -> dict[str, np.ndarray]:
    from statsforecast import models

    warnings.filterwarnings("ignore")
    return getattr(models, name)(season_length=12).forecast(y=y, h=horizon, level=list(LEVELS))


def light_gbm(name: str, task: pd.DataFrame, horizon: int, workers: int) -> pd.DataFrame:
    """LightGBM on lags 1 to 24 of yearly differences of all series, each scaled by itself; conformal from two windows.

    Of the ways to scale and difference that were tried on M3 this is the best (without differences: MASE 1.18).
    """
    import lightgbm
    from mlforecast import MLForecast
    from mlforecast.target_transforms import Differences, LocalStandardScaler
    from mlforecast.utils import PredictionIntervals

    pieces = []
    for fold, part in task.groupby("fold", sort=False):
        trees = lightgbm.LGBMRegressor(verbosity=-1, num_threads=workers, random_state=0)
        run = MLForecast(
            models={"trees": trees},
            freq=1,
            lags=list(range(1, 25)),
            target_transforms=[Differences([12]), LocalStandardScaler()],
        )
        windows = PredictionIntervals(n_windows=2, h=horizon)
        run.fit(part[["unique_id", "ds", "y"]], prediction_intervals=windows)
        table = run.predict(horizon, level=list(LEVELS))
        bounds = {bound: table[f"trees-{bound}"].to_numpy() for bound in BOUNDS}
        pieces.append(
            pd.DataFrame({"fold": fold, "unique_id": table["unique_id"], "mean": table["trees"].to_numpy(), **bounds})
        )
    return tidy(pd.concat(pieces, ignore_index=True))


def tidy(table: pd.DataFrame) -> pd.DataFrame:
    """With the step counted (1 … h) within fold and series."""
    return table.assign(h=table.groupby(["fold", "unique_id"], sort=False).cumcount() + 1)


if __name__ == "__main__":
    main()

"""Forecasts of the peers, made in a process of their own and kept."""

from __future__ import annotations

import hashlib
import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from against.data import Task
from forecasting.errors import DataError
from forecasting.forecast import COVERAGES, QUANTILE_COLUMNS

PEERS = (
    "seasonal_naive", "DynamicOptimizedTheta", "AutoETS", "AutoCES", "AutoARIMA", "median4", "LightGBM",
)  # fmt: skip
FOUR = ("AutoARIMA", "AutoETS", "AutoCES", "DynamicOptimizedTheta")
PROGRAM = Path(__file__).with_name("peers.py")


def of_peers(
    task: Task, names: Sequence[str], python: str, folder: Path, workers: int
) -> tuple[pd.DataFrame, dict[str, float]]:
    """Forecast rows (model, cutoff, unique_id, h, point, nine quantiles) and CPU seconds by peer."""
    needed = list(dict.fromkeys(one for name in names for one in (FOUR if name == "median4" else (name,))))
    rows = asked(task)
    digest = hashlib.sha256(pd.util.hash_pandas_object(rows).to_numpy().tobytes()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    tables, seconds = {}, {}
    for name in needed:
        kept = folder / f"peer-{name}-{digest}-h{task.horizon}.parquet"
        if not kept.exists():
            _run(rows, kept, name, task.horizon, python, workers)
        tables[name] = _rows(pd.read_parquet(kept), name)
        seconds[name] = json.loads(kept.with_suffix(".json").read_text())[name]
    if "median4" in names:
        tables["median4"] = _median([tables[one] for one in FOUR])
        seconds["median4"] = sum(seconds[one] for one in FOUR)
    return pd.concat([tables[name] for name in names], ignore_index=True), {name: seconds[name] for name in names}


def asked(task: Task) -> pd.DataFrame:
    """Rows fold, unique_id, ds (month number), y: each series from its first known month on, holes filled."""
    pieces = []
    for cutoff in task.cutoffs:
        if not (wanted := list(task.wanted(cutoff))):
            continue
        known = task.y.loc[:cutoff, wanted].interpolate(limit_area="inside").ffill()
        long = known.set_axis(known.index.asi8, axis=0).melt(ignore_index=False, var_name="unique_id", value_name="y")
        pieces.append(long.dropna().rename_axis("ds").reset_index().assign(fold=str(cutoff)))
    return pd.concat(pieces, ignore_index=True)[["fold", "unique_id", "ds", "y"]]


def _run(asked: pd.DataFrame, out: Path, name: str, horizon: int, python: str, workers: int) -> None:
    tasks = out.with_suffix(".task")
    asked.to_parquet(tasks)
    # -P: the names of our scripts are not for their imports.
    call = [python, "-P", str(PROGRAM), str(tasks), str(out), "--horizon", str(horizon)]
    done = subprocess.run([*call, "--peers", name, "--workers", str(workers)], capture_output=True, text=True)
    tasks.unlink()
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise DataError(
            f"{name} failed under {python}: {said}. Install the peers (pip install -e '.[bench]')"
            " or give --peer-python."
        )


def _rows(table: pd.DataFrame, name: str) -> pd.DataFrame:
    bounds = {f"q{_digits(50 - level / 2)}": table[f"lo-{level}"] for level in COVERAGES}
    bounds |= {f"q{_digits(50 + level / 2)}": table[f"hi-{level}"] for level in COVERAGES}
    rows = pd.DataFrame({"model": name, "cutoff": table["fold"], "unique_id": table["unique_id"], "h": table["h"]})
    return rows.assign(point=table["mean"], q50=table["mean"], **bounds)[[*rows, "point", *QUANTILE_COLUMNS]]


def _digits(percent: float) -> str:
    """2.5 as 025, 10 as 10."""
    return f"{percent / 100:.3f}"[2:].rstrip("0").ljust(2, "0")


def _median(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Median of the four, of the point forecast and of every bound."""
    keys, values = ["cutoff", "unique_id", "h"], ["point", *QUANTILE_COLUMNS]
    ordered = [table.sort_values(keys, ignore_index=True) for table in tables]
    cube = np.median([table[values].to_numpy() for table in ordered], axis=0)
    return ordered[0].assign(model="median4", **dict(zip(values, cube.T, strict=True)))

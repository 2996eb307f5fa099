"""What it costs in accuracy to learn from a sample of a panel instead of from all of it.

    python experiments/benchmarks/sample_size.py --dataset FILE --sizes 50 200 700 1500

The file (``unique_id, ds, y, split``) is cut up as a partitioned panel, its series moved to end in the same month,
forecast through `forecasting.partitioned` with samples of these sizes, and held against the rows of split ``test``.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.compute import Where
from forecasting.forecast import QUANTILE_COLUMNS
from forecasting.partition_request import Request, study_of
from forecasting.partitioned import run
from forecasting.partitions import Folder
from forecasting.scores import interval_score, quantile_loss

DEFAULT = Path(os.environ.get("TRADECAST_BENCH", "../shared/data/bench")) / "m3_monthly.parquet"
LAST = pd.Period("2020-12", "M")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=DEFAULT)
    parser.add_argument("--sizes", type=int, nargs="+", default=[50, 200, 700, 1500])
    parser.add_argument("--model", default="ensemble")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th series")
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    if not given.dataset.is_file():
        sys.exit(f"{given.dataset} is not there: name a file with --dataset, or its folder in TRADECAST_BENCH.")
    table = pd.read_parquet(given.dataset)
    kept = sorted(table["unique_id"].unique())[:: given.every]
    table = table[table["unique_id"].isin(kept)]
    known, truth = (table[table["split"] == one] for one in ("train", "test"))
    horizon = int(truth.groupby("unique_id").size().max())
    rows = []
    with tempfile.TemporaryDirectory(prefix="tradecast-sample-") as folder:
        for size in given.sizes:
            study = replace(study_of(given.model, horizon, given.paths, 0), sample=size)
            request = Request(
                study, cut(known, Path(folder, "in")), Folder(f"{folder}/{size}"), where=Where(given.workers)
            )
            began = time.process_time()
            run(request)
            found = pd.read_parquet(Path(folder, str(size)))
            rows.append({"sample": size, **scored(found, known, truth), "CPU s here": time.process_time() - began})
            print(pd.DataFrame(rows).tail(1).to_string(index=False, header=len(rows) == 1), flush=True)


def cut(known: pd.DataFrame, folder: Path) -> Folder:
    """Files of 200 series, the last value of each in the same month."""
    folder.mkdir(exist_ok=True)
    back = known.groupby("unique_id")["ds"].rank(ascending=False).astype(int) - 1
    months = (LAST.ordinal - back).to_numpy().astype("datetime64[M]").astype("datetime64[s]")
    long = pd.DataFrame({"series": known["unique_id"], "month": months, "value": known["y"]})
    place = pd.factorize(long["series"])[0] // 200
    for at, part in long.groupby(place):
        part.to_parquet(folder / f"part-{at:03d}.parquet", index=False)
    return Folder(str(folder))


def scored(found: pd.DataFrame, known: pd.DataFrame, truth: pd.DataFrame) -> dict[str, float]:
    """MASE (lag 12), scaled quantile loss, MSIS and coverage over all series and months."""
    months = found[found["kind"] == "month"].set_index(["series", "step"]).sort_index()
    step = truth.groupby("unique_id")["ds"].rank().astype(int)
    actual = pd.Series(
        truth["y"].to_numpy(), pd.MultiIndex.from_arrays([truth["unique_id"], step], names=["series", "step"])
    )
    scale = known.sort_values("ds").groupby("unique_id")["y"].apply(lambda y: np.abs(y.diff(12)).mean())
    both = months.join(actual.rename("actual"), how="inner")
    y, by = both["actual"].to_numpy(), both.index.get_level_values(0).map(scale).to_numpy()
    low, high = both["q025"].to_numpy(), both["q975"].to_numpy()
    return {
        "series": both.index.get_level_values(0).nunique(),
        "mase": float(np.mean(np.abs(y - both["q50"].to_numpy()) / by)),
        "sql": float(np.mean(quantile_loss(both[list(QUANTILE_COLUMNS)].to_numpy(), y) / by)),
        "msis95": float(np.mean(interval_score(low, high, y, 95) / by)),
        "cov95": 100 * float(np.mean((low <= y) & (y <= high))),
        "cov80": 100 * float(both["actual"].between(both["q10"], both["q90"]).mean()),
    }


if __name__ == "__main__":
    main()

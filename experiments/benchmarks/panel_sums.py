"""What tying sums does to forecasts of a partitioned panel: parents and parts, tied and each for itself, in one run.

    python experiments/benchmarks/panel_sums.py --dataset FILE --model theta

Series of the file (``unique_id, ds, y``) that reach its last month become families of ``--parts`` by a seeded shuffle;
their sum is the parent, and in every second family one part is not listed. The panel is backtested through
`forecasting.partitioned` with the column ``parent`` and without it, over the same cutoffs.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting.compute import Where
from forecasting.forecast import QUANTILE_COLUMNS
from forecasting.partition_request import Request, study_of
from forecasting.partitioned import run
from forecasting.partitions import Folder
from forecasting.scores import quantile_loss
from forecasting.seeds import stream

DEFAULT = Path(os.environ.get("TRADECAST_BENCH", "../shared/data/bench")) / "census_trade_dev.parquet"
MONTHS = 240
SHARE_KNOWN = 0.9
FAMILIES_A_FILE = 6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=DEFAULT)
    parser.add_argument("--model", default="theta")
    parser.add_argument("--parts", type=int, default=6)
    parser.add_argument("--cutoffs", type=int, default=24)
    parser.add_argument("--horizon", type=int, default=6)
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    if not given.dataset.is_file():
        sys.exit(f"{given.dataset} is not there: name a file with --dataset, or its folder in TRADECAST_BENCH.")
    families = panel(given.dataset, given.parts, given.seed)
    study = study_of(given.model, given.horizon, given.paths, given.seed)
    rows = []
    with tempfile.TemporaryDirectory(prefix="tradecast-sums-") as folder:
        for name in ("each for itself", "tied"):
            data = written(families if name == "tied" else [one.drop(columns="parent") for one in families],
                           Path(folder, name, "in"))  # fmt: skip
            out = Folder(str(Path(folder, name, "out")))
            began = time.process_time()
            made = run(Request(study, data, out, lambda last: cutoffs(last, given), where=Where(given.workers)))
            seconds = time.process_time() - began
            found = pd.read_parquet(out.url)
            rows += scored(found, name)
            print(f"{name}: {made.total('tied'):,.0f} parents tied, {seconds:.0f} CPU s here", flush=True)
    table = pd.DataFrame(rows).sort_values(["who", "kind"], kind="stable")
    print(table.to_string(index=False, float_format="%.4g"))


def panel(dataset: Path, parts: int, seed: int) -> list[pd.DataFrame]:
    """Families as long rows, the parent first."""
    table = pd.read_parquet(dataset)
    months = pd.to_datetime(table["ds"]).dt.to_period("M")
    y = table.assign(month=months).pivot(index="month", columns="unique_id", values="y").sort_index().iloc[-MONTHS:]
    there = sorted(y.columns[(y.notna().mean() >= SHARE_KNOWN) & y.iloc[-1].notna()])
    order = [there[at] for at in stream(seed, "families").permutation(len(there))]
    families = []
    for at in range(len(order) // parts):
        members, parent = order[at * parts : (at + 1) * parts], f"family {at:03d}"
        listed = members[at % 2 :]
        wide = pd.concat([y[members].sum(axis=1).rename(parent), y[listed]], axis=1)
        long = wide.rename_axis(columns="series").stack().dropna().rename("value").reset_index()
        long["month"] = long["month"].astype(str)
        families.append(long.assign(parent=long["series"].where(long["series"] == parent, parent)))
        families[-1].loc[long["series"] == parent, "parent"] = ""
    return families


def written(families: list[pd.DataFrame], folder: Path) -> Folder:
    """Files of some families each."""
    folder.mkdir(parents=True)
    for at in range(0, len(families), FAMILIES_A_FILE):
        pd.concat(families[at : at + FAMILIES_A_FILE]).to_parquet(folder / f"part-{at:03d}.parquet", index=False)
    return Folder(str(folder))


def cutoffs(last: pd.Period, given: argparse.Namespace) -> tuple[pd.Period, ...]:
    """Every third month until the last one whose whole horizon is known."""
    return tuple(last - given.horizon - 3 * back for back in reversed(range(given.cutoffs)))


def scored(found: pd.DataFrame, name: str) -> list[dict[str, object]]:
    """Losses and coverage of parents and parts, months and quarters."""
    rows = []
    parent = found["series"].str.startswith("family ")
    for who, mine in (("parents", found[parent]), ("parts", found[~parent])):
        for kind in ("month", "quarter"):
            cells = mine[mine["kind"] == kind]
            y, by = cells["actual"].to_numpy(), cells["scale"].where(cells["scale"] > 0).to_numpy()
            row: dict[str, object] = {"who": who, "kind": kind, "how": name, "cells": len(cells)}
            row["mase"] = float(np.nanmean(np.abs(y - cells["q50"]) / by))
            row["sql"] = float(np.nanmean(quantile_loss(cells[list(QUANTILE_COLUMNS)].to_numpy(), y) / by))
            for coverage, low, high in ((80, "q10", "q90"), (95, "q025", "q975")):
                row[f"cov{coverage}"] = 100 * float(((cells[low] <= y) & (y <= cells[high])).mean())
            rows.append(row)
    return rows


if __name__ == "__main__":
    main()

"""tradecast and its peers side by side on any monthly data set: scores, differences with bounds, forecasts on disk.

    python experiments/benchmarks/accuracy.py --dataset FILE --horizon 18
    python experiments/benchmarks/accuracy.py --dataset FILE --horizon 6 --rolling 6y --step 3

FILE: parquet ``unique_id, ds, y[, t, split]``. Rows of split ``test`` are held out as given; without a split the last
``--horizon`` months; ``--rolling`` forecasts from every ``--step`` months of the last years. Peers run in a process of
their own (``pip install -e '.[bench]'``, or ``--peer-python`` where they live elsewhere). What every score means:
docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from against import ours, scoring
from against.data import Task, read
from against.others import PEERS, of_peers

from forecasting.compute import silent
from forecasting.errors import DataError, ForecastingError

MODELS = ("theta", "ets", "sarima", "boosting", "ensemble", ours.CHAIN)
BREAKS = (2020, 2022)
BOUND_COLUMNS = {
    "lo-95": "q025", "hi-95": "q975", "lo-80": "q10", "hi-80": "q90", "lo-90": "q05", "hi-90": "q95", "lo-50": "q25",
    "hi-50": "q75",
}  # fmt: skip


def main() -> None:
    given = arguments()
    try:
        run(given)
    except ForecastingError as error:
        print(error, file=sys.stderr)
        sys.exit(2)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--horizon", type=at_least_one, required=True)
    parser.add_argument(
        "--models", nargs="*", default=list(MODELS), help=f"of {', '.join(MODELS)} and tradecast's others"
    )
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), help=f"of {', '.join(PEERS)}, or any of statsforecast"
    )
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter in which the peers are installed")
    parser.add_argument("--every", type=at_least_one, default=1, help="only every so many-th series")
    parser.add_argument("--rolling", type=years, help="origins of the last years, such as 6y")
    parser.add_argument("--step", type=at_least_one, default=3, help="months from one rolling origin to the next")
    parser.add_argument(
        "--origins", nargs="*", default=[], type=month, help="these cutoffs instead, such as 2019-12 2021-12"
    )
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for forecasts and tables")
    parser.add_argument(
        "--keep", type=Path, help="folder for quantile rows, read again if there (ours by the code that made them)"
    )
    return parser.parse_args()


def years(text: str) -> int:
    if not text.removesuffix("y").isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not a number of years such as 6y")
    return int(text.removesuffix("y"))


def at_least_one(text: str) -> int:
    if not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a whole number from 1 on")
    return int(text)


def month(text: str) -> str:
    try:
        return str(pd.Period(text, "M"))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text} is not a month such as 2019-12") from error


def run(given: argparse.Namespace) -> None:
    if twice := set(given.models) & set(given.peers):
        raise DataError(f"{', '.join(twice)} is named among models and peers: leave it out of one of them.")
    task = read(given.dataset, given.horizon, given.every, given.rolling, given.step, tuple(given.origins))
    print(f"{given.dataset.name}: {len(task.series)} series, {len(task.cutoffs)} cutoffs, horizon {task.horizon}")
    for remark in task.remarks:
        print(remark)
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        peers, seconds = (
            of_peers(task, given.peers, given.peer_python, folder, given.workers) if given.peers else (None, {})
        )
        made = ours.of_ours(task, given.models, given.paths, given.seed, given.workers, folder, silent)
        for line in made.failures:
            print(f"failed: {line}")
        tables = report(task, peers, made, seconds | made.seconds, given)
        if given.out:
            write(given.out, made, peers, tables, len(task.cutoffs) > 1)


def scored_cells(task: Task, peers: pd.DataFrame | None, made: ours.Ours, quarters: bool = False) -> pd.DataFrame:
    """Losses of every cell that all models have, chunk after chunk, without the forecasts; of quarter totals instead.

    A quarter's total is ours from paths; of peers, who have none, the months and their bounds are added.
    """
    pieces = []
    models = len({one for files in made.files for one in files}) + (0 if peers is None else peers["model"].nunique())
    first = {str(cutoff): ours.quarter_steps(cutoff)[0] for cutoff in task.cutoffs}
    for at, ids in enumerate(made.series):
        part = replace(task, y=task.y[list(ids)])
        own, theirs = made.chunk(at), None if peers is None else peers[peers["unique_id"].isin(ids)]
        if quarters and theirs is not None:
            theirs = added(theirs, first)
        rows = [ours.quarters(own) if quarters else ours.months(own), *([] if theirs is None else [theirs])]
        if not any(part.wanted(cutoff) for cutoff in part.cutoffs):
            continue
        truth = scoring.Truth.of(part, 3 if quarters else 1)
        found = scoring.cells(truth, pd.concat(rows, ignore_index=True), models)
        pieces.append(found.drop(columns=[*scoring.QUANTILE_COLUMNS, "point", "actual", "mean of paths"]))
    scored = pd.concat(pieces, ignore_index=True)
    if scored.empty:
        raise DataError(
            "No cell can be scored: none was forecast by all models, or no series ever changes on a year earlier"
            " (see above): choose other models or data."
        )
    return scored


def report(
    task: Task, peers: pd.DataFrame | None, made: ours.Ours, seconds: dict[str, float], given: argparse.Namespace
) -> dict[str, pd.DataFrame]:
    """Every table, printed and by name."""
    scored = scored_cells(task, peers, made)
    overlap = max(-(-task.horizon // max(given.step, 1)), 1) if len(task.cutoffs) > 1 else 1
    forecasts = sum(len(task.wanted(cutoff)) for cutoff in task.cutoffs)
    main_table = scoring.table(scored, task.horizon)
    main_table["CPU ms"] = 1000 * pd.Series(seconds) / forecasts
    tables = {"scores": main_table.round(3), "coverage": scoring.bounds(scored, overlap).round(1)}
    mine = [one for one in given.models if one in main_table.index]
    against = rivals(main_table, given.peers)
    if against and mine:
        tables["differences"] = scoring.differences(scored, mine, against, overlap, given.seed).round(4)
    if task.dated and len(task.cutoffs) > 1:
        year = pd.PeriodIndex.from_ordinals(scored["month"], freq="M").year
        period = np.where(np.isin(year, BREAKS), year.astype(str), "other years")
        tables |= {
            f"in {one}": scoring.table(scored[period == one], task.horizon).round(3) for one in np.unique(period)
        }
        if any(ours.quarter_steps(one)[-1] <= task.horizon for one in task.cutoffs):
            totals = scored_cells(task, peers, made, quarters=True)
            kinds = ["smape", "mase", "cov95", "cov80", "msis95", "sql"]
            tables["quarter totals"] = scoring.averaged(totals, kinds).sort_values("mase").round(3)
            tables["quarter coverage"] = scoring.bounds(totals, overlap).round(1)
    for name, table in tables.items():
        print(f"\n{name}\n{table.to_string()}")
    return tables


def rivals(table: pd.DataFrame, peers: Sequence[str]) -> list[str]:
    """The best peer by MASE, and the median of four."""
    there = [one for one in table.index if one in peers]
    return list(dict.fromkeys([*there[:1], *(one for one in there if one == "median4")]))


def added(rows: pd.DataFrame, first: dict[str, int]) -> pd.DataFrame:
    """Totals of the three months from step ``first`` of each cutoff on, points and bounds added."""
    start = rows["cutoff"].map(first)
    inside = rows[(rows["h"] >= start) & (rows["h"] <= start + 2)]
    values = ["point", *scoring.QUANTILE_COLUMNS]
    groups = inside.groupby(["model", "cutoff", "unique_id"], sort=False)[values]
    totals = groups.sum(min_count=3).dropna().reset_index()
    return totals.assign(h=totals["cutoff"].map(first) + 2)


def write(
    folder: Path, made: ours.Ours, peers: pd.DataFrame | None, tables: dict[str, pd.DataFrame], rolled: bool
) -> None:
    """Forecasts a model (unique_id, h, mean, lo-95 …; with cutoff where they roll) and the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    names = made.files[0]
    for model in (*names, *(() if peers is None else peers["model"].unique())):
        if model in names:
            part = pd.concat([ours.months(rows) for rows in made.chunks([model])], ignore_index=True)
        else:
            part = peers[peers["model"] == model]  # type: ignore[index]
        columns = {"unique_id": part["unique_id"], **({"cutoff": part["cutoff"]} if rolled else {}), "h": part["h"]}
        columns |= {"mean": part["point"]} | {name: part[column] for name, column in BOUND_COLUMNS.items()}
        pd.DataFrame(columns).sort_values(list(columns)[: 2 + rolled]).to_parquet(
            folder / f"{model}.parquet", index=False
        )
    for name, table in tables.items():
        table.to_csv(folder / f"{name.replace(' ', '_')}.csv")
    print(f"\nForecasts and tables are in {folder}")


if __name__ == "__main__":
    main()

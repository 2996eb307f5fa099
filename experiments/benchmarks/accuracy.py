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
from pathlib import Path

import numpy as np
import pandas as pd
from against import ours, scoring
from against.data import Task, read
from against.others import PEERS, of_peers

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
    parser.add_argument("--horizon", type=int, required=True)
    parser.add_argument(
        "--models", nargs="*", default=list(MODELS), help=f"of {', '.join(MODELS)} and tradecast's others"
    )
    parser.add_argument(
        "--peers", nargs="*", default=list(PEERS), help=f"of {', '.join(PEERS)}, or any of statsforecast"
    )
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter in which the peers are installed")
    parser.add_argument("--every", type=int, default=1, help="only every so many-th series")
    parser.add_argument("--rolling", type=years, help="origins of the last years, such as 6y")
    parser.add_argument("--step", type=int, default=3, help="months from one rolling origin to the next")
    parser.add_argument("--origins", nargs="*", default=[], help="these cutoffs instead, such as 2019-12 2021-12")
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--out", type=Path, help="folder for forecasts and tables")
    parser.add_argument(
        "--keep", type=Path, help="folder for raw forecasts, read again if there (delete after a change of code)"
    )
    return parser.parse_args()


def years(text: str) -> int:
    if not text.removesuffix("y").isdigit():
        raise argparse.ArgumentTypeError(f"{text} is not a number of years such as 6y")
    return int(text.removesuffix("y"))


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
    made = ours.of_ours(task, given.models, given.paths, given.seed, given.workers, given.keep, lambda done, of: None)
    for line in made.failures:
        print(f"failed: {line}")
    rows = pd.concat([one for one in (made.months, peers) if one is not None], ignore_index=True)
    tables = report(task, rows, made, seconds | made.seconds, given)
    if given.out:
        write(given.out, rows, tables, len(task.cutoffs) > 1)


def report(
    task: Task, rows: pd.DataFrame, made: ours.Ours, seconds: dict[str, float], given: argparse.Namespace
) -> dict[str, pd.DataFrame]:
    """Every table, printed and by name."""
    scored = scoring.cells(scoring.Truth.of(task), rows)
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
        if len(made.quarters):
            tables["quarter totals"], tables["quarter coverage"] = quarters(task, rows, made.quarters, overlap)
    for name, table in tables.items():
        print(f"\n{name}\n{table.to_string()}")
    return tables


def rivals(table: pd.DataFrame, peers: Sequence[str]) -> list[str]:
    """The best peer by MASE, and the median of four."""
    there = [one for one in table.index if one in peers]
    return list(dict.fromkeys([*there[:1], *(one for one in there if one == "median4")]))


def quarters(task: Task, rows: pd.DataFrame, own: pd.DataFrame, overlap: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Scores and coverage of the next quarter's total: ours from paths; of peers, who have none, the bounds added."""
    first = {str(cutoff): ours.quarter_steps(cutoff)[0] for cutoff in task.cutoffs}
    start = rows["cutoff"].map(first)
    inside = rows[~rows["model"].isin(own["model"]) & (rows["h"] >= start) & (rows["h"] <= start + 2)]
    values = ["point", *scoring.QUANTILE_COLUMNS]
    added = inside.groupby(["model", "cutoff", "unique_id"], sort=False)[values].agg(
        lambda of: of.sum() if len(of) == 3 else np.nan
    )
    added = added.dropna().reset_index()
    added["h"] = added["cutoff"].map(first) + 2
    scored = scoring.cells(scoring.Truth.of(task, 3), pd.concat([own, added], ignore_index=True))
    kinds = ["smape", "mase", "cov95", "cov80", "msis95", "sql"]
    return scoring.averaged(scored, kinds).sort_values("mase").round(3), scoring.bounds(scored, overlap).round(1)


def write(folder: Path, rows: pd.DataFrame, tables: dict[str, pd.DataFrame], rolled: bool) -> None:
    """Forecasts a model (unique_id, h, mean, lo-95 …; with cutoff where they roll) and the tables."""
    folder.mkdir(parents=True, exist_ok=True)
    for model, part in rows.groupby("model"):
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

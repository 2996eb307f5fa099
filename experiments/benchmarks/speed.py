"""What forecasts cost: CPU seconds a series, wall seconds and peak memory, ours and the peers' in turn.

    python experiments/benchmarks/speed.py --dataset FILE --horizon 18 --series 10 60 [--workers 1 2] [--rounds 2]

Every run is a process of its own, all models one after another, and that again (A B A B), so that a busy hour of a
shared machine meets them alike; the least CPU time of the rounds counts. CPU is user + system, children included;
memory is the sum of resident sets of all processes of a run, watched every 20 ms. From the smallest and the largest
number of series: what one more series costs, in CPU milliseconds and in KiB; the rest is start-up (imports, compiling).
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from against import ours
from against.data import Task, read
from against.others import FOUR, PEERS, PROGRAM, asked

from forecasting.compute import silent
from forecasting.errors import ForecastingError
from forecasting.seeds import stream

MODELS = ("theta", "ets", "sarima", "boosting", "ensemble", ours.CHAIN)
WATCH = 0.02  # seconds
COPIED = 0.02  # by how much a copied series is another one
PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True)
class Cost:
    """CPU and wall seconds and peak MiB of one run."""

    cpu: float
    wall: float
    peak: float


def main() -> None:
    given = arguments()
    if given.inside:
        forecast(given)
        return
    try:
        task = read(given.dataset, given.horizon)
    except ForecastingError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    costs = measured(given, task)
    print(f"{given.dataset.name}, horizon {given.horizon}, least of {given.rounds} rounds")
    print(summary(costs).to_string())
    if len(given.series) > 2:
        print(by_size(costs).to_string())
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        summary(costs).to_csv(given.out / "speed.csv")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, required=True)
    parser.add_argument("--horizon", type=int, required=True)
    parser.add_argument("--models", nargs="*", default=list(MODELS))
    parser.add_argument("--peers", nargs="*", default=[one for one in PEERS if one != "median4"])
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter in which the peers are installed")
    parser.add_argument("--series", type=int, nargs="+", default=[10, 60], help="numbers of series")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--out", type=Path, help="folder for speed.csv")
    parser.add_argument("--inside", help=argparse.SUPPRESS)
    return parser.parse_args()


def forecast(given: argparse.Namespace) -> None:
    """What a measured process of ours does."""
    task = read(given.dataset, given.horizon)
    with tempfile.TemporaryDirectory() as scratch:
        made = ours.of_ours(task, [given.inside], given.paths, 0, given.workers[0], Path(scratch), silent)
    if made.failures:
        print(f"{len(made.failures)} failed: {made.failures[0]}", file=sys.stderr)


def measured(given: argparse.Namespace, task: Task) -> pd.DataFrame:
    """One row a run: name, workers, series, round, cpu, wall, peak."""
    found = []
    with tempfile.TemporaryDirectory() as scratch:
        for count in given.series:
            part = few(task, count)
            file, rows = Path(scratch) / f"{count}.parquet", Path(scratch) / f"{count}-peers.parquet"
            long(part).to_parquet(file)
            if given.peers:
                asked(part).to_parquet(rows)
            for turn in range(given.rounds):
                for workers in given.workers:
                    for name in (*given.models, *given.peers):
                        cost = run(command(given, name, file, rows, workers))
                        key = {"name": name, "workers": workers, "series": len(part.series), "round": turn}
                        found.append(key | vars(cost))
                        print(f"{key} {cost}", file=sys.stderr)
    return pd.DataFrame(found)


def few(task: Task, count: int) -> Task:
    """So many series from all over the task; where it has fewer, also copies of other names, off by some percent.

    Without that a choice made for one would be remembered for all its copies.
    """
    have = list(task.wanted(task.cutoffs[0]))
    chosen = have[:: max(len(have) // count, 1)][:count]
    y = task.y[chosen]
    copies = [y]
    for at in range(1, -(-count // len(chosen))):
        off = np.exp(COPIED * stream(0, "copy", at).standard_normal(y.shape))
        copies.append((y * off).rename(columns=lambda one, at=at: f"{one} {at}"))
    return replace(task, y=pd.concat(copies, axis=1).iloc[:, :count])


def long(task: Task) -> pd.DataFrame:
    """unique_id, ds, y as a user has them."""
    table = task.y.set_axis(task.y.index.to_timestamp(), axis=0).rename_axis("ds")
    return table.melt(ignore_index=False, var_name="unique_id", value_name="y").dropna().reset_index()


def command(given: argparse.Namespace, name: str, file: Path, rows: Path, workers: int) -> list[str]:
    horizon = ["--horizon", str(given.horizon), "--workers", str(workers)]
    if name in given.models:
        inside = ["--inside", name, "--dataset", str(file), "--paths", str(given.paths)]
        return [sys.executable, __file__, *inside, *horizon]
    return [given.peer_python, "-P", str(PROGRAM), str(rows), str(rows.with_suffix(".out")), *horizon, "--peers", name]


def run(call: list[str]) -> Cost:
    """One process and its children, watched until it ends."""
    before, began, peak = os.times(), time.perf_counter(), 0
    process = subprocess.Popen(call, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    while process.poll() is None:
        peak = max(peak, resident(process.pid))
        time.sleep(WATCH)
    wall, after = time.perf_counter() - began, os.times()
    if process.returncode:
        said = process.stderr.read().decode().strip().splitlines() if process.stderr else []
        print(f"{' '.join(call)} failed: {said[-1] if said else 'no word'}", file=sys.stderr)
        return Cost(float("nan"), float("nan"), float("nan"))
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Cost(cpu, wall, peak / 2**20)


def resident(session: int) -> int:
    """Bytes in memory of all processes of a session."""
    total = 0
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
                if int(fields[3]) == session:
                    total += int(fields[21]) * PAGE
            except (OSError, IndexError):
                continue  # it ended meanwhile
    return total


def summary(costs: pd.DataFrame) -> pd.DataFrame:
    """By model and workers: the largest run, and what one more series costs."""
    least = costs.groupby(["name", "workers", "series"], sort=False)[["cpu", "wall", "peak"]].min().reset_index()
    found = []
    for (name, workers), group in least.groupby(["name", "workers"], sort=False):
        small, large = group.iloc[group["series"].argmin()], group.iloc[group["series"].argmax()]
        more = large["series"] - small["series"]
        row = {"model": name, "workers": workers, "series": large["series"], "CPU s": large["cpu"]}
        row |= {"wall s": large["wall"], "peak MiB": large["peak"]}
        if more:
            row["CPU ms a series"] = 1000 * (large["cpu"] - small["cpu"]) / more
            row["KiB a series"] = 1024 * (large["peak"] - small["peak"]) / more
            row["start-up CPU s"] = small["cpu"] - row["CPU ms a series"] / 1000 * small["series"]
        found.append(row)
    table = pd.DataFrame(found).set_index(["model", "workers"])
    return with_median(table).round(2)


def by_size(costs: pd.DataFrame) -> pd.DataFrame:
    """What every number of series took: is memory flat?"""
    least = costs.groupby(["name", "workers", "series"], sort=False)[["cpu", "wall", "peak"]].min()
    least["CPU ms a series"] = 1000 * least["cpu"] / least.index.get_level_values("series")
    return least.rename(columns={"cpu": "CPU s", "wall": "wall s", "peak": "peak MiB"}).round(1)


def with_median(table: pd.DataFrame) -> pd.DataFrame:
    """The median of four as the sum of its members."""
    sums = {}
    for workers in table.index.unique("workers"):
        rows = [(one, workers) for one in FOUR]
        if all(row in table.index for row in rows):
            sums[("median4", workers)] = table.loc[rows].sum()
    if not sums:
        return table
    added = pd.DataFrame(sums).T.rename_axis(table.index.names)
    added[["series", "peak MiB"]] = table.loc[[(FOUR[0], one) for _, one in sums], ["series", "peak MiB"]].to_numpy()
    return pd.concat([table, added])


if __name__ == "__main__":
    main()

"""What a partitioned panel costs by its size: series per CPU second, wall, memory of parent and workers, bytes.

    python experiments/benchmarks/scale.py --series 1000 10000 --workers 1 2 --model theta --out FOLDER

The panel is made by resampling a Parquet file of monthly series (``unique_id, ds, y``): each series is one of the
file's, times a factor of its own, with each month moved by a hundredth. Every run is `tradecast forecast --data DIR
--out DIR` in a process of its own; memory is the largest resident set that was seen of the parent and of any worker,
looked at five times a second; CPU is user + system of the parent and all it waited for. Bytes are held against the
least possible: every partition read once, every result written once.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

DEFAULT = Path(os.environ.get("TRADECAST_BENCH", "../shared/data/bench")) / "m3_monthly.parquet"


@dataclass(frozen=True)
class Row:
    """One run."""

    model: str
    series: int
    partitions: int
    workers: int
    wall: float
    cpu: float
    series_per_cpu_second: float
    parent_mib: float
    worker_mib: float
    read_per_series: float
    written_per_series: float
    least_read: float


def main() -> None:
    given = arguments()
    if not given.dataset.is_file():
        sys.exit(f"{given.dataset} is not there: name a file with --dataset, or its folder in TRADECAST_BENCH.")
    rows = []
    for count in given.series:
        folder = given.folder / f"panel-{count}-{given.partition}"
        made(given.dataset, folder, count, given.partition, given.seed)
        for workers in given.workers:
            rows.append(measured(folder, given.folder / "results", given, count, workers))
            table = pd.DataFrame(map(asdict, rows))
            print(
                table.tail(1).to_string(index=False, header=len(rows) == 1, float_format="{:,.1f}".format), flush=True
            )
    table = pd.DataFrame(map(asdict, rows))
    if given.out:
        given.out.mkdir(parents=True, exist_ok=True)
        table.to_csv(given.out / "scale.csv", index=False)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dataset", type=Path, default=DEFAULT)
    parser.add_argument("--series", type=int, nargs="+", default=[1_000, 10_000])
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--partition", type=int, default=500, help="series in a file")
    parser.add_argument("--model", default="theta")
    parser.add_argument("--paths", type=int, default=1000)
    parser.add_argument("--horizon", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--cluster", help="address of a Dask scheduler; --workers then only labels the row")
    parser.add_argument("--folder", type=Path, default=Path("scale-panels"), help="where panels and results are put")
    parser.add_argument("--out", type=Path, help="folder for scale.csv")
    return parser.parse_args()


def made(dataset: Path, folder: Path, count: int, size: int, seed: int) -> None:
    """The panel as partitions of so many series, unless it is there."""
    if len(list(folder.glob("*.parquet"))) == -(-count // size):
        return
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    table = pd.read_parquet(dataset)
    if "split" in table:
        table = table[table["split"] == "train"]
    pieces = [part["y"].to_numpy(dtype=float) for _, part in table.groupby("unique_id", sort=True)]
    last = np.datetime64(pd.Timestamp("2026-08-01"), "M")
    for at in range(0, count, size):
        rng = np.random.default_rng([seed, at])
        columns: tuple[list[np.ndarray], ...] = ([], [], [])
        for number in range(at, min(at + size, count)):
            values = pieces[int(rng.integers(len(pieces)))]
            values = values * np.exp(rng.normal()) * np.exp(rng.normal(0.0, 0.01, len(values)))
            columns[0].append(np.full(len(values), f"r{number:07d}"))
            columns[1].append(last - np.arange(len(values))[::-1])
            columns[2].append(np.round(values, 2))
        names, months, values = (np.concatenate(one) for one in columns)
        part = pd.DataFrame({"series": names, "month": months.astype("datetime64[s]"), "value": values})
        part.to_parquet(folder / f"part-{at // size:05d}.parquet", index=False)


def measured(folder: Path, results: Path, given: argparse.Namespace, count: int, workers: int) -> Row:
    shutil.rmtree(results, ignore_errors=True)
    spread = ["--cluster", given.cluster] if given.cluster else ["--workers", str(workers)]
    tradecast = Path(sys.executable).with_name("tradecast")
    command = [
        str(tradecast), "forecast", "--data", str(folder), "--out", str(results), "--model",
        given.model, "--paths", str(given.paths), "--horizon", str(given.horizon), "--seed", str(given.seed), *spread,
    ]  # fmt: skip
    began, before = time.monotonic(), os.times()
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    parent, worker = _watched(process)
    said = process.stderr.read() if process.stderr else ""
    if process.wait() != 0:
        sys.exit(f"The run of {count:,} series failed: {said[-500:]}")
    after = os.times()
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    size = sum(one.stat().st_size for one in folder.glob("*.parquet"))
    written = sum(one.stat().st_size for one in results.iterdir())
    # The survey and the forecast read every partition; the sample reads those that hold one of its series.
    sampled = min(1.0, 1_500 / max(count, 1) * given.partition)
    return Row(
        given.model, count, len(list(folder.glob("*.parquet"))), workers, time.monotonic() - began, cpu, count / cpu,
        parent / 2**20, worker / 2**20, size * (2 + sampled) / count, written / count, size / count,
    )  # fmt: skip


def _watched(process: subprocess.Popen[str]) -> tuple[float, float]:
    """Largest resident bytes of the process and of any of its children while it runs."""
    parent = worker = 0.0
    while process.poll() is None:
        parent = max(parent, _resident(process.pid))
        worker = max([worker, *map(_resident, _children(process.pid))])
        time.sleep(0.2)
    return parent, worker


def _children(pid: int) -> Iterator[int]:
    for one in Path("/proc").glob("[0-9]*"):
        try:
            if int((one / "stat").read_text().rsplit(")", 1)[1].split()[1]) == pid:
                yield int(one.name)
        except (OSError, IndexError):
            continue


def _resident(pid: int) -> float:
    try:
        return float(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE"))
    except OSError:
        return 0.0


if __name__ == "__main__":
    main()

"""What recording a finished backtest costs: `python experiments/benchmarks/tracking.py FOLDER [--tracking-uri URI]`.

Times each part, the share of the backtest's own time, and 300 runs of one score. Without an address it writes to a
new SQLite store in a temporary folder, so that the project's own store stays as it is.
"""

from __future__ import annotations

import argparse
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ENOUGH = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tracking-uri")
    given = parser.parse_args()
    os.environ["MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT"] = "true"
    with tempfile.TemporaryDirectory(prefix="tradecast-") as folder:
        root = Path(folder)
        shutil.copytree(
            given.folder, root / "data/backtests" / given.folder.name, ignore=shutil.ignore_patterns("parts")
        )
        (root / "data/catalogue.csv").write_text("id,title,unit\n")
        os.environ["TRADECAST_HOME"] = folder
        measure(root / "data/backtests" / given.folder.name, given.tracking_uri or f"sqlite:///{root}/mlflow.db")


def measure(folder: Path, uri: str) -> None:
    from forecasting import tracking
    from forecasting.backtest_files import read
    from forecasting.tracking_report import report
    from forecasting.tracking_sheet import Clean, Numbers, sheets

    result = read(folder)
    took = result.about["wall_seconds"]
    print(f"{result.name}: {len(result.rows)} rows, {len(result.about['models'])} models; ran for {took:.0f} s")
    timed("import of mlflow", lambda: __import__("mlflow"))
    numbers = Numbers(result)
    page = timed("scores, tests and report", lambda: report(numbers).encode())
    clean = Clean(Path.home(), Path.home())
    timed("sheets of all models", lambda: list(sheets(numbers, numbers.models, page, clean)))
    timed("first call; makes a new store", lambda: first_call(uri))
    whole = timed("record, all of it but the import", lambda: tracking.record(folder, uri))
    print(f"share of the backtest's time: {100 * whole.seconds / took:.1f} %, {whole.value.sent} runs")
    timed("record again: nothing to send", lambda: tracking.record(folder, uri))
    many(uri, result)


class Timed:
    """A value and the seconds it took."""

    def __init__(self, value: Any, seconds: float) -> None:
        self.value, self.seconds = value, seconds


def timed(what: str, work: Callable[[], Any]) -> Any:
    start = time.perf_counter()
    value = work()
    seconds = time.perf_counter() - start
    print(f"  {what:<36} {seconds:8.2f} s", flush=True)
    return Timed(value, seconds) if what.startswith("record,") else value


def first_call(uri: str) -> None:
    from mlflow import MlflowClient

    MlflowClient(tracking_uri=uri).search_experiments()


def many(uri: str, result: Any) -> None:
    """300 runs with one score each, and the search that the leaderboard makes."""
    from mlflow import MlflowClient

    from forecasting import tracking
    from forecasting.tracking_sheet import Metric, Sheet

    client = MlflowClient(tracking_uri=uri)
    experiment = client.create_experiment(f"many-{time.time_ns()}")
    start = time.perf_counter()
    made = (
        Sheet(f"m{at}", f"m{at}", f"{at}", {"model": f"m{at}"}, (Metric("skill", at / ENOUGH),), {}, "", {}, 1.0)
        for at in range(ENOUGH)
    )
    for one in made:
        tracking._write(client, experiment, result, one, {"latest": "yes"})
    print(f"  {f'{ENOUGH} runs':<36} {time.perf_counter() - start:8.2f} s")
    order = ["metrics.skill DESC"]
    timed(
        "leaderboard's search among them",
        lambda: client.search_runs([experiment], "tags.latest = 'yes'", order_by=order),
    )


if __name__ == "__main__":
    main()

"""Partitioned panels: `tradecast forecast --data FOLDER --out FOLDER`, and the same for `backtest run`."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from forecasting.errors import DataError

if TYPE_CHECKING:
    from forecasting.compute import Where
    from forecasting.experiments_file import Experiment
    from forecasting.partition_request import Request
    from forecasting.partitioned import Summary
    from forecasting.partitions import Folder

SHOWN_REASONS = 5
FILES = (".csv", ".json", ".xlsx")  # of a folder .parquet is a usual ending
LONGEST = 86_400
LEAST_MEMORY = 600 << 20
SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


@dataclass(frozen=True)
class Spread:
    """How the work is spread, and what a series or a worker may take: options that only partitioned panels have."""

    workers: int = 0
    cluster: str | None = None
    memory_limit: str | None = None
    time_limit: float | None = None
    fail_fast: bool = False

    def refuse_without_panel(self) -> None:
        """One file is forecast on this machine: DataError for an option that would do nothing."""
        given = {
            "--cluster": self.cluster, "--memory-limit": self.memory_limit, "--time-limit": self.time_limit,
            "--fail-fast": self.fail_fast or None,
        }  # fmt: skip
        for option, value in given.items():
            if value is not None:
                raise DataError(
                    f"{option} is for partitioned panels: give --data the folder or URL of one, or omit it."
                )

    def where(self) -> Where:
        from forecasting.compute import Where, default_workers
        from forecasting.partition_request import MEMORY_LIMIT

        limit = bytes_of(self.memory_limit) if self.memory_limit else MEMORY_LIMIT
        if self.cluster:
            if self.memory_limit or self.workers:
                raise DataError(
                    "--cluster has workers and memory limits of its own: omit --workers and --memory-limit."
                )
            return Where(cluster=self.cluster)
        on_linux = sys.platform.startswith("linux")
        if self.memory_limit and not on_linux:
            raise DataError("--memory-limit works on Linux only: omit it.")
        return Where(self.workers or default_workers(), memory_limit=limit if on_linux else None)

    @property
    def seconds(self) -> float:
        from forecasting.partition_request import SECONDS

        if self.time_limit is not None and not 0 < self.time_limit <= LONGEST:
            raise DataError(f"--time-limit {self.time_limit:g}: give seconds above 0, at most {LONGEST:,} (a day).")
        return self.time_limit or SECONDS


def is_panel(data: str) -> bool:
    """Whether --data names a folder or the URL of one, not a file."""
    from forecasting.partitions import Folder

    local = Folder(data).local
    return local is None or local.is_dir()


def bytes_of(text: str) -> int:
    """Bytes of a size such as 900MiB, 2G or 1.5GiB."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = int(float(found[1]) * SIZES[found[2].upper()]) if found else 0
    if not LEAST_MEMORY <= size < 1 << 50:
        raise DataError(f"--memory-limit {text}: give a size such as 1GiB; a worker needs 600MiB at least.")
    return size


def forecast(
    data: str, out: str | None, model: str | None, horizon: int | None, paths: int, seed: int, as_of: str | None,
    spread: Spread, others: Mapping[str, Any],
) -> None:  # fmt: skip
    """Forecast every series of a partitioned panel from its last month."""
    _refuse(others, "forecast")
    from forecasting.partition_request import Request, study_of
    from forecasting.workflow import DEFAULT_MODEL, checked_horizon, month_of

    study = study_of(model or DEFAULT_MODEL, checked_horizon(horizon), paths, seed)
    month = None if as_of is None else month_of(as_of)
    request = Request(study, *_folders(data, out), None, month, spread.where(), spread.seconds, spread.fail_fast)
    _run(request)


def backtest(experiment: Experiment, data: str, out: str | None, spread: Spread, uri: str | None, track: bool) -> None:
    """Backtest every series of a partitioned panel from the cutoffs of an experiment."""
    from forecasting.partition_request import backtest_of

    request = backtest_of(experiment, *_folders(data, out))
    request = replace(request, where=spread.where(), seconds=spread.seconds, fail_fast=spread.fail_fast)
    made = _run(request)
    if track and not made.scores.empty:
        from forecasting import tracking_panels

        print(tracking_panels.record_or_say(experiment, request, made, uri), file=sys.stderr)


def _run(request: Request) -> Summary:
    from forecasting.cli.progress import Rate
    from forecasting.partition_request import Watch
    from forecasting.partitioned import run

    with Rate() as rate:
        made = run(request, Watch(rate))
    _show(request, made)
    if made.lost:
        again = "the same command does only what is missing"
        print(f"{len(made.lost)} of {len(made.outcomes)} partitions were not done: {again}.", file=sys.stderr)
        raise SystemExit(1)
    return made


def _folders(data: str, out: str | None) -> tuple[Folder, Folder]:
    if out is None or out == "-":
        raise DataError("A partitioned panel needs --out: the folder or URL that the results go to.")
    if Path(out).is_file() or Path(out).suffix.lower() in FILES:
        raise DataError(f"--out {out} is a file: the results of a partitioned panel need a folder.")
    return _folder(data), _folder(out)


def _folder(url: str) -> Folder:
    """The folder; a local one by its whole path, because workers of a cluster may stand elsewhere."""
    from forecasting.partitions import Folder

    local = Folder(url).local
    return Folder(url if local is None else os.path.abspath(local))  # noqa: PTH100 (links stay as they are named)


def _refuse(others: Mapping[str, Any], command: str) -> None:
    """Options that need one small panel in memory."""
    for option, value in others.items():
        if value:
            name = option if option.isupper() else f"--{option}"
            raise DataError(f"{name} does not go with a partitioned panel: {command} one file of it, or omit it.")


# --- What is shown -----------------------------------------------------------------------------------------


def _show(request: Request, made: Summary) -> None:
    from forecasting.cli.console import console as make_console
    from forecasting.cli.terminal import plain, table_view
    from forecasting.partitioned import counted

    console = make_console()
    series, forecast_ = int(made.total("series")), int(made.total("forecast"))
    first, last = made.cutoffs[0], made.cutoffs[-1]
    spans = f"from {last}" if first == last else f"from {len(made.cutoffs)} cutoffs, {first} to {last}"

    def say(line: str) -> None:
        console.print(plain(line))

    say(
        f"{request.data.name}: {forecast_:,} of {series:,} series forecast {spans},"
        f" in {counted(len(made.outcomes), 'file')}"
        + (f" ({made.already:,} were finished already)" if made.already else "")
        + f"; learned from {made.sample:,} series."
    )
    for line in made.remarks:
        say(line)
    if len(made.failures):
        say(f"Without a forecast: {len(made.failures):,}, named in _failures.csv. Most often:")
        for why, count in made.reasons(SHOWN_REASONS):
            say(f"  {count:,} × {why}")
    if not made.scores.empty:
        shown = made.scores[["kind", "model", "cells", "mase", "crps_scaled"]].copy()
        shown["cov80"], shown["cov95"] = 100 * made.scores["cover80"], 100 * made.scores["cover95"]
        for name, digits in {"mase": 3, "crps_scaled": 3, "cov80": 1, "cov95": 1}.items():
            shown[name] = shown[name].map(f"{{:.{digits}f}}".format)
        shown["kind"] = shown["kind"].str.replace("_", " ")
        console.print(table_view("Means over all forecasts", shown.rename(columns={"crps_scaled": "crps"})))
    say(f"Source: {request.data.name}, as given.")
    print(f"Written: {request.out.url}", file=sys.stderr)

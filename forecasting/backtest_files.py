"""What a backtest leaves on disk, and how it is read back: the only thing that later readers may rest on.

A folder holds ``table.parquet`` (TABLE_COLUMNS, one row a forecast of which the truth is known; the same bytes
from the same data, settings and seed), ``timings.parquet`` (CPU seconds, which differ from run to run),
``about.json``, ``experiment.toml`` and ``parts/``, the finished parts that a killed run goes on from.
"""

from __future__ import annotations

import difflib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting import notebook, store
from forecasting.errors import DataError
from forecasting.forecast import KINDS, QUANTILE_COLUMNS
from forecasting.scores import last_months, score_table

TABLE, TIMINGS, ABOUT, EXPERIMENT, PARTS = (
    "table.parquet", "timings.parquet", "about.json", "experiment.toml", "parts",
)  # fmt: skip
TABLE_COLUMNS = (
    "experiment", "model", "series", "cutoff", "period", "kind", "step", "observed_months", "mean", *QUANTILE_COLUMNS,
    "crps", "pit", "actual", "scale", "scale_sq",
)  # fmt: skip
TIMING_COLUMNS = ("model", "cutoff", "seconds", "fits")


@dataclass(frozen=True)
class Result:
    """A backtest as read from its folder.

    ``rows`` holds TABLE_COLUMNS and ``fit_seconds``: CPU seconds of one series from one cutoff, its model's mean
    at that cutoff. ``about`` says how the table was made.
    """

    folder: Path
    rows: pd.DataFrame = field(repr=False)
    timings: pd.DataFrame = field(repr=False)
    about: Mapping[str, Any] = field(repr=False)

    @property
    def name(self) -> str:
        return str(self.about["experiment"]["name"])

    def _repr_html_(self) -> str:
        """For notebooks: the models by scaled CRPS, on the months that all of them forecast, and what they covered."""
        kind = str(self.about["kind"])
        scored = score_table(self.rows[self.rows["kind"] == kind]).sort_values(["crps_scaled", "model"])
        rows = (
            (one["model"], f"{one['crps_scaled']:.3f}", f"{one['mase']:.3f}", *(f"{100 * one[at]:.0f} %" for at in
             ("cover80", "cover95")), f"{one['cells']:,}")
            for one in scored.to_dict("records")
        )  # fmt: skip
        cutoffs = sorted(self.rows["cutoff"].unique())
        return notebook.block(
            f"Backtest {self.name}: {len(cutoffs)} cutoffs, {cutoffs[0]} to {cutoffs[-1]}",
            notebook.table(("model", "scaled CRPS", "MASE", "in 80 %", "in 95 %", "forecasts"), rows),
            note=f"By {kind.replace('_', ' ')}, on the forecasts that every model made; less is better.",
        )


def project_folder() -> Path:
    """The folder that holds data/ and experiments/."""
    return store.data_folder().parent


def backtests_folder() -> Path:
    """Where backtests are kept: data/backtests of the project."""
    if project_folder() == store.PACKAGE:
        raise DataError("There is no project here to keep backtests in: run inside one, set TRADECAST_HOME or --out.")
    return store.data_folder() / "backtests"


def read(folder: Path) -> Result:
    """A finished backtest; a folder that holds none, or pieces of two runs, is refused."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
        same = store.file_digest(folder / TABLE) == about["table"]["sha256"]
        rows = pd.read_parquet(folder / TABLE, engine="pyarrow")
        timings = pd.read_parquet(folder / TIMINGS, engine="pyarrow")
    except (OSError, ValueError, KeyError, TypeError, DataError) as cause:
        raise DataError(
            f"{folder} holds no finished backtest: run `tradecast backtest`, which goes on from what is there."
        ) from cause
    if not same:
        raise DataError(
            f"{folder / TABLE} is not what {ABOUT} describes: run `tradecast backtest` again; finished parts are kept."
        )
    each = timings.assign(fit_seconds=timings["seconds"] / timings["fits"])[["model", "cutoff", "fit_seconds"]]
    return Result(folder, rows.merge(each, on=["model", "cutoff"], how="left"), timings, about)


def named(name: str) -> Path:
    """The folder of a backtest by name or path; one that is not there names its nearest neighbours."""
    if os.sep in name or os.path.isfile(os.path.join(name, ABOUT)):  # noqa: PTH113, PTH118  a name may be too long for Path
        return Path(name)
    folder = backtests_folder() / name
    if not os.path.isdir(folder):  # noqa: PTH112
        there = [one.name for one in finished()]
        near = difflib.get_close_matches(name, there, n=3, cutoff=0.4) or there[:5]
        hint = (
            f"there are {', '.join(near)}" if near else "none was run yet: `tradecast backtest` runs the headline one"
        )
        raise DataError(f"No backtest is called {name!r}: {hint}.")
    return folder


def readable(folders: Iterable[Path]) -> tuple[list[Result], list[str]]:
    """The backtests of these folders that can be read, and what is wrong with each of the others."""
    found: list[Result] = []
    wrong: list[str] = []
    for folder in folders:
        try:
            found.append(read(folder))
        except DataError as error:
            wrong.append(str(error))
    return found, wrong


def finished() -> tuple[Path, ...]:
    """Folders of all finished backtests, by name."""
    return tuple(one.parent for one in sorted(backtests_folder().glob(f"*/{ABOUT}")))


def write(folder: Path, rows: pd.DataFrame, timings: pd.DataFrame, about: Mapping[str, Any], experiment: str) -> Result:
    """Leave a finished backtest; ``about.json`` comes last and holds the digest of the table it belongs to."""
    table = in_order(rows)
    store.write_table(table, folder / TABLE)
    store.write_table(timings[list(TIMING_COLUMNS)], folder / TIMINGS)
    store.write_bytes(experiment.encode(), folder / EXPERIMENT)
    sealed = {**about, "table": {"rows": len(table), "sha256": store.file_digest(folder / TABLE)}}
    store.write_bytes(
        (json.dumps(sealed, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode(), folder / ABOUT
    )
    return read(folder)


def in_order(rows: pd.DataFrame) -> pd.DataFrame:
    """TABLE_COLUMNS by model, series, cutoff, kind and time: no order of work can change the file."""
    rank = pd.DataFrame(
        {
            "model": rows["model"],
            "series": rows["series"],
            "cutoff": rows["cutoff"],
            "kind": rows["kind"].map(KINDS.index),
            "end": last_months(rows),
        }
    )
    order = rank.sort_values(list(rank.columns), kind="stable").index
    return rows.loc[order, list(TABLE_COLUMNS)].reset_index(drop=True)

"""Finished backtests in MLflow: a sink, never read back into a computation.

The results are on disk before anything is sent, so a store that is down, slow or refuses loses nothing: what is
missing there is sent later, once. A run carries the hash of its table, data and model; it is there if it is finished
and half-written if it is not, and then it is written anew. mlflow is imported inside the functions (it takes 4 s).
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import forecasting.tracking_store as base
from forecasting import tracking_client
from forecasting.backtest_files import ABOUT, Result, read, readable
from forecasting.errors import ForecastingError, TrackingError
from forecasting.leaderboard import BASE, what_was_run, who_wins
from forecasting.plot_backtest import colours
from forecasting.tracking_client import (
    KEY,
    TABLE,
    Recorded,
    cleaner,
    experiment_id,
    finished,
    mark_latest,
    session,
    set_tags,
    write,
)
from forecasting.tracking_report import report
from forecasting.tracking_sheet import (
    Numbers,
    Sheet,
    data_digest,
    finished_at,
    key_of,
    series_sheets,
    sheets,
    table_digest,
    vintage,
)
from forecasting.tracking_view import links, view_tags

SERIES = ".series"
PATIENCE_SECONDS = 300.0
# The names by which the registry of champions calls them.


def record(folder: Path, uri: str | None = None, per_series_runs: bool = False, patience: float = 1e9) -> Recorded:
    """Log what the store lacks of the backtest in ``folder``; TrackingError if it cannot be reached or used."""
    address, done = base.tracking_uri(uri), read(folder)
    with session(address) as client:
        return _record(client, address, done, per_series_runs, time.monotonic() + patience)


def record_or_say(folder: Path, uri: str | None = None, per_series_runs: bool = False) -> str:
    """Record, and say in one line what happened; a backtest never fails because of the store."""
    try:
        found = record(folder, uri, per_series_runs, PATIENCE_SECONDS)
    except ForecastingError as error:
        reason = " ".join(str(error).split())
        return f"Not in MLflow yet: {reason} Nothing is lost: tradecast track sync sends it later."
    if not found.sent:
        return f"Already in MLflow: {found.present} runs of {found.name}. See them with tradecast ui."
    return f"In MLflow: {found.sent} runs of {found.name}. See them with tradecast ui."


def sync(folder: Path, uri: str | None = None, per_series_runs: bool = False) -> list[Recorded]:
    """Send what is missing of every backtest in ``folder`` that can be read, the oldest first."""
    address = base.tracking_uri(uri)
    found = sorted(readable(backtests(folder))[0], key=finished_at)
    if not found:
        return []
    with session(address) as client:
        return [_record(client, address, one, per_series_runs, float("inf")) for one in found]


def damaged(folder: Path) -> list[str]:
    """What is wrong with each backtest in ``folder`` that cannot be read."""
    return readable(backtests(folder))[1]


def status(folder: Path, uri: str | None = None) -> list[tuple[str, int, int]]:
    """Name, models and runs in the store of every backtest on disk that can be read."""
    address = base.tracking_uri(uri)
    file = base.database_file(address)
    found, _ = readable(backtests(folder))
    if not found or (file and not file.is_file()):
        return [(one.name, len(_models(one)), 0) for one in found]
    with session(address) as client:
        return [(one.name, len(_models(one)), len(_present(client, one))) for one in found]


def backtests(folder: Path) -> list[Path]:
    """Folders of finished backtests in ``folder``."""
    return [one.parent for one in sorted(folder.glob(f"*/{ABOUT}"))]


# --- Runs ------------------------------------------------------------------------------------------------


def _record(client: Any, uri: str, done: Result, per_series_runs: bool, until: float) -> Recorded:
    experiment = experiment_id(client, uri, done.name)
    present = _present(client, done, experiment)
    missing = [one for one in _models(done) if key_of(done, one) not in present]
    numbers = Numbers(done)
    if missing:
        clean = cleaner()
        page = clean(report(numbers)).encode()
        made = sheets(numbers, missing, page, clean)
        _describe(client, experiment, numbers)  # first: once every run is there, nobody comes back to it
        _write_all(client, experiment, done, made, until, done.name)
    mark_latest(client, experiment, table_digest(done))
    if per_series_runs:
        _record_series(client, uri, numbers, until)
    if missing or per_series_runs:
        base.analyse(uri)
    return Recorded(done.name, len(missing), len(present), links(uri, experiment) if base.is_server(uri) else {})


def _models(done: Result) -> list[str]:
    return sorted(map(str, done.rows["model"].unique()))


def _record_series(client: Any, uri: str, numbers: Numbers, until: float) -> None:
    """A run per model and series in an experiment of its own: among the others they would crowd out the models."""
    done, name = numbers.result, numbers.result.name + SERIES
    experiment = experiment_id(client, uri, name)
    present = _present(client, done, experiment)
    clean = cleaner()
    made = (one for one in series_sheets(numbers, clean) if one.key not in present)
    _write_all(client, experiment, done, made, until, name)
    mark_latest(client, experiment, table_digest(done))
    set_tags(client, experiment, {}, _views(numbers, of_series=True))


def _present(client: Any, done: Result, experiment: str | None = None) -> set[str]:
    """Keys of the finished runs of this table; half-written ones are deleted on the way, if the experiment is given."""
    if experiment is not None:
        return set(finished(client, experiment, table_digest(done), clear=True))
    found = client.get_experiment_by_name(done.name)
    return set() if found is None else set(finished(client, found.experiment_id, table_digest(done), clear=False))


def _write_all(client: Any, experiment: str, done: Result, made: Iterable[Sheet], until: float, where: str) -> None:
    colour = colours(_models(done))
    for at, sheet in enumerate(made):
        if at and time.monotonic() > until:
            raise TrackingError(f"The store is too slow: {at} runs of {where} were written in the time allowed.")
        marks = {KEY: sheet.key, TABLE: table_digest(done), "latest": "yes", "mlflow.runColor": colour[sheet.model]}
        _write(client, experiment, done, sheet, marks)


def _write(client: Any, experiment: str, done: Result, sheet: Sheet, marks: Mapping[str, str]) -> None:
    write(client, experiment, sheet, marks, dataset_of(done), finished_at(done), "backtest")


def dataset_of(done: Result) -> Any:
    """The data of a backtest as an MLflow dataset, known by its vintage."""
    profile = {
        "series": int(done.rows["series"].nunique()),
        "last cutoff": str(done.rows["cutoff"].max()),
        "source": str(done.about["data"]["source"]),
    }
    return tracking_client.dataset(vintage(done), data_digest(done), "data/observations.csv", profile)


def _describe(client: Any, experiment: str, numbers: Numbers) -> None:
    """What the experiment is, how to read its columns, and the saved views."""
    score = "skill" if bool(numbers.base) else "crps"
    tags = {
        "mlflow.note.content": _how_to_read(numbers),
        "mlflow.experiment.primaryMetric.name": score,
        "mlflow.experiment.primaryMetric.greaterIsBetter": str(bool(numbers.base)).lower(),
    }
    set_tags(client, experiment, tags, _views(numbers))


def _views(numbers: Numbers, of_series: bool = False) -> dict[str, str]:
    import mlflow

    return view_tags(bool(numbers.base), mlflow.__version__, of_series)


def _how_to_read(numbers: Numbers) -> str:
    of = numbers.board
    return (
        f"{who_wins(of)}\n\n{what_was_run(numbers.result, of)}\n\n"
        f"- **skill**: 1 − CRPS / CRPS of {BASE}; above 0 is better than repeating last year\n"
        "- **verdict**: is the difference to the best real (model confidence set on scaled CRPS)\n"
        "- **intervals**: do they hold what they promise, beyond chance; **cov80, cov95**: percent of outcomes inside\n"
        "- **mase, crps**: errors in units of the usual change on a year before; below 1 is better than that\n"
        "- **step/…**: by steps ahead; **cutoff/…**: over time; **series/…**: skill of each series\n"
        "- **fit_s**: CPU seconds a fit; **latest** = yes: of the newest record of this backtest\n"
        "- Artifacts of every run: report.html (all models), series.csv, forecasts.parquet, experiment.toml"
    )


# --- The page --------------------------------------------------------------------------------------------


def server_command(uri: str, port: int) -> tuple[list[str], dict[str, str]]:
    """The lean server on 127.0.0.1 (2 processes and 0.5 GB instead of 15 and 2 to 3 GB) and what it needs to know.

    The address goes by environment: a password in it would stand in the list of processes.
    """
    import sys

    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    surroundings = {
        "MLFLOW_BACKEND_STORE_URI": uri,
        "MLFLOW_DEFAULT_ARTIFACT_ROOT": str(base.artifact_folder(uri)),
        "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        "MLFLOW_DISABLE_TELEMETRY": "true",
        "DO_NOT_TRACK": "true",
    }
    return command, surroundings

"""Finished backtests in MLflow: a sink, never read back into a computation.

The results are on disk before anything is sent, so a store that is down, slow or refuses loses nothing: what is
missing there is sent later, once. A run carries the hash of its table, data and model; it is there if it is finished
and half-written if it is not, and then it is written anew. mlflow is imported inside the functions (it takes 4 s).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forecasting.tracking_store as base
from forecasting import store
from forecasting.backtest_files import ABOUT, Result, read
from forecasting.errors import ForecastingError, TrackingError
from forecasting.leaderboard import BASE, what_was_run, who_wins
from forecasting.tracking_report import colours, report
from forecasting.tracking_sheet import (
    Clean,
    Metric,
    Numbers,
    Sheet,
    data_digest,
    finished_at,
    key_of,
    metric_name,
    series_sheets,
    sheets,
    table_digest,
    vintage,
    without_password,
)
from forecasting.tracking_view import links, view_tags

KEY, TABLE = "mlflow.tradecast.key", "mlflow.tradecast.table"
"""Tags whose names begin with mlflow. are not shown on a run's page."""
SERIES = ".series"
AT_ONCE = 1000
"""Metrics, and a tenth as many params or tags, that a server takes in one request."""
LONGEST_PARAM, LONGEST_TAG = 500, 5000
QUIET = {
    "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "20",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
}
PATIENCE_SECONDS = 300.0


@dataclass(frozen=True)
class Recorded:
    """What became of a backtest in the store, and the links that open it there."""

    name: str
    sent: int
    present: int
    links: Mapping[str, str]


def record(folder: Path, uri: str | None = None, per_series_runs: bool = False, patience: float = 1e9) -> Recorded:
    """Log what the store lacks of the backtest in ``folder``; TrackingError if it cannot be reached or used."""
    address, done = base.tracking_uri(uri), read(folder)
    with _store(address) as client:
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
    """Send what is missing of every backtest in ``folder``, the oldest first."""
    address = base.tracking_uri(uri)
    found = sorted((read(one) for one in backtests(folder)), key=finished_at)
    if not found:
        return []
    with _store(address) as client:
        return [_record(client, address, one, per_series_runs, float("inf")) for one in found]


def status(folder: Path, uri: str | None = None) -> list[tuple[str, int, int]]:
    """Name, models and runs in the store of every backtest on disk."""
    address = base.tracking_uri(uri)
    file = base.database_file(address)
    found = [read(one) for one in backtests(folder)]
    if not found or (file and not file.is_file()):
        return [(one.name, len(_models(one)), 0) for one in found]
    with _store(address) as client:
        return [(one.name, len(_models(one)), len(_present(client, one))) for one in found]


def backtests(folder: Path) -> list[Path]:
    """Folders of finished backtests in ``folder``."""
    return [one.parent for one in sorted(folder.glob(f"*/{ABOUT}"))]


# --- The store -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _store(uri: str) -> Iterator[Any]:
    """A client of a store that answers, with nobody else writing; whatever MLflow raises is a TrackingError."""
    base.check_reachable(uri)
    with _quiet(), base.alone(uri):
        import requests
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            yield MlflowClient(tracking_uri=uri)
        except (MlflowException, SQLAlchemyError, requests.RequestException, OSError) as error:
            # What follows is requests' own account of every attempt.
            reason = without_password(" ".join(str(error).split())).split(" failed with exception ")[0][:300]
            raise TrackingError(f"The tracking store {without_password(uri)} failed: {reason}.") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """MLflow prints links and upgrade steps, and tries a server for minutes: not here, unless the user wants it."""
    added = [name for name in QUIET if name not in os.environ]
    loggers = [logging.getLogger(one) for one in ("mlflow", "alembic")]
    levels = [one.level for one in loggers]
    os.environ.update({name: QUIET[name] for name in added})
    try:
        import mlflow  # noqa: F401  it sets its loggers' levels when it is imported

        for one in loggers:
            one.setLevel(logging.ERROR)
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def _experiment(client: Any, uri: str, name: str) -> str:
    """The id of the experiment of this name, made if it is not there."""
    found = client.get_experiment_by_name(name)
    if found is None:
        folder = base.artifact_folder(uri)
        location = str(folder / metric_name(name).replace(" ", "-").replace(":", "-")) if folder else None
        return str(client.create_experiment(name, artifact_location=location))
    if found.lifecycle_stage != "active":
        raise TrackingError(f"The experiment {name} was deleted in MLflow: restore it there, or rename the backtest.")
    if found.artifact_location.startswith("mlflow-artifacts:") and not base.is_server(uri):
        raise TrackingError(
            f"The experiment {name} was made through a server, which keeps its artifacts: give --tracking-uri "
            "http://HOST:PORT of that server."
        )
    return str(found.experiment_id)


# --- Runs ------------------------------------------------------------------------------------------------


def _record(client: Any, uri: str, done: Result, per_series_runs: bool, until: float) -> Recorded:
    experiment = _experiment(client, uri, done.name)
    present = _present(client, done, experiment)
    missing = [one for one in _models(done) if key_of(done, one) not in present]
    numbers = Numbers(done)
    if missing:
        clean = _clean()
        page = clean(report(numbers)).encode()
        made = sheets(numbers, missing, page, clean)
        _write_all(client, experiment, done, made, until, done.name)
    _mark_latest(client, experiment, done)
    if missing:
        _describe(client, experiment, numbers)
    if per_series_runs:
        _record_series(client, uri, numbers, until)
    if missing or per_series_runs:
        base.analyse(uri)
    return Recorded(done.name, len(missing), len(present), links(uri, experiment) if base.is_server(uri) else {})


def _models(done: Result) -> list[str]:
    return sorted(map(str, done.rows["model"].unique()))


def _clean() -> Clean:
    return Clean(store.data_folder().parent, Path.home())


def _record_series(client: Any, uri: str, numbers: Numbers, until: float) -> None:
    """A run per model and series in an experiment of its own: among the others they would crowd out the models."""
    done, name = numbers.result, numbers.result.name + SERIES
    experiment = _experiment(client, uri, name)
    present = _present(client, done, experiment)
    clean = _clean()
    made = (one for one in series_sheets(numbers, clean) if one.key not in present)
    _write_all(client, experiment, done, made, until, name)
    _mark_latest(client, experiment, done)
    _set_view(client, experiment, numbers, of_series=True)


def _present(client: Any, done: Result, experiment: str | None = None) -> set[str]:
    """Keys of the finished runs of this table; half-written ones are deleted on the way, if the experiment is given."""
    if experiment is None:
        found = client.get_experiment_by_name(done.name)
        if found is None:
            return set()
    keys = set()
    for run in _search(client, experiment or found.experiment_id, f"tags.`{TABLE}` = '{table_digest(done)}'"):
        key = run.data.tags.get(KEY, "")
        if run.info.status == "FINISHED" and key not in keys:
            keys.add(key)
        elif experiment:
            client.delete_run(run.info.run_id)
    return keys


def _search(client: Any, experiment: str, text: str) -> Iterator[Any]:
    token = None
    while True:
        page = client.search_runs([experiment], filter_string=text, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _write_all(client: Any, experiment: str, done: Result, made: Iterable[Sheet], until: float, where: str) -> None:
    colour = colours(_models(done))
    for at, sheet in enumerate(made):
        if at and time.monotonic() > until:
            raise TrackingError(f"The store is too slow: {at} runs of {where} were written in the time allowed.")
        marks = {KEY: sheet.key, TABLE: table_digest(done), "latest": "yes", "mlflow.runColor": colour[sheet.model]}
        _write(client, experiment, done, sheet, marks)


def _write(client: Any, experiment: str, done: Result, sheet: Sheet, marks: Mapping[str, str]) -> None:
    """One run: it counts as there only when it is finished, which is its last step."""
    from mlflow.entities import DatasetInput, InputTag, Param, RunTag

    end = finished_at(done)
    tags = {**sheet.tags, **marks, "mlflow.note.content": sheet.note}
    run = client.create_run(experiment, end - int(sheet.seconds * 1000), dict(marks), sheet.name)
    params = [Param(name, value[:LONGEST_PARAM]) for name, value in sheet.params.items()]
    labels = [RunTag(name, value[:LONGEST_TAG]) for name, value in tags.items() if name not in marks]
    metrics = [_metric(one, end) for one in sheet.metrics]
    _log(client, run.info.run_id, metrics, params, labels)
    context = [InputTag("mlflow.data.context", "backtest")]
    client.log_inputs(run.info.run_id, [DatasetInput(_dataset(done), context)])
    if sheet.files:
        with tempfile.TemporaryDirectory(prefix="tradecast-") as folder:
            for name, content in sheet.files.items():
                Path(folder, name).write_bytes(content)
            client.log_artifacts(run.info.run_id, folder)
    client.set_terminated(run.info.run_id, "FINISHED", end)


def _metric(one: Metric, end: int) -> Any:
    from mlflow.entities import Metric as Logged

    return Logged(one.name, one.value, end if one.when is None else one.when, one.step)


def _log(client: Any, run: str, metrics: Sequence[Any], params: Sequence[Any], tags: Sequence[Any]) -> None:
    """One batch, or as many as the limits of a request ask for."""
    few = AT_ONCE // 10
    first = AT_ONCE - len(params[:few]) - len(tags[:few])
    client.log_batch(run, metrics=metrics[:first], params=params[:few], tags=tags[:few])
    for at in range(first, len(metrics), AT_ONCE):
        client.log_batch(run, metrics=metrics[at : at + AT_ONCE])
    for at in range(few, max(len(params), len(tags)), few):
        client.log_batch(run, params=params[at : at + few], tags=tags[at : at + few])


def _dataset(done: Result) -> Any:
    """The data by vintage and digest; MLflow's own classes would keep an absolute path."""
    from mlflow.entities import Dataset

    profile = {
        "vintage": vintage(done),
        "series": int(done.rows["series"].nunique()),
        "last cutoff": str(done.rows["cutoff"].max()),
        "source": str(done.about["data"]["source"]),
    }
    source = json.dumps({"uri": "data/observations.csv", "digest": data_digest(done)})
    name = metric_name(f"observations {vintage(done)}")
    return Dataset(name, data_digest(done)[:16], "local", source, profile=json.dumps(profile))


def _mark_latest(client: Any, experiment: str, done: Result) -> None:
    """The leaderboard shows the latest recorded backtest of a name; older tables and vintages stay, unmarked."""
    for sign, value in (("!=", "no"), ("=", "yes")):
        text = f"tags.`{TABLE}` {sign} '{table_digest(done)}' and tags.latest != '{value}'"
        for run in _search(client, experiment, text):
            client.set_tag(run.info.run_id, "latest", value)


def _describe(client: Any, experiment: str, numbers: Numbers) -> None:
    """What the experiment is, how to read its columns, and the saved views."""
    score = "skill" if bool(numbers.base) else "crps"
    tags = {
        "mlflow.note.content": _how_to_read(numbers),
        "mlflow.experiment.primaryMetric.name": score,
        "mlflow.experiment.primaryMetric.greaterIsBetter": str(bool(numbers.base)).lower(),
    }
    for name, value in tags.items():
        client.set_experiment_tag(experiment, name, value)
    _set_view(client, experiment, numbers)


def _set_view(client: Any, experiment: str, numbers: Numbers, of_series: bool = False) -> None:
    import mlflow

    for name, value in view_tags(bool(numbers.base), mlflow.__version__, of_series).items():
        # A view that a server does not take costs the view, not the record.
        with contextlib.suppress(mlflow.exceptions.MlflowException):
            client.set_experiment_tag(experiment, name, value)


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

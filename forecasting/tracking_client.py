"""What every sink into MLflow shares: a session that answers, experiments, and runs that count once they are finished.

mlflow is imported inside the functions (it takes 4 s).
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import secrets
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import forecasting.tracking_store as base
from forecasting import store
from forecasting.errors import TrackingError
from forecasting.tracking_sheet import Clean, Metric, Sheet, metric_name, without_password

KEY, TABLE = "mlflow.tradecast.key", "mlflow.tradecast.table"
"""Tags whose names begin with mlflow. are not shown on a run's page."""
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


@dataclass(frozen=True)
class Recorded:
    """What became of a backtest or a study in the store, and the links that open it there."""

    name: str
    sent: int
    present: int
    links: Mapping[str, str]


def cleaner() -> Clean:
    """Takes out of a text what must not leave this machine."""
    return Clean(store.data_folder().parent, Path.home())


# --- The store -------------------------------------------------------------------------------------------


@contextlib.contextmanager
def session(uri: str, wait_seconds: float = 600.0) -> Iterator[Any]:
    """A client of a store that answers, with nobody else writing; whatever MLflow raises is a TrackingError."""
    base.check_reachable(uri)
    with _quiet(), base.alone(uri, wait_seconds):
        import requests
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException
        from sqlalchemy.exc import SQLAlchemyError

        try:
            _make(uri)
            yield MlflowClient(tracking_uri=uri)
        except (MlflowException, SQLAlchemyError, requests.RequestException, OSError) as error:
            said = without_password(base.reason(error))
            raise TrackingError(f"The tracking store {without_password(uri)} failed: {said}.") from error


def _make(uri: str) -> None:
    """Make the tables of a new SQLite store beside its place, and move it there whole; the caller writes alone.

    MLflow makes them in some hundred steps that are no transaction: one killed between two can neither be used nor
    upgraded afterwards.
    """
    file = base.database_file(uri)
    if file is None or base.is_there(file) or not file.parent.is_dir():
        return
    from mlflow.store.tracking import DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH
    from mlflow.store.tracking.sqlalchemy_store import SqlAlchemyStore

    for left in file.parent.glob(f".tradecast-{file.name}-*"):  # by one that was killed
        left.unlink(missing_ok=True)
    made = file.with_name(f".tradecast-{file.name}-{secrets.token_hex(6)}.new")
    SqlAlchemyStore(f"sqlite:///{made}", DEFAULT_LOCAL_FILE_AND_ARTIFACT_PATH).engine.dispose()
    made.replace(file)


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
            one.setLevel(logging.CRITICAL)  # what they call an error is raised as well, and said in one line
        yield
    finally:
        for name in added:
            os.environ.pop(name, None)
        for one, level in zip(loggers, levels, strict=True):
            one.setLevel(level)


def experiment_id(client: Any, uri: str, name: str) -> str:
    """The id of the experiment of this name, made if it is not there."""
    found = client.get_experiment_by_name(name)
    if found is None:
        folder = base.artifact_folder(uri)
        location = str(folder / metric_name(name).replace(" ", "-").replace(":", "-")) if folder else None
        return str(client.create_experiment(name, artifact_location=location))
    if found.lifecycle_stage != "active":
        raise TrackingError(
            f"The experiment {name} was deleted in MLflow: restore it there, or remove it for good with mlflow gc."
        )
    if found.artifact_location.startswith("mlflow-artifacts:") and not base.is_server(uri):
        raise TrackingError(
            f"The experiment {name} was made through a server, which keeps its artifacts: give --tracking-uri "
            "http://HOST:PORT of that server."
        )
    return str(found.experiment_id)


def set_tags(client: Any, experiment: str, tags: Mapping[str, str], views: Mapping[str, str]) -> None:
    """Tags of an experiment; a view that a server does not take costs the view, not the record."""
    import mlflow

    for name, value in tags.items():
        client.set_experiment_tag(experiment, name, value)
    for name, value in views.items():
        with contextlib.suppress(mlflow.exceptions.MlflowException):
            client.set_experiment_tag(experiment, name, value)


# --- Runs that are there ---------------------------------------------------------------------------------


def search(client: Any, experiment: str, text: str) -> Iterator[Any]:
    """Runs that match a filter of MLflow, page by page."""
    token = None
    while True:
        page = client.search_runs([experiment], filter_string=text, max_results=1000, page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def finished(client: Any, experiment: str, table: str, clear: bool) -> dict[str, Any]:
    """Finished runs of this table by key; ``clear`` deletes half-written ones on the way."""
    found: dict[str, Any] = {}
    for run in search(client, experiment, f"tags.`{TABLE}` = '{table}'"):
        key = run.data.tags.get(KEY, "")
        if run.info.status == "FINISHED" and key not in found:
            found[key] = run
        elif clear:
            client.delete_run(run.info.run_id)
    return found


def mark_latest(client: Any, experiment: str, table: str) -> None:
    """Runs of this table are the latest; those of older tables and vintages stay, unmarked."""
    for sign, value in (("!=", "no"), ("=", "yes")):
        for run in search(client, experiment, f"tags.`{TABLE}` {sign} '{table}' and tags.latest != '{value}'"):
            client.set_tag(run.info.run_id, "latest", value)


# --- Writing ---------------------------------------------------------------------------------------------


def write(
    client: Any, experiment: str, sheet: Sheet, marks: Mapping[str, str], data: Any, end: int, context: str
) -> str:
    """One run, and its id: it counts as there only when it is finished, which is its last step.

    ``marks`` are tags that it has from its first moment on, ``data`` a Dataset, ``end`` milliseconds since 1970.
    """
    from mlflow.entities import DatasetInput, InputTag, Param, RunTag

    tags = {**sheet.tags, **marks, "mlflow.note.content": sheet.note}
    run = str(client.create_run(experiment, end - int(sheet.seconds * 1000), dict(marks), sheet.name).info.run_id)
    params = [Param(name, value[:LONGEST_PARAM]) for name, value in sheet.params.items()]
    labels = [RunTag(name, value[:LONGEST_TAG]) for name, value in tags.items() if name not in marks]
    metrics = [_metric(one, end) for one in sheet.metrics]
    _log(client, run, metrics, params, labels)
    client.log_inputs(run, [DatasetInput(data, [InputTag("mlflow.data.context", context)])])
    if sheet.files:
        with tempfile.TemporaryDirectory(prefix="tradecast-") as folder:
            for name, content in sheet.files.items():
                Path(folder, name).write_bytes(content)
            client.log_artifacts(run, folder)
    client.set_terminated(run, "FINISHED", end)
    return run


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


def dataset(vintage: str, digest: str, source: str, profile: Mapping[str, object]) -> Any:
    """Data by vintage and digest; MLflow's own classes would keep an absolute path."""
    from mlflow.entities import Dataset

    where = json.dumps({"uri": source, "digest": digest})
    name = metric_name(f"observations {vintage}")
    return Dataset(name, digest[:16], "local", where, profile=json.dumps({"vintage": vintage, **profile}))

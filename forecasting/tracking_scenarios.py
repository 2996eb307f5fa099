"""Studies of scenarios in MLflow: a run for the forecast and, beneath it, one for each scenario.

A run carries the hash of its numbers, file and settings: the same study is there once, and another study of the same
forecast adds its scenarios beneath the same run. What a kill left half-written is deleted and written anew. Nothing is
kept here to be sent later: a study is its files and a seed, so the same command makes it again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping
from typing import Any

import forecasting.tracking_store as base
from forecasting import clock
from forecasting.errors import ForecastingError, TrackingError
from forecasting.plot_backtest import COLOURS
from forecasting.plot_layout import GREY
from forecasting.plot_scenario import HUES
from forecasting.scenario import Scenario
from forecasting.scenarios import Study
from forecasting.tracking_client import (
    KEY,
    TABLE,
    Recorded,
    cleaner,
    dataset,
    experiment_id,
    finished,
    mark_latest,
    session,
    set_tags,
    write,
)
from forecasting.tracking_scenario_sheet import Extra, Told, forecast_sheet, scenario_sheet
from forecasting.tracking_sheet import Sheet, metric_name
from forecasting.tracking_view import links, scenario_view_tags

EXPERIMENT = "tradecast-scenarios"
PARENT = "mlflow.parentRunId"
PATIENCE_SECONDS = 60.0
MOST_COLUMNS = 6
PALETTE = tuple(dict.fromkeys((*HUES, *COLOURS)))
"""The chart's colours first, then what a backtest has besides."""
HOW_TO_READ = (
    "A run for each forecast; beneath it a run for each scenario that was imposed on the same paths.\n\n"
    "- **effect**: what moves most in **period**, the last whole quarter forecast\n"
    "- **quarter_pct/SERIES**: change of the mean in percent of the forecast, by quarter; the table shows the last\n"
    "- **quarter/**, **quarter_low80/**, **quarter_high80/**: mean difference and its 80 % interval, catalogue units\n"
    "- **month/**: mean difference by months ahead; **level/**: the mean itself, of the forecast too\n"
    "- **probability_pct**: what the scenario's author gives it; **plausibility/**: how far a condition lies from the "
    "forecast\n"
    "- **a1.…**: the assumptions, each with target, kind, size, months, source; **latest** = yes: of the newest study\n"
    "- Artifacts: report.md, table.csv, contributions.csv, scenario.toml, the chart of the study"
)


def record(
    study: Study,
    chart: bytes | None = None,
    uri: str | None = None,
    extras: Mapping[str, Extra] | None = None,
    patience: float = 1e9,
) -> Recorded:
    """Log what the store lacks of a study; TrackingError if it cannot be reached or used.

    ``chart`` are the bytes of a PNG or SVG file; ``extras`` (by scenario) are logged with its run. Counts are of
    scenarios.
    """
    address, told = base.tracking_uri(uri), Told(study, cleaner(), chart, extras or {})
    until = time.monotonic() + patience
    with session(address, min(patience, 600.0)) as client:
        experiment = experiment_id(client, address, EXPERIMENT)
        there = finished(client, experiment, told.key, clear=True)
        parent = there[told.key].info.run_id if told.key in there else _forecast_run(client, experiment, told)
        missing = _missing(client, told, there, parent)
        if missing or told.key not in there:
            _describe(client, experiment, told)  # first: once every run is there, nobody comes back to it
        _write_all(client, experiment, told, missing, parent, until)
        mark_latest(client, experiment, told.key)
        if missing or told.key not in there:
            base.analyse(address)
        found = links(address, experiment) if base.is_server(address) else {}
    return Recorded(EXPERIMENT, len(missing), len(study.scenarios) - len(missing), found)


def record_or_say(
    study: Study, chart: bytes | None = None, uri: str | None = None, extras: Mapping[str, Extra] | None = None
) -> str:
    """Record, and say in one line what happened; a study never fails because of the store."""
    try:
        found = record(study, chart, uri, extras, PATIENCE_SECONDS)
    except ForecastingError as error:
        reason = " ".join(str(error).split())
        return f"Not in MLflow: {reason} Nothing was kept to send: run the same command again once the store answers."
    if not found.sent:
        return f"Already in MLflow: {_many(found.present)} in {EXPERIMENT}. See them with tradecast ui."
    return f"In MLflow: {_many(found.sent)} in {EXPERIMENT}. See them with tradecast ui."


def _many(scenarios: int) -> str:
    return f"{scenarios} scenario{'s' * (scenarios != 1)}"


# --- Runs ------------------------------------------------------------------------------------------------


def _forecast_run(client: Any, experiment: str, told: Told) -> str:
    return _write(client, experiment, told, forecast_sheet(told), {"mlflow.runColor": GREY}, "forecast")


def _missing(client: Any, told: Told, there: Mapping[str, Any], parent: str) -> list[Scenario]:
    """Scenarios without a run beneath this parent; one whose parent was deleted is deleted too and written again."""
    missing = []
    for one in told.study.scenarios:
        run = there.get(told.key_of(one))
        if run is not None and run.data.tags.get(PARENT) == parent:
            continue
        if run is not None:
            client.delete_run(run.info.run_id)
        missing.append(one)
    return missing


def _write_all(
    client: Any, experiment: str, told: Told, missing: Iterable[Scenario], parent: str, until: float
) -> None:
    place = {one.name: at for at, one in enumerate(told.study.scenarios)}
    for at, one in enumerate(missing):
        if at and time.monotonic() > until:
            raise TrackingError(f"The store is too slow: {_many(at)} written in the time allowed.")
        marks = {PARENT: parent, "mlflow.runColor": PALETTE[place[one.name] % len(PALETTE)]}
        _write(client, experiment, told, scenario_sheet(told, one), marks, "scenario")


def _write(client: Any, experiment: str, told: Told, sheet: Sheet, marks: Mapping[str, str], context: str) -> str:
    held = told.study.baseline.dataset
    source = "data/observations.csv" if held.embedded else held.source
    profile = {"series": len(held.panel.series), "last month": told.vintage, "source": held.source}
    data = dataset(told.vintage, told.digest, source, profile)
    whole = {KEY: sheet.key, TABLE: told.key, "latest": "yes", **marks}
    return write(client, experiment, sheet, whole, data, int(clock.now().timestamp() * 1000), context)


def _describe(client: Any, experiment: str, told: Told) -> None:
    """How to read the experiment, and its saved views with what these scenarios change."""
    import mlflow

    series = [metric_name(one) for one in told.columns[:MOST_COLUMNS]]
    tags = {
        "mlflow.note.content": HOW_TO_READ,
        "mlflow.experiment.primaryMetric.name": f"quarter_pct/{series[0]}",
        "mlflow.experiment.primaryMetric.greaterIsBetter": "true",
    }
    set_tags(client, experiment, tags, scenario_view_tags(series, mlflow.__version__))

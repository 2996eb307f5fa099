"""Backtests of partitioned panels in MLflow: one run a model with sums over all partitions, from one writer."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import forecasting.tracking_store as base
from forecasting import __version__, tracking_client
from forecasting.errors import ForecastingError
from forecasting.experiments_file import Experiment
from forecasting.forecast import KINDS
from forecasting.partition_request import Request
from forecasting.partition_scores import SUMS
from forecasting.partitioned import Summary
from forecasting.plot_backtest import colours
from forecasting.store import csv_text
from forecasting.tracking_client import KEY, TABLE, Recorded, cleaner
from forecasting.tracking_sheet import Clean, Metric, Sheet, finite, flat, month_end, plain
from forecasting.tracking_view import links

# Metrics have the names that runs of other backtests have: what differs is only how many series speak.
NAMES = {"crps_scaled": "crps"}
COVERS = {"cover80": "cov80", "cover95": "cov95"}


def record(experiment: Experiment, request: Request, made: Summary, uri: str | None = None) -> Recorded:
    """Log what the store lacks of this backtest; TrackingError if it cannot be reached or used."""
    address = base.tracking_uri(uri)
    table = hashlib.sha256(made.digest.encode()).hexdigest()[:32]
    models = [one.label for one in request.study.contenders if one.label in set(made.scores["model"])]
    with tracking_client.session(address) as client:
        into = tracking_client.experiment_id(client, address, experiment.name)
        present = tracking_client.finished(client, into, table, clear=True)
        colour, clean = colours(models), cleaner()
        sheets = [_sheet(experiment, request, made, model, clean) for model in models]
        missing = [one for one in sheets if one.key not in present]
        end = month_end(str(made.cutoffs[-1]))
        for sheet in missing:
            marks = {KEY: sheet.key, TABLE: table, "latest": "yes", "mlflow.runColor": colour[sheet.model]}
            tracking_client.write(client, into, sheet, marks, _dataset(request, made), end, "backtest")
        tracking_client.mark_latest(client, into, table)
        found = links(address, into) if base.is_server(address) else {}
    return Recorded(experiment.name, len(missing), len(present), found)


def record_or_say(experiment: Experiment, request: Request, made: Summary, uri: str | None = None) -> str:
    """Record, and say in one line what happened; a backtest never fails because of the store."""
    try:
        found = record(experiment, request, made, uri)
    except ForecastingError as error:
        return f"Not in MLflow yet: {' '.join(str(error).split())} Nothing is lost: the same command sends it."
    return f"In MLflow: {found.sent + found.present} runs of {found.name}. See them with tradecast ui."


def _sheet(experiment: Experiment, request: Request, made: Summary, model: str, clean: Clean) -> Sheet:
    contender = next(one for one in request.study.contenders if one.label == model)
    own = {f"set.{name}": value for name, value in flat(contender.settings())}
    first, last = made.cutoffs[0], made.cutoffs[-1]
    shared: dict[str, Any] = {
        "model": model, "horizon": experiment.horizon, "cutoffs": f"{len(made.cutoffs)}: {first} to {last}",
        "n_series": int(made.total("series")), "n_partitions": len(made.outcomes), "sample": made.sample,
        "calibrate": request.study.calibrate, "paths": request.study.paths, "seed": request.study.seed,
        "kind": experiment.kind, "set.forecaster": contender.forecaster.name,
    }  # fmt: skip
    metrics, dropped = finite(list(_metrics(experiment, made, model)))
    tags = {
        "backtest": experiment.name, "level": "model", "digest": made.digest[:16],
        "versions": f"tradecast {__version__}",
        "mlflow.user": "tradecast", "mlflow.source.name": f"tradecast backtest {experiment.name} --data",
        "mlflow.source.type": "LOCAL", **({"nonfinite": ", ".join(dropped)} if dropped else {}),
    }  # fmt: skip
    return Sheet(
        name=f"{model} {request.data.name}", model=model,
        key=hashlib.sha256(json.dumps([experiment.name, made.digest, model]).encode()).hexdigest()[:32],
        params={name: clean(plain(value)) for name, value in (shared | own).items()}, metrics=tuple(metrics),
        tags={name: clean(value) for name, value in tags.items()},
        note=clean(f"{model} on {int(made.total('forecast')):,} series of {request.data.name}: means over all forecasts"
                   f" of {len(made.outcomes):,} partitions; {len(made.failures):,} series or partitions have none."),
        files={
            "experiment.toml": clean(experiment.text).encode(),
            "scores.csv": csv_text(made.scores).encode(),
            "failures.csv": csv_text(made.failures).encode(),
        },
        seconds=made.total("seconds") / len(request.study.contenders),
    )  # fmt: skip


def _metrics(experiment: Experiment, made: Summary, model: str) -> Any:
    """Those of the kind that is judged under their own names, those of other kinds behind its name."""
    for row in made.scores[made.scores["model"] == model].to_dict("records"):
        before = "" if row["kind"] == experiment.kind else f"{row['kind']}/"
        for name in SUMS:
            shown = COVERS.get(name, NAMES.get(name, name))
            yield Metric(before + shown, float(row[name]) * (100 if name in COVERS else 1))
        yield Metric(f"{before}cells", float(row["cells"]))


def _dataset(request: Request, made: Summary) -> Any:
    profile = {"series": int(made.total("series")), "partitions": len(made.outcomes), "kinds": list(KINDS)}
    return tracking_client.dataset(str(made.cutoffs[-1]), made.digest, request.data.name, profile)

"""The registered champion as MLflow runs it: a forecast table from stored settings and figures; nothing is unpickled.

This file is kept in the model's folder and run by MLflow when the model is loaded; all it does is to call the
installed tradecast. Beside it lie ``spec.json`` (model, settings, digest of the data), ``observations.parquet`` and
``catalogue.csv``. It answers ``predict(None, params={…})``; PARAMS names what may be asked, everything else is refused.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from forecasting import champion_file, store, workflow
from forecasting.errors import DataError, ForecastingError
from forecasting.forecast import COVERAGES, FORECAST_COLUMNS, QUANTILE_COLUMNS
from forecasting.observations import to_panel

PARAMS: dict[str, tuple[str, Any]] = {
    "horizon": ("long", 0),
    "coverages": ("long", [50, 80, 90, 95]),
    "seed": ("long", 0),
    "scenario": ("string", "baseline"),
    "series": ("string", []),
}
"""Type and default of each parameter; a list takes a list. Horizon 0: to the end of the next full quarter."""
SPEC, OBSERVATIONS, CATALOGUE = "spec.json", "observations.parquet", "catalogue.csv"
KEPT = ("series", "month", "value", "unit", "stage")


class ServedModel(PythonModel):
    """Settings and figures of one champion."""

    def load_context(self, context: Any) -> None:
        self.folder = Path(context.artifacts["spec"]).parent

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """The forecast table (FORECAST_COLUMNS, quantiles of the coverages asked for); ``model_input`` is not used."""
        try:
            refuse_unknown(asked_for())
            return answer(self.folder, params or {})
        except ForecastingError as error:
            # MLflow's server answers 400 with this line; of any other exception it shows a traceback.
            raise MlflowException.invalid_parameter_value(" ".join(str(error).split())) from error


def answer(folder: Path, params: Mapping[str, Any]) -> pd.DataFrame:
    """The forecast table of the model in a folder for these parameters; those not given have their defaults."""
    spec = json.loads((folder / SPEC).read_text(encoding="utf-8"))
    wanted = {name: default for name, (_, default) in PARAMS.items()} | dict(params)
    coverages = _coverages(wanted["coverages"])
    if wanted["scenario"] != "baseline":
        raise DataError(f"scenario {wanted['scenario']!r}: only baseline is there.")
    if int(wanted["seed"]) < 0:
        raise DataError(f"seed {wanted['seed']}: give 0 or more.")
    dataset = read_dataset(folder, spec)
    request = workflow.Request(
        series=_series(list(wanted["series"]), spec, dataset),
        horizon=int(wanted["horizon"]) or None,
        model=spec["model"],
        settings=champion_file.as_settings(spec["settings"]),
        paths=int(spec["paths"]),
        seed=int(wanted["seed"]),
    )
    table = workflow.forecast(request, dataset=dataset).table
    hidden = {one for one in QUANTILE_COLUMNS if one != "q50"} - {one for at in coverages for one in COVERAGES[at]}
    return table[[one for one in FORECAST_COLUMNS if one not in hidden]]


def _coverages(asked: Iterable[Any]) -> tuple[int, ...]:
    coverages = tuple(dict.fromkeys(map(int, asked)))
    for one in coverages:
        if one not in COVERAGES:
            raise DataError(f"coverages {one}: choose from {', '.join(map(str, COVERAGES))}.")
    return coverages


def _series(patterns: list[str], spec: Mapping[str, Any], dataset: workflow.Dataset) -> tuple[str, ...]:
    """Ids of the model's group that match; none asked for: those shown by default."""
    if not patterns:
        return tuple(spec["series"])
    found = dataset.catalogue.select(patterns)
    own = tuple(one for one in found if champion_file.group_of(one) == spec["group"])
    if not own:
        raise DataError(f"{', '.join(found)}: this is the champion of {spec['group']}, which they do not belong to.")
    return own


def read_dataset(folder: Path, spec: Mapping[str, Any]) -> workflow.Dataset:
    """The figures that the model was registered with; others are refused."""
    rows = pd.read_parquet(folder / OBSERVATIONS, engine="pyarrow")
    rows = rows.assign(month=pd.PeriodIndex(rows["month"], freq="M"))
    panel = to_panel(rows)
    if panel.digest() != spec["data"]["digest"]:
        raise DataError(f"{OBSERVATIONS} is not what {SPEC} describes: register the champion again.")
    return workflow.Dataset(rows, panel, store.read_catalogue(folder), "official figures", embedded=True)


# --- Names of parameters ---------------------------------------------------------------------------------


def refuse_unknown(names: Iterable[str]) -> None:
    """MLflow drops a name that it does not know with a warning only: a mistyped ``horizn`` would go unnoticed."""
    for one in names:
        if one not in PARAMS:
            raise DataError(f"No parameter is called {one!r}: there are {', '.join(PARAMS)}.")


def asked_for() -> list[str]:
    """Names of the parameters as the caller gave them, before MLflow dropped any.

    They are nowhere but in the frame of ``PyFuncModel.predict`` that called us; where an MLflow has no such frame
    its warning is all there is.
    """
    frame = sys._getframe(1)
    while frame := frame.f_back:  # type: ignore[assignment]
        if frame.f_code.co_name == "predict" and frame.f_globals.get("__name__") == "mlflow.pyfunc":
            return [str(one) for one in frame.f_locals.get("params") or {}]
    return []


set_model(ServedModel())

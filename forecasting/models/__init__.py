"""Every model by name: one file and one line each."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from forecasting.errors import ModelError

if TYPE_CHECKING:
    from forecasting.models.base import Forecaster

MODELS = {
    "seasonal_naive": "forecasting.models.seasonal_naive:SeasonalNaive",
    "naive": "forecasting.models.naive:Naive",
    "theta": "forecasting.models.theta:Theta",
    "ets": "forecasting.models.ets:Ets",
    "sarima": "forecasting.models.sarima:Sarima",
    "boosting": "forecasting.models.boosting:Boosting",
    "boosting_yearly": "forecasting.models.boosting_yearly:YearlyBoosting",
    "ensemble": "forecasting.models.ensemble:Ensemble",
}


def forecaster(name: str, **settings: Any) -> Forecaster:
    """The forecaster of this name with these settings; loads only its own module (statsmodels takes seconds)."""
    if name not in MODELS:
        raise ModelError(f"No model is called {name!r}; there are {', '.join(MODELS)}.")
    module, _, kind = MODELS[name].partition(":")
    made = getattr(importlib.import_module(module), kind)
    try:
        return made(**settings)
    except TypeError as cause:
        known = ", ".join(made.__dataclass_fields__) or "none"
        raise ModelError(f"{name} does not take {', '.join(settings)}: its settings are {known}.") from cause

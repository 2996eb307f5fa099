"""No change: the forecast that a month is like the last one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecasting.models.base import FittedEach, One, fit_each
from forecasting.panel import Panel

RESAMPLE_FROM = 24  # fewer changes than two years say too little of the tails: Gaussian shocks instead


@dataclass(frozen=True)
class Naive:
    """Random walk on the transformed scale with resampled monthly changes, without drift."""

    name: ClassVar[str] = "naive"
    min_months: ClassVar[int] = 3

    def fit(self, panel: Panel) -> FittedEach:
        return fit_each(self.name, self.min_months, panel, _fit_one)


@dataclass(frozen=True)
class _One:
    last: float
    changes: np.ndarray
    summary: dict[str, Any]

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        if len(self.changes) >= RESAMPLE_FROM:
            shocks = rng.choice(self.changes, (paths, steps))
        else:
            shocks = rng.normal(0.0, self.summary["sigma"], (paths, steps))
        return self.last + np.cumsum(shocks, axis=1)


def _fit_one(z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> One:
    known = np.flatnonzero(~np.isnan(z))
    # a change over g months has g times the variance of one month
    changes = np.diff(z[known]) / np.sqrt(np.diff(known))
    sigma = float(np.sqrt(np.mean(changes**2)))
    centred = changes - changes.mean()
    scale = sigma / centred.std() if centred.std() > 0 else 0.0
    return _One(
        float(z[known[-1]]),
        centred * scale,
        {"chosen": "value of the last month", "sigma": sigma, "n_months": len(known)},
    )

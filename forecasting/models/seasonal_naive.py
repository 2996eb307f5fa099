"""Next year's month is this year's month: the forecast that every other model has to beat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecasting.models.base import FittedEach, bridge, fit_each
from forecasting.panel import Panel

SEASON = 12


@dataclass(frozen=True)
class SeasonalNaive:
    """The value of twelve months ago, with resampled past yearly changes (Hyndman and Athanasopoulos 2021, 5.2)."""

    name: ClassVar[str] = "seasonal_naive"
    min_months: ClassVar[int] = 13

    def fit(self, panel: Panel) -> FittedEach:
        return fit_each(self.name, self.min_months, panel, _fit_one)


@dataclass(frozen=True)
class _One:
    z: np.ndarray
    summary: dict[str, Any]

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        changes = self.z[SEASON:] - self.z[:-SEASON]
        changes = changes - changes.mean() if len(changes) > 1 else np.array([0.0])
        spread = max(float(self.summary["sigma"]), 1e-9)
        drawn = np.empty((paths, steps))
        for step in range(steps):
            shock = rng.choice(changes, paths) if len(changes) >= 2 * SEASON else rng.normal(0.0, spread, paths)
            base = drawn[:, step - SEASON] if step >= SEASON else self.z[len(self.z) - SEASON + step]
            drawn[:, step] = base + shock
        return drawn


def _fit_one(z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> _One:
    filled = bridge(z)
    changes = filled[SEASON:] - filled[:-SEASON]
    sigma = float(np.sqrt(np.mean(changes**2)))
    return _One(
        filled,
        {"chosen": "value of twelve months ago", "sigma": sigma, "n_months": int((~np.isnan(z)).sum())},
    )

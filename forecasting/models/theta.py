"""Theta: simple exponential smoothing with a damped share of the running trend, seasonally adjusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecasting.models.base import FittedEach, One, bridge, fit_each
from forecasting.models.season import adjusted, find_season
from forecasting.models.smoothing import lines, theta_errors, theta_follow, theta_search
from forecasting.panel import Panel

ALPHAS = np.linspace(0.02, 0.98, 25)
SKIP = 2  # the running trend of the first two months is not yet a trend


@dataclass(frozen=True)
class Theta:
    """Dynamic optimised Theta (Fiorucci et al. 2016), which holds SES with drift (Hyndman and Billah 2003).

    On the seasonally adjusted series where its months can be told from noise.
    """

    name: ClassVar[str] = "theta"
    min_months: ClassVar[int] = 13

    def fit(self, panel: Panel) -> FittedEach:
        return fit_each(self.name, self.min_months, panel, _fit_one)


@dataclass(frozen=True)
class Smoothing:
    """Estimated smoothing: weight of the newest value, first level, weight 1 − 1/θ of the trend."""

    alpha: float
    level: float
    weight: float


@dataclass(frozen=True)
class _One:
    """Level, and mean and slope of the least-squares line, after t months."""

    level: float
    t: int
    mean: float
    slope: float
    smoothing: Smoothing
    summary: dict[str, Any]

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        free = max(self.summary["n_months"] - 3, 3)
        # one draw of the unknown spread for a path: tails of Student's t, as short histories deserve
        spread = self.summary["sigma"] * np.sqrt(free / rng.chisquare(free, paths))
        shocks = spread * rng.standard_normal((steps, paths))
        by = self.smoothing
        return np.asarray(theta_follow(self.level, self.t, self.mean, self.slope, by.alpha, by.weight, shocks))


def _fit_one(z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> One:
    filled = bridge(z)
    season = find_season(filled)
    known = int((~np.isnan(z)).sum())
    return adjusted(fit_smoothing(filled - season.over(len(z)), known), season, len(z))


def fit_smoothing(y: np.ndarray, known: int) -> _One:
    """The likeliest smoothing of y (T, no season, no holes), run to the last month."""
    sse, *found = theta_search(y, ALPHAS, SKIP)
    smoothing, (mean, slope) = Smoothing(*found), lines(y)
    _, level = theta_errors(y, mean, slope, smoothing.alpha, smoothing.level, smoothing.weight)
    theta = 1.0 / max(1.0 - smoothing.weight, 1e-3)
    return _One(
        level,
        len(y),
        mean[-1],
        slope[-1],
        smoothing,
        {
            "chosen": f"theta {theta:.3g}, alpha {smoothing.alpha:.2f}",
            "sigma": float(np.sqrt(sse / max(len(y) - SKIP - 3, 1))),
            "n_months": known,
        },
    )

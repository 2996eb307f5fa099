"""Theta: simple exponential smoothing with a damped share of the running trend, seasonally adjusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from forecasting.models.base import FittedEach, One, bridge, fit_each
from forecasting.models.season import adjusted, find_season
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
class Line:
    """Least-squares line through the first t values: mean and slope; arrays of T, or of P paths."""

    t: int
    mean: Any
    slope: Any

    def then(self, y: Any) -> Line:
        """The line once the next value is known."""
        t = self.t + 1
        slope = ((t - 2) * self.slope + 6.0 * (y - self.mean) / t) / (t + 1) if t > 1 else 0.0 * y
        return Line(t, ((t - 1) * self.mean + y) / t, slope)

    @property
    def intercept(self) -> Any:
        return self.mean - 0.5 * (self.t + 1) * self.slope


def pull(t: Any, intercept: Any, slope: Any, alpha: float) -> Any:
    """What the trend adds to the level for month t + 1, before its weight (Fiorucci et al. 2016, eq. 11)."""
    left = (1.0 - alpha) ** t
    return left * intercept + (1.0 - left * (1.0 - alpha)) / alpha * slope


@dataclass(frozen=True)
class Smoothing:
    """Estimated smoothing: weight of the newest value, first level, weight 1 − 1/θ of the trend."""

    alpha: float
    level: float
    weight: float


@dataclass(frozen=True)
class _One:
    level: float
    line: Line
    smoothing: Smoothing
    summary: dict[str, Any]

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        free = max(self.summary["n_months"] - 3, 3)
        # one draw of the unknown spread for a path: tails of Student's t, as short histories deserve
        spread = self.summary["sigma"] * np.sqrt(free / rng.chisquare(free, paths))
        alpha, weight = self.smoothing.alpha, self.smoothing.weight
        level, line = np.full(paths, self.level), self.line
        drawn = np.empty((paths, steps))
        for step in range(steps):
            mean = level + weight * pull(line.t, line.intercept, line.slope, alpha)
            drawn[:, step] = mean + spread * rng.standard_normal(paths)
            level = alpha * drawn[:, step] + (1.0 - alpha) * level
            line = line.then(drawn[:, step])
        return drawn


def _fit_one(z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> One:
    filled = bridge(z)
    season = find_season(filled)
    known = int((~np.isnan(z)).sum())
    return adjusted(fit_smoothing(filled - season.over(len(z)), known), season, len(z))


def fit_smoothing(y: np.ndarray, known: int) -> _One:
    """The likeliest smoothing of y (T, no season, no holes), run to the last month."""
    lines = running_lines(y)
    sse, smoothing = min((smooth(y, lines, alpha) for alpha in ALPHAS), key=lambda one: one[0])
    theta = 1.0 / max(1.0 - smoothing.weight, 1e-3)
    return _One(
        levels(y, smoothing)[-1],
        lines[-1],
        smoothing,
        {
            "chosen": f"theta {theta:.3g}, alpha {smoothing.alpha:.2f}",
            "sigma": float(np.sqrt(sse / max(len(y) - SKIP - 3, 1))),
            "n_months": known,
        },
    )


def running_lines(y: np.ndarray) -> list[Line]:
    """The least-squares line after each month (T)."""
    lines = [Line(1, float(y[0]), 0.0)]
    for value in y[1:]:
        lines.append(lines[-1].then(float(value)))
    return lines


def levels(y: np.ndarray, smoothing: Smoothing) -> np.ndarray:
    """Level before each month and after the last one (T + 1)."""
    alpha = smoothing.alpha
    after, _ = lfilter([alpha], [1.0, alpha - 1.0], y, zi=[(1.0 - alpha) * smoothing.level])
    return np.r_[smoothing.level, after]


def smooth(y: np.ndarray, lines: list[Line], alpha: float) -> tuple[float, Smoothing]:
    """Sum of squared residuals and the best first level and trend weight: a line in both, given alpha."""
    t = np.arange(len(y))
    added = pull(
        t[1:],
        np.array([line.intercept for line in lines[:-1]]),
        np.array([line.slope for line in lines[:-1]]),
        alpha,
    )
    target = y - levels(y, Smoothing(alpha, 0.0, 0.0))[:-1]
    columns = np.column_stack([(1.0 - alpha) ** t, np.r_[0.0, added]])[SKIP:]
    (level, weight), *_ = np.linalg.lstsq(columns, target[SKIP:], rcond=None)
    if not 0.0 <= weight <= 1.0:  # θ from 1 (no trend) upwards
        weight = min(max(weight, 0.0), 1.0)
        decay = columns[:, 0]
        level = decay @ (target[SKIP:] - weight * columns[:, 1]) / (decay @ decay)
    sse = np.sum((target[SKIP:] - columns @ np.array([level, weight])) ** 2)
    return float(sse), Smoothing(float(alpha), float(level), float(weight))

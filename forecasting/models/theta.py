"""Theta: simple exponential smoothing with a damped share of the running trend, seasonally adjusted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.signal import lfilter

from forecasting.models.base import FittedEach, bridge, fit_each
from forecasting.panel import Panel

SEASON = 12
ALPHAS = np.linspace(0.02, 0.98, 25)
SKIP = 2  # the running trend of the first two months is not yet a trend


@dataclass(frozen=True)
class Theta:
    """Dynamic optimised Theta (Fiorucci et al. 2016), which holds SES with drift (Hyndman and Billah 2003).

    Additive seasonal adjustment on the transformed scale where a test finds a season.
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
    season: np.ndarray
    summary: dict[str, Any]

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        """Season (12) begins with the month after the last known one."""
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
        return drawn + self.season[np.arange(steps) % SEASON]


def _fit_one(z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> _One:
    filled = bridge(z)
    season = seasonal_effects(filled) if is_seasonal(filled) else np.zeros(SEASON)
    adjusted = filled - season[np.arange(len(z)) % SEASON]
    lines = running_lines(adjusted)
    fitted = [(smooth(adjusted, lines, alpha), alpha) for alpha in ALPHAS]
    (sse, smoothing), _ = min(fitted, key=lambda one: one[0][0])
    sigma = float(np.sqrt(sse / max(len(z) - SKIP - 3, 1)))
    said = f"theta {1.0 / max(1.0 - smoothing.weight, 1e-3):.3g}, alpha {smoothing.alpha:.2f}"
    return _One(
        levels(adjusted, smoothing)[-1],
        lines[-1],
        smoothing,
        np.roll(season, -(len(z) % SEASON)),
        {
            "chosen": said + (", seasonally adjusted" if season.any() else ", no season"),
            "sigma": sigma,
            "n_months": int((~np.isnan(z)).sum()),
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


def is_seasonal(z: np.ndarray) -> bool:
    """Autocorrelation at lag 12 beyond its 90 % limit (Assimakopoulos and Nikolopoulos 2000)."""
    if len(z) < 2 * SEASON or np.ptp(z) == 0:
        return False
    u = z - z.mean()
    r = np.array([u[lag:] @ u[:-lag] for lag in range(1, SEASON + 1)]) / (u @ u)
    return bool(abs(r[-1]) > 1.645 * np.sqrt((1.0 + 2.0 * np.sum(r[:-1] ** 2)) / len(z)))


def seasonal_effects(z: np.ndarray) -> np.ndarray:
    """Mean distance from the centred yearly average by month (12, that of z[0] first), summing to zero."""
    weights = np.r_[0.5, np.ones(SEASON - 1), 0.5] / SEASON
    trend = np.convolve(z, weights, mode="valid")
    away = np.full(len(z), np.nan)
    away[SEASON // 2 : SEASON // 2 + len(trend)] = z[SEASON // 2 : SEASON // 2 + len(trend)] - trend
    effects = np.array([np.nanmean(away[month::SEASON]) for month in range(SEASON)])
    return np.asarray(effects - effects.mean())

"""What automatic choices share: the data they may look at, their criterion, a check of residuals."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import chdtrc

SEASON = 12


def half_year(months: pd.PeriodIndex) -> int:
    """How many of these months lie at or before their last June or December."""
    return max(len(months) - months[-1].month % 6, 0)


def seen(z: np.ndarray, months: pd.PeriodIndex, min_months: int) -> int:
    """How many months a choice sees: to the last June or December, all if fewer than ``min_months`` remain.

    So a rolling backtest over monthly cutoffs chooses anew only twice a year.
    """
    half = half_year(months)
    return half if np.sum(~np.isnan(z[:half])) >= min_months else len(z)


def window(z: np.ndarray, x: np.ndarray, months: int) -> tuple[np.ndarray, np.ndarray]:
    """The last months of series and covariates, from the first known one on."""
    z, x = z[-months:], x[-months:]
    begin = int(np.argmax(~np.isnan(z)))
    return z[begin:], x[begin:]


def standard(values: np.ndarray) -> np.ndarray:
    """Centred, scaled and rounded along time: the unit of the transform, new every month, drops out."""
    spread = np.nanstd(values, axis=0)
    scaled = (values - np.nanmean(values, axis=0)) / np.where(spread > 1e-12, spread, 1.0)
    return np.ascontiguousarray(np.round(scaled, 9) + 0.0)


def aicc(loglik: float, k: int, n: int) -> float:
    """Akaike's criterion with the correction for few observations; no room left = infinite."""
    return -2.0 * loglik + 2.0 * k + 2.0 * k * (k + 1) / (n - k - 1) if n > k + 1 else np.inf


def ljung_box(errors: np.ndarray, used: int) -> float:
    """p-value of residuals (T, NaN skipped) without autocorrelation over two years; ``used`` parameters."""
    e = errors[np.isfinite(errors)]
    n, e = len(e), e - (e.mean() if len(e) else 0.0)
    lags = max(min(2 * SEASON, n // 5), used + 1)
    if n <= lags + 1 or not e @ e > 0:
        return float("nan")
    r = np.array([e[lag:] @ e[:-lag] for lag in range(1, lags + 1)]) / (e @ e)
    statistic = n * (n + 2) * np.sum(r**2 / (n - np.arange(1, lags + 1)))
    return float(chdtrc(lags - used, statistic))

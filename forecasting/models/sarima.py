"""Regression with seasonal ARIMA errors: exact likelihood, holes and ragged edges as in state space form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecasting.errors import ModelError
from forecasting.models.base import FittedEach, One, bridge, fit_each
from forecasting.models.choosing import SEASON, aicc, ljung_box, seen, standard, window
from forecasting.models.likelihood import natural, profile, whiten
from forecasting.models.orders import Columns, Estimate, Orders, begin, difference, differences, regressors, stepwise
from forecasting.models.season import NONE, adjusted, find_season
from forecasting.panel import Panel

SMALLEST = 1e-4  # spread of a shock when the scaled series has none


@dataclass(frozen=True)
class Sarima:
    """Regression with seasonal ARIMA errors; orders by tests and a stepwise search unless they are given.

    Orders are chosen on data up to the last June or December (if ``min_months`` remain) and parameters
    estimated on all data, so that a rolling backtest searches twice a year. Only the last ``max_months``
    count: older regimes mislead and cost. ``order`` is (p, d, q), ``seasonal_order`` (P, D, Q); None = found.
    Below ``seasonal_from`` months the series is adjusted for its season and the model is not seasonal.
    """

    order: tuple[int, int, int] | None = None
    seasonal_order: tuple[int, int, int] | None = None
    max_months: int = 240
    seasonal_from: int = 72
    max_d: int = 1

    name: ClassVar[str] = "sarima"
    min_months: ClassVar[int] = 24

    def fit(self, panel: Panel) -> FittedEach:
        return fit_each(self.name, self.min_months, panel, self._fit_one)

    def _fit_one(self, z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> One:
        chosen = self.choose(z, months, x)
        z, x = window(z, x, self.max_months)
        season = find_season(bridge(z)) if chosen.orders.adjusted else NONE
        return adjusted(fit_orders(z - season.over(len(z)), x, chosen.orders, chosen.free), season, len(z))

    def pin(self, orders: Orders) -> Orders:
        """These orders with those that the settings fix."""
        p, _, q = self.order or (orders.p, 0, orders.q)
        P, _, Q = self.seasonal_order or (orders.P, 0, orders.Q)
        return replace(orders, p=p, q=q, P=P, Q=Q)

    def choose(self, z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> Estimate:
        """Best orders for z (T) from its months up to the last June or December, as estimated on those."""
        until = seen(z, months, self.min_months)
        known, x = map(standard, window(z[:until], x[:until], self.max_months))
        return _search(known.tobytes(), x.tobytes(), x.shape[1], self)


@dataclass(frozen=True)
class Fit:
    """A regression with ARIMA errors on a scaled series z (T), ready to go on.

    params are φ, θ, Φ, Θ; beta (c − 1) the coefficients of holes, drift and covariates, known but for
    ``unknown`` (square), the root of their covariance over sigma²; ``x`` are scaled covariates (T × k).
    """

    orders: Orders
    z: np.ndarray
    x: np.ndarray
    columns: Columns
    params: np.ndarray
    beta: np.ndarray
    unknown: np.ndarray
    sigma: float
    free: int
    covariates: tuple[np.ndarray, np.ndarray]
    level: float
    scale: float
    summary: dict[str, Any]

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        centre, width = self.covariates
        past = SEASON * self.orders.D + self.orders.d
        x = np.vstack([self.x, (x.reshape(steps, -1) - centre) / width])
        ahead = difference(regressors(self.orders, x, 1 - len(self.z)), self.orders.d, self.orders.D)[-steps:]
        # one draw of the unknown spread for a path: tails of Student's t, as short histories deserve
        spread = self.sigma * np.sqrt(self.free / rng.chisquare(self.free, paths))[:, None]
        beta = self.beta + spread * (rng.standard_normal((paths, len(self.beta))) @ self.unknown.T)
        holes = self.columns.holes
        _, _, means, root = whiten(self.orders.arma, self.params, self.columns.values, steps)
        drawn = means[0] - beta @ means[1:] + beta[:, holes:] @ ahead.T
        drawn += spread * (rng.standard_normal((paths, steps)) @ root.T)
        filled = np.tile(bridge(self.z)[-past:] if past else np.empty(0), (paths, 1))
        recent = np.flatnonzero(np.isnan(self.z)) - (len(self.z) - past)
        filled[:, recent[recent >= 0]] += beta[:, :holes][:, recent >= 0]
        return self.level + self.scale * integrate(drawn, filled, self.orders)

    def results(self) -> Any:
        """The same model and parameters as a result of statsmodels, on the scaled series, for its diagnostics."""
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        X = regressors(self.orders, self.x, 1 - len(self.x))
        seasonal = (self.orders.P, self.orders.D, self.orders.Q, SEASON)
        model = SARIMAX(
            self.z,
            exog=X if X.shape[1] else None,
            order=(self.orders.p, self.orders.d, self.orders.q),
            seasonal_order=seasonal if any(seasonal[:3]) else (0, 0, 0, 0),
            use_exact_diffuse=True,
        )
        return model.smooth(np.r_[self.beta[self.columns.holes :], self.params, self.sigma**2])


def integrate(w: np.ndarray, past: np.ndarray, orders: Orders) -> np.ndarray:
    """Levels (P × h) from their differences w (P × h) and the levels before (P × 12 D + d)."""
    yearly = np.r_[1.0, np.zeros(SEASON - 1), -1.0]
    lags = np.ones(1)
    for factor in [np.array([1.0, -1.0])] * orders.d + [yearly] * orders.D:
        lags = np.convolve(lags, factor)
    back = past.shape[1]
    z = np.hstack([past, w])
    for at in range(back, z.shape[1]):
        z[:, at] -= z[:, at - back : at] @ lags[:0:-1]
    return z[:, back:]


@lru_cache(maxsize=1024)
def _search(z: bytes, x: bytes, k: int, settings: Sarima) -> Estimate:
    """Remembered by its whole input, so that a backtest does not repeat it; a pure function."""
    known = np.frombuffer(z).copy()
    covariates = np.frombuffer(x).reshape(len(known), k)
    moving = len(known) >= settings.seasonal_from or settings.seasonal_order is not None
    if not moving:
        known -= find_season(bridge(known)).over(len(known))
    d, D = differences(bridge(known), covariates, moving, settings.max_d)
    d = settings.order[1] if settings.order is not None else d
    D = settings.seasonal_order[1] if settings.seasonal_order is not None else D
    simplest = settings.pin(Orders(0, d, 0, 0, D, 0, drift=d + D <= 1))
    flat = np.ptp(difference(bridge(known), d, D)) < 1e-9
    if flat or (settings.order is not None and settings.seasonal_order is not None):
        best = Estimate(simplest, begin(simplest), 0.0, 0.0, True)
    else:
        best = stepwise(known, covariates, d, D, moving, settings.pin)
    return replace(best, orders=replace(best.orders, adjusted=not moving))


def fit_orders(z: np.ndarray, x: np.ndarray, orders: Orders, start: np.ndarray | None = None) -> Fit:
    """Estimate these orders on z (T) with covariates x (T × k), from ``start`` if there is one."""
    centre, width = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    w = difference(bridge(z), orders.d, orders.D)
    level, scale = float(z[-1]), float(np.std(w)) if np.ptp(w) > 1e-9 * (1.0 + np.nanmax(np.abs(z))) else 1.0
    z, x = (z - level) / scale, (x - centre) / width
    columns = Columns.of(z, x, orders)
    found = columns.estimate(orders, begin(orders) if start is None else start)
    params = natural(orders.arma, found.free)
    white, logdet, _, _ = whiten(orders.arma, params, columns.values, 0)
    errors, beta, root, _, used = profile(white, logdet, columns.holes)
    k = len(params) + len(beta) - columns.holes
    free = max(used - k, 3)
    sigma = max(float(np.sqrt(errors @ errors / free)), SMALLEST)
    if not (np.isfinite(found.loglik) and np.isfinite(beta).all()):
        raise ModelError(f"sarima did not converge for {orders}: give other orders or use a simpler model.")
    kept = np.diag(root) > 0
    unknown = np.linalg.inv(root + np.diag(1.0 - kept)).T * kept[:, None] * kept
    summary = {
        "chosen": str(orders),
        "sigma": scale * sigma,
        "aicc": aicc(found.loglik - used * np.log(scale), k + 1, used),
        "ljung_box_p": ljung_box(errors, len(params)),
        "n_months": int((~np.isnan(z)).sum()),
        "converged": found.settled,
    }
    return Fit(orders, z, x, columns, params, beta, unknown, sigma, free, (centre, width), level, scale, summary)

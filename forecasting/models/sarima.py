"""Seasonal ARIMA in state space form: exact likelihood, holes and ragged edges by the Kalman filter."""

from __future__ import annotations

import contextlib
import warnings
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from statsmodels.tsa.statespace.sarimax import SARIMAX

from forecasting.errors import ModelError
from forecasting.models.base import FittedEach, One, bridge, fit_each
from forecasting.models.choosing import SEASON, aicc, ljung_box, seen, standard, window
from forecasting.models.orders import (
    Orders,
    allowed,
    css,
    difference,
    differences,
    regressors,
    stepwise,
)
from forecasting.models.season import NONE, adjusted, find_season
from forecasting.panel import Panel

EXACT = 3  # models of the search that are estimated again by exact likelihood
NEAR_UNIT = 0.98  # a chosen model keeps its partial autocorrelations within this
SMALLEST = 1e-8  # variance of a shock when the scaled series has none


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
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            shortlist = self.shortlist(z, months, x)
            z, x = window(z, x, self.max_months)
            season = find_season(bridge(z)) if shortlist[0].adjusted else NONE
            return adjusted(_first_that_fits(z - season.over(len(z)), x, shortlist), season, len(z))

    def choose(self, z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> Orders:
        """Best orders for z (T) from its months up to the last June or December."""
        return self.shortlist(z, months, x)[0]

    def shortlist(self, z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> tuple[Orders, ...]:
        """Orders from best to worst; the next one serves where the likelihood of the best cannot be maximised."""
        until = seen(z, months, self.min_months)
        known, x = map(standard, window(z[:until], x[:until], self.max_months))
        return _search(known.tobytes(), x.tobytes(), x.shape[1], self)


@dataclass(frozen=True)
class Exact:
    """A model estimated by exact likelihood on a scaled series: parameters and filtered end."""

    orders: Orders
    params: np.ndarray
    sigma2: float
    loglik: float
    converged: bool


@dataclass(frozen=True)
class _One:
    """State (m, then coefficients) of the next month: mean and root of its covariance; the way on."""

    orders: Orders
    ssm: tuple[np.ndarray, np.ndarray, np.ndarray]
    mean: np.ndarray
    root: np.ndarray
    free: int
    covariates: tuple[np.ndarray, np.ndarray]
    level: float
    scale: float
    summary: dict[str, Any]

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        design, transition, selection = self.ssm
        centre, width = self.covariates
        ahead = regressors(self.orders, (x.reshape(steps, -1) - centre) / width, 1)
        # one draw of the unknown spread for a path: tails of Student's t, as short histories deserve
        spread = np.sqrt(self.free / rng.chisquare(self.free, paths))[:, None]
        state = self.mean + spread * rng.standard_normal((paths, self.root.shape[1])) @ self.root.T
        drawn = np.empty((paths, steps))
        for step in range(steps):
            drawn[:, step] = state @ np.r_[design, ahead[step]]
            shock = spread * rng.standard_normal((paths, selection.shape[1]))
            state = state @ transition.T + shock @ selection.T
        return self.level + self.scale * drawn


def _first_that_fits(z: np.ndarray, x: np.ndarray, shortlist: tuple[Orders, ...]) -> _One:
    """The best orders whose exact fit ends well; ``chosen`` names them."""
    for orders in shortlist[:-1]:
        with contextlib.suppress(ModelError, np.linalg.LinAlgError, ValueError):
            return fit_orders(z, x, orders)
    return fit_orders(z, x, shortlist[-1])


@lru_cache(maxsize=1024)
def _search(z: bytes, x: bytes, k: int, settings: Sarima) -> tuple[Orders, ...]:
    """Remembered by its whole input, so that a backtest does not repeat it; a pure function."""
    holed = np.frombuffer(z)
    known = bridge(holed)
    covariates = np.frombuffer(x).reshape(len(known), k)
    moving = len(known) >= settings.seasonal_from or settings.seasonal_order is not None
    if not moving:
        season = find_season(known).over(len(known))
        known, holed = known - season, holed - season
    d, D = differences(known, covariates, moving, settings.max_d)
    if settings.order is not None:
        d = settings.order[1]
    if settings.seasonal_order is not None:
        D = settings.seasonal_order[1]
    if settings.order is not None and settings.seasonal_order is not None:
        (p, _, q), (P, _, Q) = settings.order, settings.seasonal_order
        return (Orders(p, d, q, P, D, Q, drift=d + D <= 1),)
    if np.ptp(difference(known, d, D)) < 1e-9:
        return (Orders(0, d, 0, 0, D, 0, drift=d + D <= 1),)
    ranked = [one for one in stepwise(known, covariates, d, D, moving) if admissible(one.orders, one.params, settings)]
    best = [exact(holed, covariates, one.orders) for one in ranked[:EXACT]]
    kept = [one for one in best if admissible(one.orders, one.params, settings)] or best
    n = len(difference(known, d, D))
    kept.sort(key=lambda one: aicc(one.loglik, len(one.params) + 1, n))
    simple = () if settings.order or settings.seasonal_order else (Orders(0, d, 1, 0, D, 1 if moving else 0),)
    return tuple(replace(one, adjusted=not moving) for one in (*(one.orders for one in kept), *simple))


def admissible(orders: Orders, params: np.ndarray, settings: Sarima) -> bool:
    """Clear of unit roots, and with the orders that the settings fix."""
    fixed = settings.order in (None, (orders.p, orders.d, orders.q))
    seasonal = settings.seasonal_order in (None, (orders.P, orders.D, orders.Q))
    return fixed and seasonal and allowed(orders.arma, params, NEAR_UNIT)


def exact(z: np.ndarray, x: np.ndarray, orders: Orders) -> Exact:
    """Maximum likelihood from a conditional least squares start; z (T, holes allowed) about unit scale."""
    X = regressors(orders, x, 1 - len(x))
    w = difference(bridge(z), orders.d, orders.D)
    start = css(orders, w, difference(X, orders.d, orders.D))
    k = sum(orders.arma)
    # filtering the differences gives the same likelihood at a third of the cost, but cannot do holes
    whole = not np.isnan(z).any()
    model = state_space(z, X, orders, simple_differencing=whole, concentrate_scale=True)
    begin = np.r_[start.params[k:], start.params[:k]]
    variance = float(np.mean(start.residuals**2))
    if variance < SMALLEST:  # the series is its own drift and season: nothing to estimate
        return Exact(orders, start.params, SMALLEST, -0.5 * len(w) * np.log(SMALLEST), True)

    params, loglik, converged = maximise(model, begin, len(w))
    sigma2 = float(model.filter(params, return_ssm=True).scale)
    return Exact(orders, np.roll(params, k), sigma2, loglik, converged)


def maximise(model: SARIMAX, begin: np.ndarray, n: int) -> tuple[np.ndarray, float, bool]:
    """Parameters (covariates first), log-likelihood, and whether the optimiser ended well."""

    def loss(free: np.ndarray) -> float:
        value = -model.loglike(model.transform_params(free)) / n
        return float(value) if np.isfinite(value) else 1e6

    if not len(begin):
        return begin, float(model.loglike(begin)), True
    free = model.untransform_params(begin)
    found = minimize(loss, free, method="L-BFGS-B", options={"maxiter": 60, "ftol": 1e-8, "gtol": 1e-4})
    if not found.success:
        found = minimize(loss, found.x, method="Nelder-Mead", options={"maxfev": 1000, "fatol": 1e-6, "xatol": 1e-3})
    return model.transform_params(found.x), -found.fun * n, bool(found.success and found.fun < 1e6)


def state_space(z: np.ndarray, X: np.ndarray, orders: Orders, **options: bool) -> SARIMAX:
    """statsmodels' model of these orders with regressors X (T × r)."""
    return SARIMAX(
        z,
        exog=X if X.shape[1] else None,
        order=(orders.p, orders.d, orders.q),
        seasonal_order=(orders.P, orders.D, orders.Q, SEASON if orders.P + orders.D + orders.Q else 0),
        **options if X.shape[1] else {name: on for name, on in options.items() if name != "mle_regression"},
    )


def fit_orders(z: np.ndarray, x: np.ndarray, orders: Orders) -> _One:
    """Estimate these orders on z (T) with covariates x (T × k) and filter to the last month."""
    centre, width = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    w = difference(bridge(z), orders.d, orders.D)
    level, scale = float(z[-1]), float(np.std(w)) if np.ptp(w) > 1e-9 * (1.0 + np.nanmax(np.abs(z))) else 1.0
    scaled, x = (z - level) / scale, (x - centre) / width
    return _filtered(scaled, x, exact(scaled, x, orders), (centre, width), level, scale)


def _filtered(
    z: np.ndarray,
    x: np.ndarray,
    found: Exact,
    covariates: tuple[np.ndarray, np.ndarray],
    level: float,
    scale: float,
) -> _One:
    orders, k = found.orders, sum(found.orders.arma)
    X = regressors(orders, x, 1 - len(x))
    n = int((~np.isnan(z)).sum())
    free = max(n - orders.d - SEASON * orders.D - len(found.params), 3)
    used = free + len(found.params)
    sigma2 = found.sigma2 * used / free
    # coefficients in the state: what is not known of the drift widens the paths
    model = state_space(z, X, orders, simple_differencing=False, mle_regression=False)
    made = model.filter(np.r_[found.params[:k], sigma2], return_ssm=True)
    if not (np.isfinite(found.loglik) and np.isfinite(made.predicted_state[:, -1]).all() and found.converged):
        raise ModelError(f"sarima did not converge for {orders}: give other orders or use a simpler model.")
    values, vectors = np.linalg.eigh(made.predicted_state_cov[:, :, -1])
    ssm, states = model.ssm, made.predicted_state.shape[0] - X.shape[1]
    errors = made.standardized_forecasts_error[0][made.loglikelihood_burn :]
    return _One(
        orders,
        (
            ssm["design"][0, :states].reshape(states, -1)[:, 0],
            ssm["transition"].copy(),
            ssm["selection"] * sigma2**0.5,
        ),
        made.predicted_state[:, -1].copy(),
        vectors * np.sqrt(np.clip(values, 0.0, None)),
        free,
        covariates,
        level,
        scale,
        {
            "chosen": str(orders),
            "sigma": scale * float(np.sqrt(sigma2)),
            "aicc": aicc(found.loglik - used * np.log(scale), len(found.params) + 1, used),
            "ljung_box_p": ljung_box(errors, k),
            "n_months": n,
            "converged": found.converged,
        },
    )

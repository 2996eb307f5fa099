"""Exponential smoothing in innovations form, additive on the transformed scale (Hyndman et al. 2008)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar

import numpy as np
import pandas as pd
from scipy.optimize import minimize
from scipy.signal import lfilter

from forecasting.errors import ModelError
from forecasting.models.base import FittedEach, One, bridge, fit_each
from forecasting.models.choosing import SEASON, aicc, ljung_box, seen, standard
from forecasting.models.season import NONE, adjusted, find_season
from forecasting.panel import Panel

NO_TREND, DAMPED, TREND = "N", "Ad", "A"
DAMPING = (0.8, 0.98)  # less is no trend, more is a full one (forecast::ets)
SMALLEST = 1e-10  # mean square of residuals where the form fits exactly


@dataclass(frozen=True)
class Ets:
    """ETS(A, N|Ad, N|A), by corrected AIC; below ``seasonal_from`` months adjusted for season.

    The form is chosen on data up to the last June or December (if ``min_months`` remain) and estimated on
    all data, so that a rolling backtest chooses twice a year. Only the last ``max_months`` count; holes are
    bridged.
    """

    # a full trend is not among them: on samples of M3 (40 months, and whole series) it cost MASE and coverage
    trends: tuple[str, ...] = (NO_TREND, DAMPED)
    seasonal_from: int = 120
    max_months: int = 240

    name: ClassVar[str] = "ets"
    min_months: ClassVar[int] = 16

    def fit(self, panel: Panel) -> FittedEach:
        return fit_each(self.name, self.min_months, panel, self._fit_one)

    def _fit_one(self, z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> One:
        filled = bridge(z)
        known = filled[: seen(z, months, self.min_months)]
        form = _choose(standard(known[-self.max_months :]).tobytes(), self)
        used, bridged = filled[-self.max_months :], int(np.isnan(z[-self.max_months :]).sum())
        season = find_season(used) if form.adjusted else NONE
        return adjusted(fit_form(used - season.over(len(used)), form, bridged), season, len(used))


@dataclass(frozen=True)
class Form:
    """Trend N, Ad or A; with or without an additive season that moves, or seasonally adjusted before."""

    trend: str
    season: bool
    adjusted: bool = False

    def __str__(self) -> str:
        return f"ETS(A,{self.trend},{'A' if self.season else 'N'})"

    @property
    def k(self) -> int:
        """Parameters: smoothing, first states and the variance of the shocks."""
        trend = {NO_TREND: 0, DAMPED: 3, TREND: 2}[self.trend]
        return 3 + trend + (SEASON if self.season else 0)


@dataclass(frozen=True)
class Weights:
    """Smoothing of level, trend and season, and the damping of the trend; zero where a form has none."""

    alpha: float
    beta: float = 0.0
    gamma: float = 0.0
    phi: float = 0.0


@dataclass(frozen=True)
class State:
    """Level, trend, and season of the coming months (12, the next month first); numbers or P of each."""

    level: Any
    trend: Any
    season: np.ndarray

    def then(self, error: Any, by: Weights) -> State:
        """After a month whose error this was."""
        month = self.season[..., :1] + by.gamma * np.asarray(error)[..., None]
        return State(
            self.level + by.phi * self.trend + by.alpha * error,
            by.phi * self.trend + by.beta * error,
            np.concatenate([self.season[..., 1:], month], axis=-1),
        )

    def mean(self, by: Weights) -> Any:
        """Expectation of the next month."""
        return self.level + by.phi * self.trend + self.season[..., 0]


@dataclass(frozen=True)
class Estimate:
    """Least-squares weights, first state, residuals (T) and log-likelihood of a form."""

    form: Form
    weights: Weights
    first: State
    residuals: np.ndarray
    loglik: float
    converged: bool

    @property
    def aicc(self) -> float:
        return aicc(self.loglik, self.form.k, len(self.residuals))


@dataclass(frozen=True)
class _One:
    last: State
    weights: Weights
    free: int
    summary: dict[str, Any]

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        # one draw of the unknown spread for a path: tails of Student's t, as short histories deserve
        spread = self.summary["sigma"] * np.sqrt(self.free / rng.chisquare(self.free, paths))
        state = State(self.last.level, self.last.trend, np.tile(self.last.season, (paths, 1)))
        drawn = np.empty((paths, steps))
        for step in range(steps):
            error = spread * rng.standard_normal(paths)
            drawn[:, step] = state.mean(self.weights) + error
            state = state.then(error, self.weights)
        return drawn


def forms(n: int, settings: Ets) -> Iterator[Form]:
    """Admissible forms for n months that leave the criterion room."""
    moving = n >= settings.seasonal_from
    for season in (False, True) if moving else (False,):
        for trend in settings.trends:
            if n > Form(trend, season).k + 2:
                yield Form(trend, season, adjusted=not moving)


@lru_cache(maxsize=1024)
def _choose(z: bytes, settings: Ets) -> Form:
    """Remembered by its whole input, so that a backtest does not repeat it; a pure function."""
    known = np.frombuffer(z)
    flat = known - find_season(known).over(len(known))
    tried = [estimate(flat if form.adjusted else known, form) for form in forms(len(known), settings)]
    return min(tried, key=lambda one: one.aicc).form


def fit_form(z: np.ndarray, form: Form, bridged: int) -> _One:
    """Estimate a form on z (T, no holes) and run it to the last month."""
    centre, scale = float(z.mean()), float(z.std()) or 1.0
    found = estimate((z - centre) / scale, form)
    if not (found.converged and np.isfinite(found.loglik)):
        raise ModelError(f"ets did not converge for {form}: allow fewer trends or use a simpler model.")
    state = found.first
    for error in found.residuals:
        state = state.then(error, found.weights)
    free = max(len(z) - form.k + 1, 3)
    sse = float(found.residuals @ found.residuals)
    return _One(
        State(centre + scale * state.level, scale * state.trend, scale * state.season),
        found.weights,
        free,
        {
            "chosen": f"{form}, {bridged} months bridged" if bridged else str(form),
            "sigma": scale * float(np.sqrt(sse / free)),
            "aicc": aicc(found.loglik - len(z) * np.log(scale), form.k, len(z)),
            "ljung_box_p": ljung_box(found.residuals, 1 + (form.trend != NO_TREND) + form.season),
            "n_months": len(z) - bridged,
            "converged": found.converged,
        },
    )


def estimate(z: np.ndarray, form: Form) -> Estimate:
    """Maximum likelihood on z (T) of about unit scale.

    Given the weights, residuals are linear in the first state, so only the weights are searched.
    """
    size = 1 + {NO_TREND: 0, DAMPED: 2, TREND: 1}[form.trend] + form.season

    def loss(free: np.ndarray) -> float:
        _, e = settle(z, form, weights(form, free))
        return 0.5 * float(np.log(max(e @ e / len(z), SMALLEST)))

    # the likelihood has a second top where the trend follows every month, so both ends are tried
    corners = product((-2.0, 0.0, 2.0), *[(-2.0, 2.0)] * (form.trend != NO_TREND))
    begun = min((np.r_[corner, np.full(size - len(corner), -2.0)] for corner in corners), key=loss)
    found = minimize(loss, begun, method="L-BFGS-B", bounds=[(-8.0, 8.0)] * size, options={"ftol": 1e-8, "gtol": 1e-4})
    by = weights(form, found.x)
    first, e = settle(z, form, by)
    loglik = -len(z) * (0.5 * np.log(2.0 * np.pi) + 0.5 + float(loss(found.x)))
    return Estimate(form, by, first, e, loglik, bool(found.success))


def weights(form: Form, free: np.ndarray) -> Weights:
    """Unbounded numbers to weights in the usual region: β < α, γ < 1 − α."""
    share = 1.0 / (1.0 + np.exp(-free))
    alpha, rest = share[0], list(share[1:])
    beta = alpha * rest.pop(0) if form.trend != NO_TREND else 0.0
    low, high = DAMPING
    phi = {NO_TREND: 0.0, TREND: 1.0}.get(form.trend)
    phi = low + (high - low) * rest.pop(0) if phi is None else phi
    return Weights(alpha, beta, (1.0 - alpha) * rest.pop(0) if form.season else 0.0, phi)


def filters(form: Form, by: Weights) -> tuple[np.ndarray, np.ndarray]:
    """ARIMA form of the smoother: polynomials of series and error, error = series · first / second."""
    period = SEASON if form.season else 1
    cycle, ones = np.r_[1.0, np.zeros(period - 1), -1.0], np.ones(period)
    damp = np.array([1.0, -by.phi]) if form.trend != NO_TREND else np.ones(1)
    lag = np.array([0.0, 1.0])
    series = np.convolve(cycle, damp)
    error = series + np.convolve(np.convolve(lag, ones), by.alpha * damp)
    push = by.beta * by.phi * np.convolve(lag, ones)
    error[: len(push)] += push
    if form.season:
        error[period : period + len(damp)] += by.gamma * damp
    return series, error


def settle(z: np.ndarray, form: Form, by: Weights) -> tuple[State, np.ndarray]:
    """The first state that leaves least squares, and the residuals (T)."""
    series, error = filters(form, by)
    columns = first_state_columns(len(z), form, by.phi)
    filtered = lfilter(series, error, np.column_stack([z, columns]), axis=0)
    states, *_ = np.linalg.lstsq(filtered[:, 1:], filtered[:, 0], rcond=None)
    season = np.zeros(SEASON)
    if form.season:
        season[:-1] = states[1 - SEASON :]
        season[-1] = -season[:-1].sum()
    trend = states[1] if form.trend != NO_TREND else 0.0
    return State(states[0], trend, season), filtered[:, 0] - filtered[:, 1:] @ states


def first_state_columns(n: int, form: Form, phi: float) -> np.ndarray:
    """What first level, trend and season (11, the 12th makes them sum to zero) add to each month."""
    columns = [np.ones((n, 1))]
    if form.trend != NO_TREND:
        columns.append(np.cumsum(phi ** np.arange(1, n + 1))[:, None])
    if form.season:
        month = np.arange(n) % SEASON
        effects = np.eye(SEASON)[:, :-1]
        effects[-1] = -1.0
        columns.append(effects[month])
    return np.hstack(columns)

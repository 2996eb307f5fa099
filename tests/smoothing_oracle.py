"""Exponential smoothing the slow and obvious way: one filter a column, library least squares, a general optimiser."""

from __future__ import annotations

from itertools import product

import numpy as np
from scipy.optimize import minimize
from scipy.signal import lfilter

from forecasting.models.choosing import SEASON, aicc
from forecasting.models.ets import DAMPED, NO_TREND, TREND, Form, State, Weights
from forecasting.models.smoothing import DAMPING, SMALLEST


def after(state: State, by: Weights, error: float) -> State:
    """The state after a month whose error this was."""
    month = state.season[0] + by.gamma * error
    carried = by.phi * state.trend
    return State(state.level + carried + by.alpha * error, carried + by.beta * error, np.r_[state.season[1:], month])


def mean(state: State, by: Weights) -> float:
    """Expectation of the next month."""
    return float(state.level + by.phi * state.trend + state.season[0])


def estimate(z: np.ndarray, form: Form) -> tuple[Weights, float]:
    """Likeliest weights on z (T) and their log-likelihood, by L-BFGS-B with differences for slopes."""
    size = 1 + {NO_TREND: 0, DAMPED: 2, TREND: 1}[form.trend] + form.season

    def loss(free: np.ndarray) -> float:
        e = residuals(z, form, weights(form, free))
        return 0.5 * float(np.log(max(e @ e / len(z), SMALLEST)))

    corners = product((-2.0, 0.0, 2.0), *[(-2.0, 2.0)] * (form.trend != NO_TREND))
    begun = min((np.r_[corner, np.full(size - len(corner), -2.0)] for corner in corners), key=loss)
    found = minimize(loss, begun, method="L-BFGS-B", bounds=[(-8.0, 8.0)] * size, options={"ftol": 1e-8, "gtol": 1e-4})
    return weights(form, found.x), -len(z) * (0.5 * np.log(2.0 * np.pi) + 0.5 + float(found.fun))


def chosen(forms: list[Form], logliks: list[float], n: int) -> Form:
    """The form with the least criterion on n months."""
    return min(zip(forms, logliks, strict=True), key=lambda pair: aicc(pair[1], pair[0].k, n))[0]


def weights(form: Form, free: np.ndarray) -> Weights:
    """Logits to weights in the usual region: β < α, γ < 1 − α."""
    share = 1.0 / (1.0 + np.exp(-free))
    alpha, rest = share[0], list(share[1:])
    beta = alpha * rest.pop(0) if form.trend != NO_TREND else 0.0
    phi = {NO_TREND: 0.0, TREND: 1.0}.get(form.trend)
    phi = DAMPING[0] + (DAMPING[1] - DAMPING[0]) * rest.pop(0) if phi is None else phi
    return Weights(alpha, beta, (1.0 - alpha) * rest.pop(0) if form.season else 0.0, phi)


def residuals(z: np.ndarray, form: Form, by: Weights) -> np.ndarray:
    """Residuals (T) of the first state that leaves least squares."""
    series, error = filters(form, by)
    columns = [np.ones((len(z), 1))]
    if form.trend != NO_TREND:
        columns.append(np.cumsum(by.phi ** np.arange(1, len(z) + 1))[:, None])
    if form.season:
        effects = np.eye(SEASON)[:, :-1]
        effects[-1] = -1.0
        columns.append(effects[np.arange(len(z)) % SEASON])
    filtered = lfilter(series, error, np.column_stack([z, *columns]), axis=0)
    states, *_ = np.linalg.lstsq(filtered[:, 1:], filtered[:, 0], rcond=None)
    return np.asarray(filtered[:, 0] - filtered[:, 1:] @ states)


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


def theta(y: np.ndarray, alphas: np.ndarray, skip: int) -> tuple[float, float, float, float]:
    """Least sum of squared errors of y (T) after ``skip`` months, with its α, first level and weight of the trend."""
    return min(_theta_at(y, alpha, skip) for alpha in alphas)


def _theta_at(y: np.ndarray, alpha: float, skip: int) -> tuple[float, float, float, float]:
    smoothed, own, columns = 0.0, [], []
    for t, value in enumerate(y):
        slope, intercept = np.polyfit(np.arange(1, t + 1), y[:t], 1) if t > 1 else (0.0, y[0])
        left = (1.0 - alpha) ** t
        added = left * intercept + (1.0 - left * (1.0 - alpha)) / alpha * slope
        own.append(value - smoothed)
        columns.append((left, added))
        smoothed = alpha * value + (1.0 - alpha) * smoothed
    target, both = np.array(own)[skip:], np.array(columns)[skip:]
    free = np.linalg.lstsq(both, target, rcond=None)[0]
    weight = min(max(free[1], 0.0), 1.0)
    level = np.linalg.lstsq(both[:, :1], target - weight * both[:, 1], rcond=None)[0][0]
    return float(np.sum((target - both @ [level, weight]) ** 2)), float(alpha), float(level), float(weight)


def season(z: np.ndarray, alphas: np.ndarray, ratios: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Restricted log-likelihood (a × r) of no season and each spread of effects, and effects and their covariance at
    the likeliest, by the covariance matrix of all months (Harville 1977)."""
    n, centre = len(z), np.eye(SEASON) - 1.0 / SEASON
    months = np.eye(SEASON)[np.arange(n) % SEASON]
    logliks, found = np.empty((len(alphas), len(ratios))), {}
    for a, alpha in enumerate(alphas):
        trend, y, effects = (
            lfilter([1.0, -1.0], [1.0, alpha - 1.0], one, axis=0)
            for one in (np.column_stack([np.ones(n), np.arange(n) / n]), z, months)
        )
        for r, ratio in enumerate(ratios):
            inverse = np.linalg.inv(np.eye(n) + ratio**2 * effects @ effects.T)
            inside = trend.T @ inverse @ trend
            project = inverse - inverse @ trend @ np.linalg.solve(inside, trend.T @ inverse)
            variance = y @ project @ y / (n - 2)
            logdet = np.linalg.slogdet(inside)[1] - np.linalg.slogdet(inverse)[1]
            logliks[a, r] = -0.5 * (n - 2) * np.log(variance) - 0.5 * logdet
            mean = ratio**2 * effects.T @ project @ y
            spread = variance * (ratio**2 * np.eye(SEASON) - ratio**4 * effects.T @ project @ effects)
            found[a, r] = centre @ mean, centre @ spread @ centre
    return logliks, *found[np.unravel_index(np.argmax(logliks), logliks.shape)]

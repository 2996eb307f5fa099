"""Outliers, temporary changes and level shifts inside a regression with ARIMA errors (Chen and Liu 1993).

All three begin in one month and keep a share of their size, ``decay``, each month: 0 an additive outlier, 0.7 a
temporary change, 1 a level shift. The t-value of each kind in each month is that of exact generalised least squares at
the parameters given: an outlier of every month passes the filter of the likelihood, and because the other kinds
are sums of outliers, what they have in common with errors and regressors are running sums.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numba import njit

from forecasting.errors import ModelError
from forecasting.models.likelihood import expand, first_gain, natural, onward, whiten
from forecasting.models.orders import Columns, Estimate, Orders, polynomial, regression

KINDS = {"ao": 0.0, "tc": 0.7, "ls": 1.0}
NAMES = {0.0: "outlier", 0.7: "temporary change", 1.0: "level shift"}
LAST = (
    3  # months in which nothing is looked for: no kind can be told from another there; docs/methods.md has the figures
)
MOST = 0.05  # of the months may be found to be breaks
ROUNDS = 2  # of detection and joint estimation
FEWEST = 24  # differenced months to look for breaks in
APART = 1e-3  # a candidate keeps this share of its squared length beside the other regressors, or it is one of them
NOTHING = 1e-9  # of the longest candidate: differences leave nothing of a level shift in the first month but rounding
NORMAL = 1.4826  # standard deviation over median absolute deviation


@dataclass(frozen=True)
class Break:
    """An effect from month ``at`` on that keeps ``decay`` of its size a month; ``given`` by the user or found."""

    at: int
    decay: float
    given: bool = False


@dataclass(frozen=True)
class Sought:
    """Decays that are looked for, and the critical |t| (None = by length of the series)."""

    decays: tuple[float, ...] = ()
    critical: float | None = None
    last: int = LAST

    @staticmethod
    def named(kinds: str) -> Sought:
        """Of ``none`` or some of ``ao``, ``ls``, ``tc`` with commas between; ModelError for other words."""
        words = [] if kinds == "none" else [word.strip() for word in kinds.split(",")]
        if wrong := [word for word in words if word not in KINDS]:
            raise ModelError(f"sarima knows no outliers called {wrong[0]!r}: give none, or some of ao,ls,tc.")
        return Sought(tuple(sorted({KINDS[word] for word in words})))


def effects(breaks: tuple[Break, ...], months: int) -> np.ndarray:
    """Their regressors (T × b)."""
    since = np.arange(months)[:, None] - np.array([one.at for one in breaks], dtype=int)
    decay = np.array([one.decay for one in breaks])
    return np.where(since >= 0, decay ** np.maximum(since, 0), 0.0)


def with_breaks(z: np.ndarray, x: np.ndarray, orders: Orders, breaks: tuple[Break, ...]) -> Columns:
    """Differenced columns of z (T) with the breaks before the covariates x (T × k)."""
    return Columns.of(z, np.column_stack([effects(breaks, len(z)), x]), orders)


def critical_value(months: int, alpha: float = 0.05) -> float:
    """The critical |t| that X-13 takes for so many months, by the limit law of their maximum (Ljung 1993).

    One in seventy series of independent normal months has a larger one; several kinds in each month make that more.
    """
    width = np.sqrt(2.0 * np.log(months))
    centre = width - (np.log(np.log(months)) + np.log(4.0 * np.pi)) / (2.0 * width)
    return float(centre - np.log(-0.5 * np.log(2.0 - np.sqrt(1.0 + alpha))) / width)


def seek(
    z: np.ndarray, x: np.ndarray, orders: Orders, start: np.ndarray, given: tuple[Break, ...], sought: Sought
) -> tuple[tuple[Break, ...], Columns, Estimate]:
    """The given breaks and those found in z (T), estimated together with the model from ``start``.

    Rounds of detection at fixed parameters, joint estimation, and deletion of what is no longer significant.
    """
    breaks, columns = given, with_breaks(z, x, orders, given)
    found = columns.estimate(orders, start)
    n = columns.values.shape[1]
    if not sought.decays or n < FEWEST:
        return breaks, columns, found
    critical = critical_value(len(z)) if sought.critical is None else sought.critical
    decays, lags, until = np.array(sought.decays), polynomial(orders), len(z) - sought.last
    for _ in range(ROUNDS):
        room = int(MOST * n) - len(breaks) + len(given)
        params = natural(orders.arma, found.free)
        at, kind = detect(orders.arma, params, columns.values, lags, decays, critical, until, room)
        if not len(at):
            break
        breaks = (*breaks, *(Break(int(t), float(decays[k])) for t, k in zip(at, kind, strict=True)))
        found = with_breaks(z, x, orders, breaks).estimate(orders, found.free)
        breaks = _significant(z, x, orders, found.free, breaks, critical)
        columns = with_breaks(z, x, orders, breaks)
        found = columns.estimate(orders, found.free)
    return breaks, columns, found


def _significant(
    z: np.ndarray, x: np.ndarray, orders: Orders, free: np.ndarray, breaks: tuple[Break, ...], critical: float
) -> tuple[Break, ...]:
    """Breaks less those, weakest first, whose |t| beside all others is below the critical value."""
    while breaks:
        t = np.abs(t_values(orders, free, with_breaks(z, x, orders, breaks), len(breaks)))
        t[[one.given for one in breaks]] = np.inf
        weakest = int(np.argmin(t))
        if t[weakest] >= critical:
            break
        breaks = (*breaks[:weakest], *breaks[weakest + 1 :])
    return breaks


def t_values(orders: Orders, free: np.ndarray, columns: Columns, breaks: int) -> np.ndarray:
    """Of the breaks (b), the first regressors after holes and drift, at these parameters; 0 = not to be told apart."""
    by = regression(orders, free, columns)
    here = slice(columns.holes + orders.drift, columns.holes + orders.drift + breaks)
    error = by.sigma * np.sqrt((by.unknown[here] ** 2).sum(axis=1))
    return np.divide(by.beta[here], error, out=np.zeros(breaks), where=error > 0)


def said(breaks: tuple[Break, ...], changes: np.ndarray, months: pd.PeriodIndex) -> tuple[str, ...]:
    """Level shifts by month with their relative change (b, NaN = not known), other kinds counted."""
    shifts = [
        (months[one.at], f"{'step given for' if one.given else 'level shift'} {months[one.at]}{_percent(change)}")
        for one, change in zip(breaks, changes, strict=True)
        if one.decay == 1.0
    ]
    counts = Counter(NAMES[one.decay] for one in breaks if one.decay < 1.0)
    others = (f"{count} {name}{'s' * (count > 1)}" for name, count in sorted(counts.items()))
    return (*(text for _, text in sorted(shifts)), *others)


def _percent(change: float) -> str:
    return f" ({100.0 * change:+.0f} %)".replace("-", "−") if np.isfinite(change) else ""


@njit(cache=True)
def impulses(arma: tuple[int, int, int, int], params: np.ndarray, n: int) -> np.ndarray:
    """Standardised one-step errors (n × n) of a unit in each month: row s is zero before month s."""
    phi, theta = expand(arma, params)
    r = len(phi)
    F, gain = first_gain(arma, phi, theta)
    change, size = np.zeros(r + 1), -1.0 / F
    change[:r] = gain
    state, white = np.zeros((n, r + 1)), np.zeros((n, n))
    for t in range(n):
        width, per = np.sqrt(F), 1.0 / F
        for at in range(t + 1):
            head = state[at, 0]
            v = (1.0 if at == t else 0.0) - head
            white[at, t], by = v / width, v * per
            for i in range(r):
                state[at, i] = state[at, i + 1] + phi[i] * head + gain[i] * by
        F, size = onward(phi, F, gain, change, size)
    return white


@njit(cache=True)
def outliers(white: np.ndarray, lags: np.ndarray) -> np.ndarray:
    """Filtered outlier of each month (T × n), from filtered units (n × n) and the differences' coefficients by lag."""
    n, back = len(white), len(lags) - 1
    made = np.zeros((n + back, n))
    for t in range(n + back):
        for j in range(back + 1):
            if lags[j] != 0.0 and 0 <= t - back + j < n:
                made[t] += lags[j] * white[t - back + j]
    return made


@njit(cache=True)
def gathered(values: np.ndarray, decays: np.ndarray) -> np.ndarray:
    """Inner products (kinds × T) of the effects that begin in each month, from those of outliers (T)."""
    made = np.empty((len(decays), len(values)))
    for k in range(len(decays)):
        total = 0.0
        for t in range(len(values) - 1, -1, -1):
            total = values[t] + decays[k] * total
            made[k, t] = total
    return made


@njit(cache=True)
def lengths(unit: np.ndarray, decays: np.ndarray) -> np.ndarray:
    """Squared lengths (kinds × T) of the filtered effects that begin in each month."""
    made = np.empty((len(decays), len(unit)))
    for k in range(len(decays)):
        whole = np.zeros(unit.shape[1])
        for t in range(len(unit) - 1, -1, -1):
            whole = unit[t] + decays[k] * whole
            made[k, t] = np.dot(whole, whole)
    return made


@njit(cache=True)
def effect(unit: np.ndarray, at: int, decay: float) -> np.ndarray:
    """Filtered effect (n) that begins in this month."""
    made, weight = unit[at].copy(), decay
    for t in range(at + 1, len(unit)):
        made += weight * unit[t]
        weight *= decay
    return made


@njit(cache=True)
def direction(column: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """What a column (n) adds to orthonormal rows (k × n), of length one; zero if nothing."""
    left = column.copy()
    for i in range(len(basis)):
        left -= np.dot(basis[i], left) * basis[i]
    kept = np.dot(left, left)
    return left / np.sqrt(kept) if kept > 1e-10 * np.dot(column, column) else np.zeros(len(column))


@njit(cache=True)
def detect(
    arma: tuple[int, int, int, int],
    params: np.ndarray,
    columns: np.ndarray,
    lags: np.ndarray,
    decays: np.ndarray,
    critical: float,
    until: int,
    most: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Months and kinds (positions in ``decays``) of at most so many effects, largest |t| first, before month ``until``.

    Columns (c × n) as ``Columns`` has them, lags those of ``polynomial``. Errors are measured by their median absolute
    deviation, which outliers hardly move; each effect found is taken out of errors and candidates.
    """
    white, _, _, _ = whiten(arma, params, columns, 0)
    c, n = white.shape
    unit = outliers(impulses(arma, params, n), lags)
    own = lengths(unit, decays)
    least = np.maximum(APART * own, NOTHING * np.max(own))
    left, errors, basis = own.copy(), white[0].copy(), np.zeros((c - 1 + most, n))
    at, kind = np.empty(most, np.int64), np.empty(most, np.int64)
    for step in range(c - 1 + most):
        found = step - c + 1
        if found < 0:
            column = white[step + 1]
        else:
            spread = NORMAL * np.median(np.abs(errors)) * np.sqrt(n / max(n - step, 1))
            shared = gathered(unit @ errors, decays)
            best, month, which = critical * spread, -1, 0
            for k in range(len(decays)):
                for t in range(until):
                    if left[k, t] > least[k, t] and abs(shared[k, t]) > best * np.sqrt(left[k, t]):
                        best, month, which = abs(shared[k, t]) / np.sqrt(left[k, t]), t, k
            if month < 0 or spread <= 0.0:
                return at[:found], kind[:found]
            at[found], kind[found] = month, which
            column = effect(unit, month, decays[which])
        basis[step] = direction(column, basis[:step])
        errors -= np.dot(basis[step], errors) * basis[step]
        left -= gathered(unit @ basis[step], decays) ** 2
    return at, kind


def compile_all() -> None:
    """Compile now what the first forecast would; numba keeps it beside this file."""
    columns, lags, decays = np.random.default_rng(0).normal(size=(2, 30)), np.array([1.0, -1.0]), np.array([0.0, 1.0])
    detect((1, 0, 0, 0), np.array([0.1]), columns, lags, decays, 4.0, 20, 1)

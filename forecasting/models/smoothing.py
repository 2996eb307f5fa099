"""Recursions and searches of exponential smoothing, compiled by numba: ETS in innovations form, Theta, the season.

All residuals are linear in the first states, which least squares gives at any weights; only the weights are searched
(Golub and Pereyra 1973), by Levenberg–Marquardt with Kaufman's (1975) Jacobian. What one month of the first season
adds is that of the month before, one month later, so twelve columns cost one.

Arrays: by = (α, β, γ, φ), zero where a form has none; state = (level, trend, season of the 12 months, the next first).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from forecasting.models.likelihood import decompose, solve

SEASON = 12
NONE, DAMPED, FULL = 0, 1, 2  # trends
DAMPING = (0.8, 0.98)  # less is no trend, more is a full one (forecast::ets)
EDGE = 8.0  # the logit of a weight stays within it
FARTHEST = 3.0  # longest step of a logit
GAIN = 1e-4  # log-likelihood that a round has to gain
ROUNDS = 100
TOPS = 2  # the likelihood has a second top where the trend follows every month
SMALLEST = 1e-10  # mean square of residuals where the form fits exactly


@njit(cache=True)
def weights(trend: int, season: bool, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(α, β, γ, φ) in the usual region, β < α and γ < 1 − α, from logits (k); and their derivatives (k × 4)."""
    by, slopes = np.zeros(4), np.zeros((len(free), 4))
    share = 1.0 / (1.0 + np.exp(-free))
    bend = share * (1.0 - share)
    by[0], slopes[0, 0] = share[0], bend[0]
    if trend != NONE:
        by[1], slopes[0, 1], slopes[1, 1] = share[0] * share[1], bend[0] * share[1], share[0] * bend[1]
        by[3] = 1.0
    if trend == DAMPED:
        low, high = DAMPING
        by[3], slopes[2, 3] = low + (high - low) * share[2], (high - low) * bend[2]
    if season:
        by[2] = (1.0 - share[0]) * share[-1]
        slopes[0, 2], slopes[-1, 2] = -bend[0] * share[-1], (1.0 - share[0]) * bend[-1]
    return by, slopes


@njit(cache=True)
def run(z: np.ndarray, by: np.ndarray, state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Errors (n) from this first state, and the state after the last month."""
    alpha, beta, gamma, phi = by
    level, trend, season = state[0], state[1], state[2:].copy()
    errors = np.empty(len(z))
    month = 0
    for t in range(len(z)):
        before = level + phi * trend
        e = z[t] - before - season[month]
        errors[t] = e
        level = before + alpha * e
        trend = phi * trend + beta * e
        season[month] += gamma * e
        month = month + 1 if month + 1 < SEASON else 0
    after = np.empty(2 + SEASON)
    after[0], after[1] = level, trend
    for k in range(SEASON):
        after[2 + k] = season[(month + k) % SEASON]
    return errors, after


@njit(cache=True)
def run_slope(by: np.ndarray, move: np.ndarray, state: np.ndarray, errors: np.ndarray) -> np.ndarray:
    """Derivative of the errors (n) where the weights change by ``move`` and the first state stays."""
    alpha, beta, gamma, phi = by
    trend, level_, trend_, season_ = state[1], 0.0, 0.0, np.zeros(SEASON)
    made = np.empty(len(errors))
    month = 0
    for t in range(len(errors)):
        e, carried = errors[t], phi * trend_ + move[3] * trend
        e_ = -(level_ + carried + season_[month])
        made[t] = e_
        level_ += carried + alpha * e_ + move[0] * e
        trend_ = carried + beta * e_ + move[1] * e
        season_[month] += gamma * e_ + move[2] * e
        trend = phi * trend + beta * e
        month = month + 1 if month + 1 < SEASON else 0
    return made


@njit(cache=True)
def against(first: np.ndarray, drift: np.ndarray, months: int, c: int, values: np.ndarray) -> np.ndarray:
    """Products (c) of the columns of first states, ``first`` and its shifts and ``drift``, with values (n)."""
    made, n = np.empty(c), len(values)
    for j in range(months):
        made[j] = np.dot(first[: n - j], values[j:])
    if c > months:
        made[months] = np.dot(drift, values)
    return made


@njit(cache=True)
def settle(
    z: np.ndarray, by: np.ndarray, trended: bool, season: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The first state that leaves least squares and its errors (n); the columns ``first`` and ``drift`` (n) that level
    (or first month) and trend add, and the root of their normal equations."""
    n, months = len(z), SEASON if season else 1
    c, silent, unit = months + trended, np.zeros(len(z)), np.zeros(2 + SEASON)
    base, _ = run(z, by, unit)
    unit[2 if season else 0] = 1.0
    first, _ = run(silent, by, unit)
    unit[:] = 0.0
    unit[1] = 1.0
    drift = run(silent, by, unit)[0] if trended else silent
    square = np.empty((c, c))
    square[:, 0] = against(first, drift, months, c, first)
    for j in range(1, months):
        for i in range(j, months):
            square[i, j] = square[i - 1, j - 1] - first[n - i] * first[n - j] if i <= n else 0.0
    if trended:
        square[months] = against(first, drift, months, c, drift)
    root = decompose(square)
    found = -solve(root, against(first, drift, months, c, base))
    state = np.zeros(2 + SEASON)
    # a level of zero and a season of any sum is the same as one whose season sums to zero
    for j in range(months):
        state[0] += found[j] / months
    for j in range(months if season else 0):
        state[2 + j] = found[j] - state[0]
    if trended:
        state[1] = found[months]
    errors, _ = run(z, by, state)
    return state, errors, first, drift, root


@njit(cache=True)
def loss_at(z: np.ndarray, trend: int, season: bool, free: np.ndarray) -> float:
    """Minus the concentrated log-likelihood, but for a constant."""
    errors = settle(z, weights(trend, season, free)[0], trend != NONE, season)[1]
    return 0.5 * len(z) * np.log(max(np.dot(errors, errors) / len(z), SMALLEST))


@njit(cache=True)
def step(square: np.ndarray, right: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Solution (k) of square · step = right within bounds: what would pass one stays on it, the rest is solved anew."""
    k = len(right)
    made, held = np.zeros(k), np.zeros(k, dtype=np.bool_)
    for _ in range(k + 1):
        some, left = square.copy(), right.copy()
        for i in range(k):
            for j in range(k):
                if held[j]:
                    left[i] -= square[i, j] * made[j]
                if (held[i] or held[j]) and i != j:
                    some[i, j] = 0.0
        moved, beyond = solve(decompose(some), left), False
        for i in range(k):
            if not held[i]:
                made[i] = min(max(moved[i], low[i]), high[i])
                held[i] = made[i] != moved[i]
                beyond = beyond or held[i]
        if not beyond:
            break
    return made


@njit(cache=True)
def normal_equations(z: np.ndarray, trend: int, season: bool, free: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of a step of the logits (k): slopes of the errors beside the first states, squared (k × k) and against errors."""
    k, trended, months = len(free), trend != NONE, SEASON if season else 1
    c, slopes = months + trended, np.empty((k, len(z)))
    by, moves = weights(trend, season, free)
    state, errors, first, drift, root = settle(z, by, trended, season)
    inside, square, right = np.empty((k, c)), np.empty((k, k)), np.empty(k)
    for i in range(k):
        slopes[i] = run_slope(by, moves[i], state, errors)
        inside[i] = against(first, drift, months, c, slopes[i])
        outside = solve(root, inside[i])
        right[i] = -np.dot(slopes[i], errors)
        for j in range(i + 1):
            square[i, j] = square[j, i] = np.dot(slopes[i], slopes[j]) - np.dot(inside[j], outside)
    return square, right


@njit(cache=True)
def climb(z: np.ndarray, trend: int, season: bool, start: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """Logits (k) at a top of the likelihood of z (n) near ``start``, the loss, and whether it settled in ROUNDS."""
    free, best, damping = start.copy(), loss_at(z, trend, season, start), 1e-3
    for _ in range(ROUNDS):
        square, right = normal_equations(z, trend, season, free)
        low, high = np.maximum(-FARTHEST, -EDGE - free), np.minimum(FARTHEST, EDGE - free)
        before, better = best, False
        while not better and damping < 1e8:
            stiff = square.copy()
            for i in range(len(free)):
                stiff[i, i] = max(square[i, i], 0.0) * (1.0 + damping) + 1e-12 * len(z)
            tried = free + step(stiff, right, low, high)
            now = loss_at(z, trend, season, tried)
            better = now < best
            if better:
                free, best, damping = tried, now, max(damping / 10.0, 1e-9)
            else:
                damping *= 10.0
        if before - best < GAIN:
            return free, best, True
    return free, best, False


@njit(cache=True)
def search(z: np.ndarray, trend: int, season: bool, starts: np.ndarray) -> tuple[np.ndarray, float, bool]:
    """The higher of the tops that ``climb`` finds from the best TOPS of these starts (s × k)."""
    losses = np.empty(len(starts))
    for i in range(len(starts)):
        losses[i] = loss_at(z, trend, season, starts[i])
    best = (starts[0], np.inf, False)
    for _ in range(TOPS):
        at = np.argmin(losses)
        losses[at] = np.inf
        found = climb(z, trend, season, starts[at])
        if found[1] < best[1]:
            best = found
    return best


@njit(cache=True)
def follow(by: np.ndarray, state: np.ndarray, shocks: np.ndarray) -> np.ndarray:
    """Paths (P × h) after this state with these shocks (h × P)."""
    alpha, beta, gamma, phi = by
    steps, paths = shocks.shape
    made, season = np.empty((paths, steps)), np.empty(SEASON)
    for p in range(paths):
        level, trend, month = state[0], state[1], 0
        season[:] = state[2:]
        for h in range(steps):
            e, before = shocks[h, p], level + phi * trend
            made[p, h] = before + season[month] + e
            level = before + alpha * e
            trend = phi * trend + beta * e
            season[month] += gamma * e
            month = month + 1 if month + 1 < SEASON else 0
    return made


@njit(cache=True)
def lines(y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Means and slopes (T) of the least-squares line through all months up to each."""
    mean, slope = np.empty(len(y)), np.zeros(len(y))
    mean[0] = y[0]
    for t in range(1, len(y)):
        mean[t], slope[t] = line_after(t, mean[t - 1], slope[t - 1], y[t])
    return mean, slope


@njit(cache=True)
def line_after(t: int, mean: float, slope: float, y: float) -> tuple[float, float]:
    """Mean and slope of a line through t months once the next one is known."""
    return (t * mean + y) / (t + 1), ((t - 1) * slope + 6.0 * (y - mean) / (t + 1)) / (t + 2)


@njit(cache=True)
def pull(t: int, mean: float, slope: float, alpha: float) -> float:
    """What the trend of t months adds to the level for the next, before its weight (Fiorucci et al. 2016, eq. 11)."""
    left = (1.0 - alpha) ** t
    return left * (mean - 0.5 * (t + 1) * slope) + (1.0 - left * (1.0 - alpha)) / alpha * slope


@njit(cache=True)
def theta_errors(
    y: np.ndarray, mean: np.ndarray, slope: np.ndarray, alpha: float, level: float, weight: float
) -> tuple[np.ndarray, float]:
    """Errors (T) beside the lines of ``lines``, and the level after the last month."""
    errors = np.empty(len(y))
    for t in range(len(y)):
        errors[t] = y[t] - level - (weight * pull(t, mean[t - 1], slope[t - 1], alpha) if t > 0 else 0.0)
        level += alpha * (y[t] - level)
    return errors, level


@njit(cache=True)
def theta_search(y: np.ndarray, alphas: np.ndarray, skip: int) -> tuple[float, float, float, float]:
    """Least sum of squared errors of y (T) after ``skip`` months, its α, and first level and weight of the trend, which
    least squares gives at each α."""
    mean, slope = lines(y)
    best = (np.inf, 0.0, 0.0, 0.0)
    for alpha in alphas:
        own, _ = theta_errors(y, mean, slope, alpha, 0.0, 0.0)
        decay = (own - theta_errors(y, mean, slope, alpha, 1.0, 0.0)[0])[skip:]
        added = (own - theta_errors(y, mean, slope, alpha, 0.0, 1.0)[0])[skip:]
        own = own[skip:]
        size, both = np.dot(decay, decay), np.dot(decay, added)
        apart = added - decay * (both / size)
        rest = np.dot(apart, apart)
        weight = np.dot(apart, own) / rest if rest > 1e-20 * np.dot(added, added) else 0.0
        weight = min(max(weight, 0.0), 1.0)  # θ from 1 (no trend) upwards
        level = (np.dot(decay, own) - weight * both) / size
        left = own - level * decay - weight * added
        sse = np.dot(left, left)
        if sse < best[0]:
            best = (sse, alpha, level, weight)
    return best


@njit(cache=True)
def theta_follow(
    level: float, t: int, mean: float, slope: float, alpha: float, weight: float, shocks: np.ndarray
) -> np.ndarray:
    """Paths (P × h) after t months with this level and line, with these shocks (h × P)."""
    steps, paths = shocks.shape
    made = np.empty((paths, steps))
    levels, means, slopes = np.full(paths, level), np.full(paths, mean), np.full(paths, slope)
    for h in range(steps):
        by_mean, by_slope = pull(t + h, 1.0, 0.0, alpha), pull(t + h, 0.0, 1.0, alpha)
        for p in range(paths):
            y = levels[p] + weight * (by_mean * means[p] + by_slope * slopes[p]) + shocks[h, p]
            made[p, h] = y
            levels[p] += alpha * (y - levels[p])
            means[p], slopes[p] = line_after(t + h, means[p], slopes[p], y)
    return made


@njit(cache=True)
def season_columns(z: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Level, slope, z and the 12 months (a × 15 × T), made white as simple smoothing with each α would."""
    n = len(z)
    made = np.zeros((len(alphas), 3 + SEASON, n))
    for at in range(len(alphas)):
        keep = 1.0 - alphas[at]
        level, slope, own, month = 0.0, 0.0, 0.0, 0.0
        for t in range(n):
            level = keep * level + (1.0 if t == 0 else 0.0)
            slope = keep * slope + (1.0 / n if t > 0 else 0.0)
            own = keep * own + (z[t] - z[t - 1] if t > 0 else z[0])
            month = keep * month + (1.0 if t % SEASON == 0 else -1.0 if t % SEASON == 1 else 0.0)
            made[at, 0, t], made[at, 1, t], made[at, 2, t] = level, slope, own
            for later in range(min(SEASON, n - t)):
                made[at, 3 + later, t + later] = month
    return made


def compile_all() -> None:
    """Compile now what the first forecast would; numba keeps it beside this file."""
    z, shocks = np.arange(40.0) ** 2 % 7, np.zeros((2, 3))
    free, _, _ = search(z, DAMPED, True, np.zeros((2, 4)))
    by, _ = weights(DAMPED, True, free)
    follow(by, settle(z, by, True, True)[0], shocks)
    _, alpha, level, weight = theta_search(z, np.array([0.5]), 2)
    mean, slope = lines(z)
    theta_follow(
        theta_errors(z, mean, slope, alpha, level, weight)[1], len(z), mean[-1], slope[-1], alpha, weight, shocks
    )
    season_columns(z, np.array([0.5]))

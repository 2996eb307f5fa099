"""Exact Gaussian likelihood of a seasonal ARMA with regressors in O(n · r), and its maximum; compiled by numba.

One-step errors by Chandrasekhar recursions (Morf, Sidhu and Kailath 1974) from the stationary start, so that
no r × r covariance is ever formed; r = max(p + 12 P, q + 12 Q + 1). Regressors pass the same filter and are
concentrated out by generalised least squares (Kohn and Ansley 1985), the variance too. A hole is one more
regressor, an additive outlier, whose determinant is integrated out (Gómez, Maravall and Peña 1999), which is
exact. The maximum is a nonlinear least squares problem in partial autocorrelations (Barndorff-Nielsen and
Schou 1973), solved by Levenberg–Marquardt on their Fisher's z, under a normal prior if wanted.

Arrays: columns (c × n) of differenced series, holes and regressors, in this order; arma = (p, q, P, Q).
"""

from __future__ import annotations

import numpy as np
from numba import njit

SEASON = 12
EDGE = 6.0  # Fisher's z of a partial autocorrelation stays within it: the correlation within 0.99999
SMALL = 1e-10  # pivots below this share of their column are linearly dependent
STEADY = 1e-14  # a change of the covariance that no longer counts
ROUNDS = 60
FARTHEST = 1.0  # longest step of a z: near the edge the likelihood is flat, and there would be no way back


@njit(cache=True)
def factor(free: np.ndarray) -> np.ndarray:
    """Unbounded numbers to the coefficients of a stationary autoregression, by way of partial autocorrelations."""
    made = np.empty(len(free))
    for k in range(len(free)):
        partial = np.tanh(free[k])
        before = made[:k].copy()
        for i in range(k):
            made[i] = before[i] - partial * before[k - 1 - i]
        made[k] = partial
    return made


@njit(cache=True)
def natural(arma: tuple[int, int, int, int], free: np.ndarray) -> np.ndarray:
    """φ (p), θ (q), Φ (P), Θ (Q), as 1 − φB … and 1 + θB …, from unbounded numbers."""
    p, q, P, Q = arma
    made = np.empty(p + q + P + Q)
    made[:p] = factor(free[:p])
    made[p : p + q] = -factor(free[p : p + q])
    made[p + q : p + q + P] = factor(free[p + q : p + q + P])
    made[p + q + P :] = -factor(free[p + q + P : p + q + P + Q])
    return made


@njit(cache=True)
def expand(arma: tuple[int, int, int, int], params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Products of monthly and yearly factors by lag: φ (1 … r) and θ (1 … r), zero beyond their orders."""
    p, q, P, Q = arma
    r = max(p + SEASON * P, q + SEASON * Q + 1)
    phi, theta = np.zeros(r), np.zeros(r)
    for j in range(P + 1):
        yearly = 1.0 if j == 0 else -params[p + q + j - 1]
        for i in range(p + 1):
            if i + j > 0:
                phi[i + SEASON * j - 1] -= yearly * (1.0 if i == 0 else -params[i - 1])
    for j in range(Q + 1):
        yearly = 1.0 if j == 0 else params[p + q + P + j - 1]
        for i in range(q + 1):
            if i + j > 0:
                theta[i + SEASON * j - 1] += yearly * (1.0 if i == 0 else params[p + i - 1])
    return phi, theta


@njit(cache=True)
def autocovariances(phi: np.ndarray, a: int, theta: np.ndarray, b: int) -> np.ndarray:
    """γ (0 … r) for shocks of variance one; a and b are the last lags of φ and θ.

    Those of the pure autoregression by stepping its order down and up again, then its moving average.
    """
    partial, now = np.zeros(a), phi[:a].copy()
    for k in range(a, 0, -1):
        kappa = now[k - 1]
        partial[k - 1] = kappa
        before = now[: k - 1].copy()
        for i in range(k - 1):
            now[i] = (before[i] + kappa * before[k - 2 - i]) / (1.0 - kappa * kappa)
    r = len(phi)
    pure = np.zeros(r + b + 1)
    pure[0] = 1.0
    for k in range(a):
        pure[0] /= 1.0 - partial[k] * partial[k]
    variance = pure[0]
    now[:] = 0.0
    for k in range(1, len(pure)):
        if k <= a:
            total = partial[k - 1] * variance
            for i in range(k - 1):
                total += now[i] * pure[k - 1 - i]
            before = now[: k - 1].copy()
            for i in range(k - 1):
                now[i] = before[i] - partial[k - 1] * before[k - 2 - i]
            now[k - 1] = partial[k - 1]
            variance *= 1.0 - partial[k - 1] * partial[k - 1]
        else:
            total = 0.0
            for i in range(a):
                total += phi[i] * pure[k - 1 - i]
        pure[k] = total
    moving = np.empty(b + 1)
    for j in range(b + 1):
        moving[j] = theta[j - 1] if j > 0 else 1.0
        for i in range(1, b + 1 - j):
            moving[j] += theta[i - 1] * theta[i + j - 1]
    gamma = np.empty(r + 1)
    for k in range(r + 1):
        gamma[k] = moving[0] * pure[k]
        for j in range(1, b + 1):
            gamma[k] += moving[j] * (pure[abs(k - j)] + pure[k + j])
    return gamma


@njit(cache=True)
def first_gain(arma: tuple[int, int, int, int], phi: np.ndarray, theta: np.ndarray) -> tuple[float, np.ndarray]:
    """Variance of the first month, and covariance of the state after it with that month (r)."""
    p, q, P, Q = arma
    b, r = q + SEASON * Q, len(phi)
    gamma = autocovariances(phi, p + SEASON * P, theta, b)
    psi = np.zeros(b + 1)
    for k in range(b + 1):
        psi[k] = theta[k - 1] if k > 0 else 1.0
        for i in range(min(k, r)):
            psi[k] += phi[i] * psi[k - 1 - i]
    gain = np.zeros(r)
    for i in range(r):
        for j in range(i, r):
            gain[i] += phi[j] * gamma[j - i]
        for j in range(i, b):
            gain[i] += theta[j] * psi[j - i]
    return gamma[0], gain


@njit(cache=True)
def onward(phi: np.ndarray, F: float, gain: np.ndarray, change: np.ndarray, size: float) -> tuple[float, float]:
    """Variance of the next month, and the size of its change, from this month's; gain (r) and change (r + 1) go on in
    place (Morf, Sidhu and Kailath 1974)."""
    head, before = change[0], F
    by, weight = head / F, size * head
    F += weight * head
    size *= before / F
    for i in range(len(phi)):
        turned = phi[i] * head + change[i + 1]
        change[i] = turned - gain[i] * by
        gain[i] += weight * turned
    return F, size


@njit(cache=True)
def whiten(
    arma: tuple[int, int, int, int], params: np.ndarray, columns: np.ndarray, h: int
) -> tuple[np.ndarray, float, np.ndarray, np.ndarray]:
    """Standardised one-step errors (c × n), log-determinant of the covariance; and beyond the last month
    means (c × h) and the lower root of the forecasts' covariance (h × h)."""
    phi, theta = expand(arma, params)
    r, (c, n) = len(phi), columns.shape
    F, gain = first_gain(arma, phi, theta)
    change, size, moving = np.zeros(r + 1), -1.0 / F, True
    change[:r] = gain
    # beyond the last month the shock of each month is one more column, from then on
    state, white, means, logdet = np.zeros((c + h, r + 1)), np.empty((c, n)), np.zeros((c + h, h)), 0.0
    for t in range(n + h):
        known = t < n
        logdet += np.log(F) if known else 0.0
        width, per = np.sqrt(F), 1.0 / F
        for at in range(c + max(t - n, 0)):
            head = state[at, 0]
            if known:
                v = columns[at, t] - head
                white[at, t], by = v / width, v * per
            else:
                means[at, t - n], by = head, 0.0
            for i in range(r):
                state[at, i] = state[at, i + 1] + phi[i] * head + gain[i] * by
        if not known:
            means[c + t - n, t - n] = width
            state[c + t - n, :r] = gain / width
        if moving:
            F, size = onward(phi, F, gain, change, size)
            if t % SEASON == 0:
                moving = abs(size) * np.max(np.abs(change)) ** 2 > STEADY
    return white, logdet, means[:c], means[c:].T.copy()


@njit(cache=True)
def decompose(square: np.ndarray) -> np.ndarray:
    """Lower Cholesky root; a column that depends on those before it gets a zero row and column."""
    k = len(square)
    root = np.zeros((k, k))
    for j in range(k):
        pivot = square[j, j]
        for i in range(j):
            pivot -= root[j, i] * root[j, i]
        if pivot <= SMALL * square[j, j]:
            root[j, :] = 0.0
            continue
        root[j, j] = np.sqrt(pivot)
        for row in range(j + 1, k):
            total = square[row, j]
            for i in range(j):
                total -= root[row, i] * root[j, i]
            root[row, j] = total / root[j, j]
    return root


@njit(cache=True)
def solve(root: np.ndarray, right: np.ndarray) -> np.ndarray:
    """(root root')⁻¹ right; zero where a column was dropped."""
    k = len(right)
    made = np.zeros(k)
    for j in range(k):
        if root[j, j] > 0.0:
            made[j] = right[j]
            for i in range(j):
                made[j] -= root[j, i] * made[i]
            made[j] /= root[j, j]
    for j in range(k - 1, -1, -1):
        if root[j, j] > 0.0:
            for i in range(j + 1, k):
                made[j] -= root[i, j] * made[i]
            made[j] /= root[j, j]
    return made


@njit(cache=True)
def profile(white: np.ndarray, logdet: float, holes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, float, int]:
    """Errors (n) after generalised least squares, coefficients and the root of their precision (both c − 1),
    log-determinant with the holes integrated out, and the number of months that count."""
    c, n = white.shape
    k = c - 1
    square, right = np.empty((k, k)), np.empty(k)
    for i in range(k):
        right[i] = np.dot(white[i + 1], white[0])
        for j in range(i + 1):
            square[i, j] = square[j, i] = np.dot(white[i + 1], white[j + 1])
    root = decompose(square)
    beta = solve(root, right)
    errors = white[0].copy()
    for i in range(k):
        errors -= beta[i] * white[i + 1]
    used = n
    for i in range(holes):
        if root[i, i] > 0.0:
            used -= 1
            logdet += 2.0 * np.log(root[i, i])
    return errors, beta, root, logdet, used


@njit(cache=True)
def scaled_errors(
    arma: tuple[int, int, int, int], free: np.ndarray, columns: np.ndarray, holes: int
) -> tuple[np.ndarray, int]:
    """Errors (n) whose sum of squares has its minimum where the likelihood has its maximum; months that count."""
    white, logdet, _, _ = whiten(arma, natural(arma, free), columns, 0)
    errors, _, _, logdet, used = profile(white, logdet, holes)
    return errors * np.exp(0.5 * logdet / used), used


@njit(cache=True)
def clip(values: np.ndarray, most: float) -> np.ndarray:
    """Within ± ``most``."""
    return np.maximum(np.minimum(values, most), -most)


@njit(cache=True)
def loss(errors: np.ndarray, used: int, free: np.ndarray, prior: float) -> float:
    """Minus the log-likelihood and the log-prior, but for what does not depend on parameters."""
    return 0.5 * used * np.log(max(np.dot(errors, errors), 1e-300)) + 0.5 * prior * np.dot(free, free)


@njit(cache=True)
def maximise(
    arma: tuple[int, int, int, int], start: np.ndarray, columns: np.ndarray, holes: int, prior: float, gain: float
) -> tuple[np.ndarray, np.ndarray, float, bool]:
    """Fisher's z at the mode, their precision (k × k, normal approximation), log-likelihood, and whether a round gained
    less than ``gain`` of it before ROUNDS.

    ``prior`` is the precision of a normal prior on each z, around no correlation; 0 = maximum likelihood.
    """
    k, free = len(start), start.copy()
    errors, used = scaled_errors(arma, free, columns, holes)
    best, damping, settled = loss(errors, used, free, prior), 1e-3, k == 0
    slopes, square, right, variance = np.empty((k, len(errors))), np.zeros((k, k)), np.zeros(k), 1.0
    for _ in range(ROUNDS):
        if settled:
            break
        for i in range(k):
            moved, tiny = free.copy(), 1e-6 * max(1.0, abs(free[i]))
            moved[i] += tiny
            slopes[i] = (scaled_errors(arma, moved, columns, holes)[0] - errors) / tiny
        variance = max(np.dot(errors, errors), 1e-300) / used
        for i in range(k):
            right[i] = -np.dot(slopes[i], errors) - prior * variance * free[i]
            for j in range(i + 1):
                square[i, j] = square[j, i] = np.dot(slopes[i], slopes[j])
            square[i, i] += prior * variance
        better = False
        while not better and damping < 1e8:
            stiff = square.copy()
            for i in range(k):
                stiff[i, i] += damping * (square[i, i] + 1e-9 * used * variance)
            tried = clip(free + clip(solve(decompose(stiff), right), FARTHEST), EDGE)
            after, used = scaled_errors(arma, tried, columns, holes)
            now = loss(after, used, tried, prior)
            better = now < best
            if better:
                settled = best - now < gain
                free, errors, best = tried, after, now
                damping = max(damping / 10.0, 1e-9)
            else:
                damping *= 10.0
        settled = settled or not better
    sse = max(np.dot(errors, errors), 1e-300)
    return free, square / variance, -0.5 * used * (np.log(2.0 * np.pi * sse / used) + 1.0), settled


def compile_all() -> None:
    """Compile now what the first forecast would (ten seconds of a core); numba keeps it beside this file."""
    columns, arma, one = np.array([[1.0, 2.0, 4.0, 3.0], [1.0, 1.0, 1.0, 1.0]]), (1, 0, 0, 0), np.array([0.1])
    maximise(arma, one, columns, 0, 1.0, 1.0)
    white, logdet, _, _ = whiten(arma, natural(arma, one), columns, 1)
    profile(white, logdet, 0)

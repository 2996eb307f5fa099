"""Seasonal effects that short histories can bear: shrunk to none as far as they cannot be told from noise.

z = drift + random walk with noise + effect of the month. Effects are draws from N(0, τ²σ²), so that one
variance is estimated and not twelve means (empirical Bayes; on the gain see Miller and Williams 2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.signal import lfilter

from forecasting.models.base import One
from forecasting.models.choosing import SEASON

ALPHAS = np.array([0.02, 0.1, 0.2, 0.3, 0.45, 0.6, 0.8, 1.0])  # smoothing of the walk under the season
RATIOS = np.geomspace(0.05, 20.0, 25)  # τ, spread of effects over spread of shocks
EVIDENCE = 1.0  # log-likelihood that one more parameter has to earn (Akaike)


@dataclass(frozen=True)
class Season:
    """Effects by month (12, that of z[0] first; all zero = none), root (12 × 12) of their covariance."""

    mean: np.ndarray
    root: np.ndarray

    def __bool__(self) -> bool:
        return bool(self.mean.any())

    def over(self, months: int) -> np.ndarray:
        """Effects of the first months (T)."""
        return self.mean[np.arange(months) % SEASON]

    def draw(self, begin: int, steps: int, paths: int, rng: np.random.Generator) -> np.ndarray:
        """Possible effects (P × steps) of the months from z[begin]: one set of twelve a path."""
        drawn = self.mean + rng.standard_normal((paths, SEASON)) @ self.root.T
        return np.asarray(drawn[:, np.arange(begin, begin + steps) % SEASON])


NONE = Season(np.zeros(SEASON), np.zeros((SEASON, SEASON)))


@dataclass(frozen=True)
class Adjusted:
    """A model of the seasonally adjusted series (T months), with its season put back."""

    inner: One
    season: Season
    months: int
    summary: dict[str, Any]

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        drawn = self.inner.simulate(steps, x, paths, rng)
        return drawn + self.season.draw(self.months, steps, paths, rng)


def adjusted(inner: One, season: Season, months: int) -> One:
    """The model with its season put back; the model itself where there is none."""
    if not season:
        return inner
    said = f"{inner.summary['chosen']}, seasonally adjusted"
    return Adjusted(inner, season, months, {**inner.summary, "chosen": said})


def find_season(z: np.ndarray) -> Season:
    """Effects in z (T, no holes) at the likeliest smoothing and spread; none without evidence."""
    if len(z) < 2 * SEASON or np.ptp(z) < 1e-9 * (1.0 + np.abs(z).max()):
        return NONE
    tried = [_likelihoods(z, alpha) for alpha in ALPHAS]
    without = max(one.logliks[0] for one in tried)
    best = max(tried, key=lambda one: one.logliks.max())
    return best.season() if best.logliks.max() > without + EVIDENCE else NONE


@dataclass(frozen=True)
class _Rotated:
    """The regression on months for one smoothing, in coordinates in which effects are independent (12)."""

    ratios: np.ndarray
    logliks: np.ndarray
    size: np.ndarray
    seen: np.ndarray
    turn: np.ndarray
    variances: np.ndarray

    def season(self) -> Season:
        at = int(np.argmax(self.logliks))
        prior, sigma2 = self.ratios[at] ** 2, self.variances[at]
        kept = prior / (1.0 + prior * self.size**2)
        centre = np.eye(SEASON) - 1.0 / SEASON
        mean = centre @ (self.turn.T @ (kept * self.size * self.seen))
        return Season(mean, centre @ (self.turn.T * np.sqrt(sigma2 * kept)))


def _likelihoods(z: np.ndarray, alpha: float) -> _Rotated:
    """Restricted log-likelihood for no season and each ratio (1 + 25)."""
    n, t = len(z), np.arange(len(z))
    months = (t[:, None] % SEASON == np.arange(SEASON)).astype(float)
    columns = np.column_stack([np.ones(n), t / n, z, months])
    white = lfilter([1.0, -1.0], [1.0, alpha - 1.0], columns, axis=0)
    basis, upper = np.linalg.qr(white[:, :2])
    rest = white[:, 2:] - basis @ (basis.T @ white[:, 2:])
    left, size, turn = np.linalg.svd(rest[:, 1:], full_matrices=False)
    seen = left.T @ rest[:, 0]
    noise = max(float(rest[:, 0] @ rest[:, 0] - seen @ seen), 1e-12)
    ratios = np.r_[0.0, RATIOS]
    stretch = 1.0 + np.outer(ratios**2, size**2)
    variances = ((seen**2 / stretch).sum(axis=1) + noise) / (n - 2)
    logliks = -0.5 * (n - 2) * np.log(variances) - 0.5 * np.log(stretch).sum(axis=1)
    return _Rotated(ratios, logliks - np.log(np.abs(np.diag(upper))).sum(), size, seen, turn, variances)

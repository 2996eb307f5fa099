"""Seasonal effects that short histories can bear: shrunk to none as far as they cannot be told from noise.

z = drift + random walk with noise + effect of the month. Effects are draws from N(0, τ²σ²), so that one
variance is estimated and not twelve means (empirical Bayes; on the gain see Miller and Williams 2003).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from forecasting.models.base import One
from forecasting.models.choosing import SEASON
from forecasting.models.smoothing import season_columns

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
    tried = Rotated.of(z)
    without = tried.logliks[:, 0].max()
    return tried.season() if tried.logliks.max() > without + EVIDENCE else NONE


@dataclass(frozen=True)
class Rotated:
    """The regression on months for each smoothing (a), in coordinates in which effects are independent (a × 12).

    ``turn`` (a × 12 × 12) leads there; restricted log-likelihood and variance of shocks by smoothing and ratio
    (a × 26, no season first).
    """

    logliks: np.ndarray
    variances: np.ndarray
    size: np.ndarray
    seen: np.ndarray
    turn: np.ndarray

    @staticmethod
    def of(z: np.ndarray) -> Rotated:
        n, columns = len(z), season_columns(z, ALPHAS)
        products = columns @ columns.transpose(0, 2, 1)
        trend, across = products[:, :2, :2], products[:, :2, 2:]
        rest = products[:, 2:, 2:] - across.transpose(0, 2, 1) @ np.linalg.solve(trend, across)
        squares, turn = np.linalg.eigh(rest[:, 1:, 1:])
        # all twelve months together are the level: one direction shows nothing
        shown = squares > 1e-9 * squares[:, -1:]
        size = np.sqrt(np.where(shown, squares, 0.0))
        turned = np.einsum("aij,ai->aj", turn, rest[:, 1:, 0])
        seen = np.divide(turned, size, out=np.zeros_like(size), where=shown)
        noise = np.maximum(rest[:, 0, 0] - (seen**2).sum(axis=1), 1e-12)
        stretch = 1.0 + np.r_[0.0, RATIOS][:, None] ** 2 * size[:, None] ** 2
        variances = ((seen[:, None] ** 2 / stretch).sum(axis=2) + noise[:, None]) / (n - 2)
        logliks = -0.5 * (n - 2) * np.log(variances) - 0.5 * np.log(stretch).sum(axis=2)
        return Rotated(logliks - 0.5 * np.linalg.slogdet(trend)[1][:, None], variances, size, seen, turn)

    def season(self) -> Season:
        """Effects at the likeliest smoothing and ratio."""
        at, ratio = np.unravel_index(np.argmax(self.logliks), self.logliks.shape)
        prior, sigma2 = RATIOS[ratio - 1] ** 2, self.variances[at, ratio]
        kept = prior / (1.0 + prior * self.size[at] ** 2)
        centre, turn = np.eye(SEASON) - 1.0 / SEASON, self.turn[at]
        mean = centre @ (turn @ (kept * self.size[at] * self.seen[at]))
        return Season(mean, centre @ (turn * np.sqrt(sigma2 * kept)))

"""Exponential smoothing in innovations form, additive on the transformed scale (Hyndman et al. 2008)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import astuple, dataclass
from functools import lru_cache
from itertools import product
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecasting.errors import ModelError
from forecasting.models import smoothing
from forecasting.models.base import FittedEach, One, bridge, fit_each
from forecasting.models.choosing import SEASON, aicc, ljung_box, seen, standard
from forecasting.models.season import NONE, adjusted, find_season
from forecasting.models.smoothing import follow, run, search, settle, weights
from forecasting.panel import Panel

NO_TREND, DAMPED, TREND = "N", "Ad", "A"
TRENDS = {NO_TREND: smoothing.NONE, DAMPED: smoothing.DAMPED, TREND: smoothing.FULL}


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
        chosen = _choose(standard(known[-self.max_months :]).tobytes(), self)
        used, bridged = filled[-self.max_months :], int(np.isnan(z[-self.max_months :]).sum())
        season = find_season(used) if chosen.form.adjusted else NONE
        one = fit_form(used - season.over(len(used)), chosen.form, bridged, chosen.free)
        return adjusted(one, season, len(used))


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
    """Level, trend, and season of the coming months (12, the next month first)."""

    level: float
    trend: float
    season: np.ndarray


@dataclass(frozen=True)
class Estimate:
    """Likeliest weights (and their logits ``free``), least-squares first state, the state after the last month,
    residuals (T) and log-likelihood of a form."""

    form: Form
    free: np.ndarray
    weights: Weights
    first: State
    last: State
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
        shocks = spread * rng.standard_normal((steps, paths))
        state = np.r_[self.last.level, self.last.trend, self.last.season]
        return np.asarray(follow(np.array(astuple(self.weights)), state, shocks))


def forms(n: int, settings: Ets) -> Iterator[Form]:
    """Admissible forms for n months that leave the criterion room."""
    moving = n >= settings.seasonal_from
    for season in (False, True) if moving else (False,):
        for trend in settings.trends:
            if n > Form(trend, season).k + 2:
                yield Form(trend, season, adjusted=not moving)


@lru_cache(maxsize=1024)
def _choose(z: bytes, settings: Ets) -> Estimate:
    """Remembered by its whole input, so that a backtest does not repeat it; a pure function."""
    known = np.frombuffer(z).copy()
    tried = list(forms(len(known), settings))
    if tried[0].adjusted:
        known = known - find_season(known).over(len(known))
    return min((estimate(known, form) for form in tried), key=lambda one: one.aicc)


def fit_form(z: np.ndarray, form: Form, bridged: int, start: np.ndarray | None = None) -> _One:
    """Estimate a form on z (T, no holes), from ``start`` too if there is one, and run it to the last month."""
    centre, scale = float(z.mean()), float(z.std()) or 1.0
    found = estimate((z - centre) / scale, form, start)
    if not (found.converged and np.isfinite(found.loglik)):
        raise ModelError(f"ets did not converge for {form}: allow fewer trends or use a simpler model.")
    free = max(len(z) - form.k + 1, 3)
    sse = float(found.residuals @ found.residuals)
    return _One(
        State(centre + scale * found.last.level, scale * found.last.trend, scale * found.last.season),
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


def estimate(z: np.ndarray, form: Form, start: np.ndarray | None = None) -> Estimate:
    """Maximum likelihood on z (T) of about unit scale, sought from usual weights and the logits ``start``."""
    trend, trended = TRENDS[form.trend], form.trend != NO_TREND
    size = 1 + {NO_TREND: 0, DAMPED: 2, TREND: 1}[form.trend] + form.season
    corners = product((-2.0, 0.0, 2.0), *[(-2.0, 2.0)] * trended, *[(-2.0,)] * (size - 1 - trended))
    starts = np.array([*corners] if start is None else [*corners, start])
    free, loss, converged = search(z, trend, form.season, starts)
    by, _ = weights(trend, form.season, free)
    first, residuals, *_ = settle(z, by, trended, form.season)
    _, last = run(z, by, first)
    loglik = -len(z) * (0.5 * np.log(2.0 * np.pi) + 0.5) - loss
    begun, ended = (State(one[0], one[1], one[2:]) for one in (first, last))
    return Estimate(form, free, Weights(*by), begun, ended, residuals, loglik, converged)

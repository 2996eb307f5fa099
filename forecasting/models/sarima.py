"""Regression with seasonal ARIMA errors: exact likelihood, holes and ragged edges as in state space form."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from forecasting.errors import ModelError
from forecasting.models.base import FittedEach, One, bridge, fit_each
from forecasting.models.breaks import Break, Sought, effects, said, seek, with_breaks
from forecasting.models.choosing import SEASON, aicc, ljung_box, seen, standard, window
from forecasting.models.likelihood import EDGE
from forecasting.models.orders import (
    Columns,
    Estimate,
    Orders,
    begin,
    difference,
    differences,
    polynomial,
    regression,
    regressors,
    stepwise,
)
from forecasting.models.season import NONE, Adjusted, adjusted, find_season
from forecasting.panel import Panel
from forecasting.toml_table import MONTH
from forecasting.transform import Transform

DRAWS = 16  # of the parameters, each followed by its share of the paths


@dataclass(frozen=True)
class Sarima:
    """Regression with seasonal ARIMA errors; orders by tests and a stepwise search unless they are given.

    Orders are chosen on data up to the last June or December (if ``min_months`` remain) and parameters
    estimated on all data, so that a rolling backtest searches twice a year. Only the last ``max_months``
    count: older regimes mislead and cost. ``order`` is (p, d, q), ``seasonal_order`` (P, D, Q); None = found.
    Below ``seasonal_from`` months the series is adjusted for its season and the model is not seasonal.
    ``outliers`` that are looked for at these orders: ``none``, or some of ao (one month), ls (level shift), tc (fades
    by 0.7 a month). ``breaks`` are months such as "2022-03" from which a step is estimated, in series with months on
    both sides.
    """

    order: tuple[int, int, int] | None = None
    seasonal_order: tuple[int, int, int] | None = None
    max_months: int = 240
    seasonal_from: int = 72
    max_d: int = 1
    outliers: str = "ao,ls"
    breaks: tuple[str, ...] = ()

    name: ClassVar[str] = "sarima"
    min_months: ClassVar[int] = 24

    def __post_init__(self) -> None:
        Sought.named(self.outliers)
        for month in self.breaks:
            if not MONTH.fullmatch(str(month)):
                raise ModelError(f"sarima: a break is a month such as 2022-03; found {month!r}.")

    def fit(self, panel: Panel) -> FittedEach:
        fitted = fit_each(self.name, self.min_months, panel, self._fit_one)
        last = panel.last_known()
        ones = {
            series: _with_breaks_said(one, last[series], fitted.transforms[series])
            for series, one in fitted.ones.items()
        }
        return replace(fitted, ones=ones)

    def _fit_one(self, z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> One:
        chosen = self.choose(z, months, x)
        z, x = window(z, x, self.max_months)
        given = self.given(months[-len(z) :])
        season = find_season(bridge(z)) if chosen.orders.adjusted else NONE
        fit = fit_orders(z - season.over(len(z)), x, chosen.orders, chosen.free, given, Sought.named(self.outliers))
        return adjusted(fit, season, len(z))

    def given(self, months: pd.PeriodIndex) -> tuple[Break, ...]:
        """The steps that the settings name, where there are months (T) on both sides."""
        steps = sorted({pd.Period(month, "M") for month in self.breaks})
        return tuple(Break((one - months[0]).n, 1.0, given=True) for one in steps if months[0] < one <= months[-1])

    def pin(self, orders: Orders) -> Orders:
        """These orders with those that the settings fix."""
        p, _, q = self.order or (orders.p, 0, orders.q)
        P, _, Q = self.seasonal_order or (orders.P, 0, orders.Q)
        return replace(orders, p=p, q=q, P=P, Q=Q)

    def choose(self, z: np.ndarray, months: pd.PeriodIndex, x: np.ndarray) -> Estimate:
        """Best orders for z (T) from its months up to the last June or December, as estimated on those."""
        until = seen(z, months, self.min_months)
        known, x = window(z[:until], x[:until], self.max_months)
        steps = effects(self.given(months[until - len(known) : until]), len(known))
        known, x = standard(known), standard(np.column_stack([x, steps]))
        return _search(known.tobytes(), x.tobytes(), x.shape[1], self)


@dataclass(frozen=True)
class Fit:
    """A regression with ARIMA errors on a scaled series z (T) with scaled covariates x (T × k), ready to go on.

    ``mode`` are Fisher's z of its partial autocorrelations, known but for ``vague``, the root of their covariance.
    Shocks to come are ``wider`` than those left after breaks were found: as wide as with them, for what came may come.
    """

    orders: Orders
    z: np.ndarray
    x: np.ndarray
    breaks: tuple[Break, ...]
    columns: Columns
    mode: np.ndarray
    vague: np.ndarray
    covariates: tuple[np.ndarray, np.ndarray]
    level: float
    scale: float
    wider: float
    summary: dict[str, Any]

    def simulate(self, steps: int, x: np.ndarray, paths: int, rng: np.random.Generator) -> np.ndarray:
        centre, width = self.covariates
        x = np.vstack([self.x, (x.reshape(steps, -1) - centre) / width])
        whole = np.column_stack([effects(self.breaks, len(x)), x])
        ahead = difference(regressors(self.orders, whole, 1 - len(self.z)), self.orders.d, self.orders.D)[-steps:]
        u = rng.standard_normal((DRAWS // 2, len(self.mode))) if len(self.mode) else np.zeros((0, 0))
        drawn = np.empty((paths, steps))
        past = bridge(self.z)[len(self.z) - SEASON * self.orders.D - self.orders.d :]
        pasts = np.tile(past, (paths, 1))
        modes = np.clip(self.mode + np.vstack([u, -u]) @ self.vague.T, -EDGE, EDGE) if len(u) else [self.mode]
        for at, mode in enumerate(modes):
            some = slice(at, paths, len(modes))
            drawn[some], filled = self._follow(mode, ahead, len(drawn[some]), rng)
            pasts[some] += filled
        return self.level + self.scale * integrate(drawn, pasts, self.orders)

    def _follow(
        self, mode: np.ndarray, ahead: np.ndarray, paths: int, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Differenced paths (P × h) with these parameters and regressors of the coming months (h × r); and what is
        added to the bridged months before them (P × 12 D + d)."""
        holes, steps = self.columns.holes, len(ahead)
        by = regression(self.orders, mode, self.columns, steps)
        # one draw of the unknown spread for a path: tails of Student's t, as short histories deserve
        spread = self.wider * by.sigma * np.sqrt(by.free / rng.chisquare(by.free, paths))[:, None]
        beta = by.beta + spread * (rng.standard_normal((paths, len(by.beta))) @ by.unknown.T)
        drawn = by.means[0] - beta @ by.means[1:] + beta[:, holes:] @ ahead.T
        drawn += spread * (rng.standard_normal((paths, steps)) @ by.root.T)
        back = SEASON * self.orders.D + self.orders.d
        filled, recent = np.zeros((paths, back)), np.flatnonzero(np.isnan(self.z)) - (len(self.z) - back)
        filled[:, recent[recent >= 0]] = beta[:, :holes][:, recent >= 0]
        return drawn, filled

    def said(self, months: pd.PeriodIndex, transform: Transform) -> tuple[str, ...]:
        """Its breaks in words: changes on the scale of the figures in the month of the break; months (T)."""
        if not self.breaks:
            return ()
        first = self.columns.holes + self.orders.drift
        by = regression(self.orders, self.mode, self.columns)
        size = self.scale * by.beta[first : first + len(self.breaks)]
        here = self.level + self.scale * bridge(self.z)[[one.at for one in self.breaks]]
        before, after = transform.inverse(here - size), transform.inverse(here)
        known = before > 0.0
        return said(self.breaks, np.where(known, after / np.where(known, before, 1.0) - 1.0, np.nan), months)

    def results(self) -> Any:
        """The same model and parameters as a result of statsmodels, on the scaled series, for its diagnostics."""
        from statsmodels.tsa.statespace.sarimax import SARIMAX

        x = np.column_stack([effects(self.breaks, len(self.x)), self.x])
        X = regressors(self.orders, x, 1 - len(x))
        seasonal = (self.orders.P, self.orders.D, self.orders.Q, SEASON)
        model = SARIMAX(
            self.z,
            exog=X if X.shape[1] else None,
            order=(self.orders.p, self.orders.d, self.orders.q),
            seasonal_order=seasonal if any(seasonal[:3]) else (0, 0, 0, 0),
            use_exact_diffuse=True,
        )
        by = regression(self.orders, self.mode, self.columns)
        return model.smooth(np.r_[by.beta[self.columns.holes :], by.params, by.sigma**2])


def _with_breaks_said(one: One, last: pd.Period, transform: Transform) -> One:
    """The model with its breaks among what was chosen; ``last`` is its last month."""
    assert isinstance(one, (Fit, Adjusted))
    fit = one.inner if isinstance(one, Adjusted) else one
    assert isinstance(fit, Fit)
    breaks = fit.said(pd.period_range(end=last, periods=len(fit.z), freq="M"), transform)
    return replace(one, summary={**one.summary, "chosen": ", ".join([one.summary["chosen"], *breaks])})


def integrate(w: np.ndarray, past: np.ndarray, orders: Orders) -> np.ndarray:
    """Levels (P × h) from their differences w (P × h) and the levels before (P × 12 D + d)."""
    lags = polynomial(orders)
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
        start = begin(simplest)
        best = Estimate(simplest, start, np.eye(len(start)), 0.0, 0.0, True)
    else:
        best = stepwise(known, covariates, d, D, moving, settings.pin)
    return replace(best, orders=replace(best.orders, adjusted=not moving))


def fit_orders(
    z: np.ndarray,
    x: np.ndarray,
    orders: Orders,
    start: np.ndarray | None = None,
    given: tuple[Break, ...] = (),
    sought: Sought = Sought(),  # noqa: B008 (frozen)
) -> Fit:
    """Estimate these orders on z (T) with covariates x (T × k), from ``start`` if there is one; find breaks."""
    centre, width = x.mean(axis=0), np.where(x.std(axis=0) > 0, x.std(axis=0), 1.0)
    w = difference(bridge(z), orders.d, orders.D)
    level, scale = float(z[-1]), float(np.std(w)) if np.ptp(w) > 1e-9 * (1.0 + np.nanmax(np.abs(z))) else 1.0
    z, x = (z - level) / scale, (x - centre) / width
    breaks, columns, found = seek(z, x, orders, begin(orders) if start is None else start, given, sought)
    by = regression(orders, found.free, columns)
    if not (np.isfinite(found.loglik) and np.isfinite(by.beta).all()):
        raise ModelError(f"sarima did not converge for {orders}: give other orders or use a simpler model.")
    vague = np.linalg.inv(np.linalg.cholesky(found.precision)).T
    before = regression(orders, found.free, with_breaks(z, x, orders, given)) if breaks != given else by
    k = by.used - by.free + 1
    summary = {
        "chosen": str(orders),
        "sigma": scale * by.sigma,
        "aicc": aicc(found.loglik - by.used * np.log(scale), k, by.used),
        "ljung_box_p": ljung_box(by.errors, len(by.params)),
        "n_months": int((~np.isnan(z)).sum()),
        "converged": found.settled,
    }
    wider = before.sigma / by.sigma
    return Fit(orders, z, x, breaks, columns, found.free, vague, (centre, width), level, scale, wider, summary)

"""The order search and the paths of sarima beside slow oracles and statsmodels' own forecasts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from conftest import invented
from scipy.signal import lfilter
from statsmodels.tsa.statespace.sarimax import SARIMAX

from forecasting.errors import ModelError
from forecasting.models import forecaster
from forecasting.models.choosing import aicc, half_year, ljung_box, standard
from forecasting.models.orders import Orders, allowed, css, differences, jacobian, residuals, steady
from forecasting.models.sarima import Sarima, fit_orders
from forecasting.panel import Panel


def airline(months: int, seed: int, theta: float = 0.4, seasonal: float = 0.5) -> np.ndarray:
    """(0,1,1)(0,1,1)12 (T)."""
    rng = np.random.default_rng(seed)
    w = lfilter(np.convolve([1.0, -theta], np.r_[1.0, np.zeros(11), -seasonal]), [1.0], rng.normal(0, 0.1, months))
    return np.asarray(lfilter([1.0], np.convolve([1.0, -1.0], np.r_[1.0, np.zeros(11), -1.0]), w))


def ar1(months: int, seed: int) -> np.ndarray:
    return np.asarray(lfilter([1.0], [1.0, -0.7], np.random.default_rng(seed).normal(0, 0.1, months + 50))[50:])


def months_to(last: str, count: int) -> pd.PeriodIndex:
    return pd.period_range(end=pd.Period(last, "M"), periods=count, freq="M")


def test_residuals_are_those_of_a_slow_loop() -> None:
    rng = np.random.default_rng(0)
    w, X = rng.normal(size=50), rng.normal(size=(50, 2))
    params = np.array([0.5, -0.2, 0.3, 0.4, -0.6, 1.0, 2.0])
    ar = np.convolve([1, -0.5, 0.2], np.r_[1.0, np.zeros(11), -0.4])
    ma = np.convolve([1, 0.3], np.r_[1.0, np.zeros(11), -0.6])
    u, slow = w - X @ params[-2:], np.zeros(50)
    for t in range(50):
        slow[t] = sum(ar[lag] * u[t - lag] for lag in range(min(t + 1, len(ar))))
        slow[t] -= sum(ma[lag] * slow[t - lag] for lag in range(1, min(t + 1, len(ma))))
    np.testing.assert_allclose(residuals((2, 1, 1, 1), params, w, X), slow, atol=1e-10)


def test_jacobian_is_the_numerical_one() -> None:
    rng = np.random.default_rng(1)
    w, X = rng.normal(size=60), rng.normal(size=(60, 1))
    arma, params = (2, 2, 1, 1), np.array([0.3, 0.1, 0.2, -0.1, 0.4, -0.3, 0.5])
    made = jacobian(arma, params, w, X, residuals(arma, params, w, X))
    for at in range(len(params)):
        step = np.eye(len(params))[at] * 1e-6
        numeric = (residuals(arma, params + step, w, X) - residuals(arma, params - step, w, X)) / 2e-6
        np.testing.assert_allclose(made[:, at], numeric, atol=1e-6)


@pytest.mark.parametrize("coefficients", [[0.5, 0.3], [-1.5, 0.4], [0.2, -0.5, 0.6], [1.4, -0.6], [0.3, 0.2, 1.1]])
def test_steady_means_roots_outside_the_unit_circle(coefficients: list[float]) -> None:
    roots = np.roots([*coefficients[::-1], 1.0])
    assert steady(np.r_[1.0, coefficients], limit=1.0) == bool((np.abs(roots) > 1.0).all())


def test_conditional_least_squares_finds_the_parameters() -> None:
    z = airline(600, 3)
    w = np.diff(z[12:] - z[:-12])
    found = css(Orders(0, 1, 1, 0, 1, 1), w, np.empty((len(w), 0)))
    np.testing.assert_allclose(found.params, [-0.4, -0.5], atol=0.1)
    assert allowed((0, 1, 0, 1), found.params)


def test_differences_follow_the_tests() -> None:
    none = np.empty((240, 0))
    assert differences(airline(252, 0)[12:], none, True, 1) == (1, 1)
    assert differences(ar1(240, 0), none, True, 1) == (0, 0)
    assert differences(np.cumsum(np.random.default_rng(2).normal(size=240)), none, True, 1) == (1, 0)


def test_the_search_recovers_known_orders() -> None:
    settings, months = Sarima(), months_to("2026-06", 240)
    made = [settings.choose(airline(280, seed)[40:], months, np.empty((240, 0))) for seed in range(4)]
    assert {(one.d, one.D) for one in made} == {(1, 1)}
    assert sum(one.q >= 1 and one.Q >= 1 for one in made) >= 3
    plain = [settings.choose(ar1(240, seed), months, np.empty((240, 0))) for seed in range(4)]
    assert sum((one.p, one.d, one.q, one.P, one.D, one.Q) == (1, 0, 0, 0, 0, 0) for one in plain) >= 2


def test_orders_are_chosen_anew_only_in_june_and_december() -> None:
    y = invented(series=1, months=72, last="2026-11").y
    chosen = {}
    for month in pd.period_range("2026-05", "2026-11", freq="M"):
        fitted = forecaster("sarima").fit(Panel(y.loc[:month]))
        chosen[str(month)] = fitted.describe()["chosen"].iloc[0]
    assert len({chosen[month] for month in ("2026-06", "2026-07", "2026-08", "2026-09", "2026-10", "2026-11")}) == 1


def test_half_years_and_standard_scale() -> None:
    assert [half_year(months_to(last, 40)) for last in ("2026-06", "2026-07", "2026-11", "2026-12")] == [
        40,
        39,
        35,
        40,
    ]
    z = np.random.default_rng(0).normal(size=30)
    np.testing.assert_array_equal(standard(z), standard(3.7 * z + 0.21))


@pytest.mark.parametrize("holes", [False, True])
def test_paths_have_the_mean_and_variance_of_statsmodels(holes: bool) -> None:
    z = airline(160, 5)[40:] + 3.0
    if holes:
        z[[30, 31, 77]] = np.nan
    orders = Orders(0, 1, 1, 0, 1, 1)
    one = fit_orders(z, np.empty((120, 0)), orders)
    drawn = one.simulate(6, np.empty((6, 0)), 40_000, np.random.default_rng(0))
    oracle = SARIMAX(z, order=(0, 1, 1), seasonal_order=(0, 1, 1, 12)).fit(disp=0).get_forecast(6)
    spread = np.sqrt(oracle.var_pred_mean)
    np.testing.assert_allclose(drawn.mean(axis=0), oracle.predicted_mean, atol=0.06 * spread.max())
    # the spread is a little wider: degrees of freedom and one draw of sigma a path
    ratio = drawn.std(axis=0) / spread
    assert ((ratio > 1.0) & (ratio < 1.08)).all()


def test_covariates_move_the_forecast_by_their_coefficient() -> None:
    rng = np.random.default_rng(4)
    x = rng.normal(10.0, 2.0, (120, 1))
    z = ar1(120, 9) + 0.5 * x[:, 0]
    one = fit_orders(z, x, Orders(1, 0, 0, drift=True))
    low, high = (one.simulate(3, np.full((3, 1), at), 2000, np.random.default_rng(0)) for at in (10.0, 12.0))
    np.testing.assert_allclose((high - low).mean(axis=0), 1.0, atol=0.1)


def test_what_is_not_known_of_a_drift_widens_the_paths() -> None:
    z = np.cumsum(np.random.default_rng(0).normal(0.1, 1.0, 30))
    with_drift, without = (
        fit_orders(z, np.empty((30, 0)), Orders(0, 1, 0, drift=drift)).simulate(
            12, np.empty((12, 0)), 20_000, np.random.default_rng(0)
        )
        for drift in (True, False)
    )
    expected = np.sqrt(12 + 12**2 / 29) / np.sqrt(12)
    made = (with_drift.std(axis=0) / with_drift[:, 0].std())[-1] / (without.std(axis=0) / without[:, 0].std())[-1]
    assert 1.0 < made < expected * 1.1


def test_given_orders_are_kept() -> None:
    panel = invented(series=1)
    fitted = forecaster("sarima", order=(1, 1, 0), seasonal_order=(0, 1, 1)).fit(panel)
    assert fitted.describe()["chosen"].iloc[0] == "SARIMA(1,1,0)(0,1,1)12"
    half = forecaster("sarima", seasonal_order=(0, 1, 1)).fit(panel).describe()["chosen"].iloc[0]
    assert "(0,1,1)12" in half


def test_only_the_last_months_count() -> None:
    y = invented(series=1, months=120).y
    other = y.copy()
    other.iloc[:40] *= 3.0
    z = [np.log(one.iloc[:, 0].to_numpy()) for one in (y, other)]
    made = [Sarima(max_months=60)._fit_one(one, y.index, np.empty((120, 0))) for one in z]  # type: ignore[arg-type]
    assert made[0].summary == made[1].summary


def test_refusal_names_the_model() -> None:
    with pytest.raises(ModelError, match=r"^sarima needs 24 months"):
        forecaster("sarima").fit(invented(series=1, months=20))


def test_criteria() -> None:
    assert aicc(-10.0, 2, 5) == pytest.approx(20.0 + 4.0 + 6.0)
    assert aicc(-10.0, 4, 5) == np.inf
    rng = np.random.default_rng(0)
    assert ljung_box(rng.normal(size=200), 2) > 0.01
    assert ljung_box(np.cumsum(rng.normal(size=200)), 2) < 1e-6

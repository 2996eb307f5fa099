"""The likelihood, the order search and the paths of sarima beside statsmodels' own."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from conftest import invented
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.signal import lfilter
from statsmodels.tsa.statespace.sarimax import SARIMAX

from forecasting.errors import ModelError
from forecasting.models import forecaster
from forecasting.models.choosing import aicc, half_year, ljung_box, standard
from forecasting.models.likelihood import natural, profile, whiten
from forecasting.models.orders import Columns, Orders, begin, difference, differences, regressors
from forecasting.models.sarima import Sarima, fit_orders, integrate, regression
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


@st.composite
def seasonal_arma(draw: st.DrawFn) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """Orders, and a Fisher's z for each."""
    arma = draw(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 2), st.integers(0, 2)))
    z = st.floats(-2.0, 2.0, allow_subnormal=False)
    return arma, np.array(draw(st.lists(z, min_size=sum(arma), max_size=sum(arma))))


def oracle(z: np.ndarray, X: np.ndarray, orders: Orders, **options: bool) -> SARIMAX:
    p, q, P, Q = orders.arma
    made = SARIMAX(
        z,
        exog=X if X.shape[1] else None,
        order=(p, orders.d, q),
        seasonal_order=(P, orders.D, Q, 12) if P + orders.D + Q else (0, 0, 0, 0),
        **options,
    )
    made.ssm.tolerance = 0.0  # no switch to the steady state, which costs it the fifth digit
    return made


def loglike(columns: Columns, arma: tuple[int, int, int, int], params: np.ndarray, sigma2: float) -> float:
    """Log-likelihood at the best coefficients of the regressors."""
    white, logdet, _, _ = whiten(arma, params, columns.values, 0)
    errors, _, _, logdet, used = profile(white, logdet, columns.holes)
    return float(-0.5 * (used * np.log(2 * np.pi * sigma2) + logdet + errors @ errors / sigma2))


@settings(max_examples=40, deadline=None)
@given(model=seasonal_arma(), seed=st.integers(0, 999), holes=st.sampled_from([0, 1, 5]))
def test_likelihood_is_that_of_statsmodels(
    model: tuple[tuple[int, int, int, int], np.ndarray], seed: int, holes: int
) -> None:
    arma, free = model
    rng = np.random.default_rng(seed)
    z = rng.normal(size=60)
    z[rng.choice(np.arange(1, 59), holes, replace=False)] = np.nan
    p, q, P, Q = arma
    orders, params = Orders(p, 0, q, P, 0, Q), natural(arma, free)
    columns = Columns.of(z, np.empty((60, 0)), orders)
    theirs = oracle(z, np.empty((60, 0)), orders).loglike(np.r_[params, 1.3])
    assert loglike(columns, arma, params, 1.3) == pytest.approx(theirs, abs=1e-6, rel=1e-8)


@pytest.mark.parametrize("holes", [[], [40], [30, 31, 32, 75]])
@pytest.mark.parametrize("orders", [Orders(1, 1, 1, 0, 1, 1), Orders(2, 1, 0), Orders(0, 0, 2, 1, 1, 0)], ids=str)
def test_likelihood_of_a_differenced_series_with_holes_is_the_diffuse_one(orders: Orders, holes: list[int]) -> None:
    z = airline(120, 2)[:100]
    z[holes] = np.nan
    params = natural(orders.arma, np.full(sum(orders.arma), 0.4))
    columns = Columns.of(z, np.empty((100, 0)), orders)
    theirs = oracle(z, np.empty((100, 0)), orders, use_exact_diffuse=True).loglike(np.r_[params, 0.02])
    diffuse = 0.5 * (orders.d + 12 * orders.D) * np.log(2 * np.pi)  # statsmodels counts months that fix the level
    assert loglike(columns, orders.arma, params, 0.02) == pytest.approx(theirs + diffuse, abs=1e-6)


@settings(max_examples=20, deadline=None)
@given(model=seasonal_arma(), seed=st.integers(0, 999))
def test_means_and_covariance_ahead_are_those_of_statsmodels(
    model: tuple[tuple[int, int, int, int], np.ndarray], seed: int
) -> None:
    arma, free = model
    z, params = np.random.default_rng(seed).normal(size=50), natural(arma, free)
    p, q, P, Q = arma
    _, _, means, root = whiten(arma, params, z[None, :].copy(), 8)
    theirs = oracle(z, np.empty((50, 0)), Orders(p, 0, q, P, 0, Q)).smooth(np.r_[params, 1.0]).get_forecast(8)
    np.testing.assert_allclose(means[0], theirs.predicted_mean, atol=1e-6)
    np.testing.assert_allclose((root**2).sum(axis=1), theirs.var_pred_mean, rtol=1e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("orders", [Orders(1, 0, 1, drift=True), Orders(0, 1, 1, 0, 1, 1), Orders(1, 1, 0, 1, 0, 0)])
def test_no_worse_than_the_fit_of_statsmodels(orders: Orders, seed: int) -> None:
    z = airline(140, seed)[20:] if orders.d else ar1(120, seed)
    z /= z.std()
    columns = Columns.of(z, np.empty((120, 0)), orders)
    made = columns.estimate(orders, begin(orders), prior=0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = oracle(columns.values[0], columns.values[1:].T, replace(orders, d=0, D=0)).fit(disp=0, maxiter=300)
    assert made.settled
    assert made.loglik > theirs.llf - 1e-3
    params = np.r_[theirs.params[: len(columns.values) - 1], natural(orders.arma, made.free)]
    assert made.loglik >= oracle(columns.values[0], columns.values[1:].T, replace(orders, d=0, D=0)).loglike(
        np.r_[params, theirs.params[-1]]
    )


def test_the_maximum_is_where_the_parameters_were() -> None:
    z, orders = airline(612, 3)[12:], Orders(0, 1, 1, 0, 1, 1)
    made = Columns.of(z, np.empty((600, 0)), orders).estimate(orders, begin(orders))
    np.testing.assert_allclose(natural(orders.arma, made.free), [-0.4, -0.5], atol=0.1)


def test_the_prior_keeps_a_short_series_off_the_edge() -> None:
    rng, orders = np.random.default_rng(5), Orders(0, 1, 1)
    columns = Columns.of(rng.normal(size=30), np.empty((30, 0)), orders)  # over-differenced: a root of one
    free, kept = (columns.estimate(orders, begin(orders), prior=prior).free for prior in (0.0, 1.0))
    assert np.tanh(abs(free[0])) > 0.99
    assert np.tanh(abs(kept[0])) < 0.98


def test_a_covariate_that_repeats_another_changes_nothing() -> None:
    rng = np.random.default_rng(6)
    x, z = rng.normal(size=(80, 1)), ar1(80, 2)
    one, two = (
        fit_orders(z, covariates, Orders(1, 0, 0, drift=True)).simulate(
            3, np.ones((3, covariates.shape[1])), 4000, np.random.default_rng(0)
        )
        for covariates in (x, np.hstack([x, x]))
    )
    np.testing.assert_allclose(one.mean(axis=0), two.mean(axis=0), atol=0.01)
    np.testing.assert_allclose(one.std(axis=0), two.std(axis=0), rtol=0.05)


@pytest.mark.parametrize(("d", "D"), [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_integrate_undoes_difference(d: int, D: int) -> None:
    z, back = np.random.default_rng(0).normal(size=40), 12 * D + d
    made = integrate(difference(z, d, D)[None, :], z[None, :back], Orders(0, d, 0, 0, D, 0))
    np.testing.assert_allclose(made[0], z[back:], atol=1e-9)


def test_differences_follow_the_tests() -> None:
    none = np.empty((240, 0))
    assert differences(airline(252, 0)[12:], none, True, 1) == (1, 1)
    assert differences(ar1(240, 0), none, True, 1) == (0, 0)
    assert differences(np.cumsum(np.random.default_rng(2).normal(size=240)), none, True, 1) == (1, 0)


def test_the_search_recovers_known_orders() -> None:
    model, months = Sarima(), months_to("2026-06", 240)
    made = [model.choose(airline(280, seed)[40:], months, np.empty((240, 0))).orders for seed in range(4)]
    assert {(one.d, one.D) for one in made} == {(1, 1)}
    assert sum(one.q >= 1 and one.Q >= 1 for one in made) >= 3
    plain = [model.choose(ar1(240, seed), months, np.empty((240, 0))).orders for seed in range(4)]
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


@pytest.mark.parametrize("holes", [[], [30, 31, 77], [112, 116, 118]])
@pytest.mark.parametrize("orders", [Orders(0, 1, 1, 0, 1, 1), Orders(1, 0, 1, 0, 1, 0, drift=True)], ids=str)
def test_paths_have_the_mean_and_variance_of_statsmodels(orders: Orders, holes: list[int]) -> None:
    z = airline(160, 5)[40:] + 3.0
    z[holes] = np.nan
    one = fit_orders(z, np.empty((120, 0)), orders)
    one = replace(one, vague=0.0 * one.vague)  # statsmodels takes parameters as known
    drawn = one.simulate(14, np.empty((14, 0)), 40_000, np.random.default_rng(0))
    ahead = regressors(orders, np.empty((134, 0)), -119)[120:]
    theirs = one.results().get_forecast(14, exog=ahead if orders.drift else None)
    spread = one.scale * np.sqrt(theirs.var_pred_mean)
    mean = one.level + one.scale * theirs.predicted_mean
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.03 * spread.max())
    # Student's t for one draw of sigma a path; statsmodels takes the drift as known
    free = regression(orders, one.mode, one.columns).free
    ratio = drawn.std(axis=0) / (spread * np.sqrt(free / (free - 2)))
    assert ((ratio > 0.98) & (ratio < (1.25 if orders.drift else 1.02))).all()


def test_what_is_not_known_of_parameters_widens_the_paths() -> None:
    one = fit_orders(ar1(30, 0), np.empty((30, 0)), Orders(1, 0, 1))
    known, vague = (
        made.simulate(8, np.empty((8, 0)), 20_000, np.random.default_rng(0)).std(axis=0)
        for made in (replace(one, vague=0.0 * one.vague), one)
    )
    assert vague[0] > 1.02 * known[0]
    assert vague.sum() > 1.01 * known.sum()


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

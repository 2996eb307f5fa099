"""naive, theta, ets and the shrunk season beside closed forms, statsmodels and slow oracles."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
import smoothing_oracle as slow
from conftest import invented
from hypothesis import given, settings
from hypothesis import strategies as st
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from forecasting.models import forecaster
from forecasting.models.ets import TRENDS, Ets, Form, State, Weights, estimate, fit_form, forms
from forecasting.models.season import ALPHAS, RATIOS, Rotated, find_season
from forecasting.models.smoothing import lines, loss_at, normal_equations, run, run_slope, settle, weights
from forecasting.models.theta import ALPHAS as THETA_ALPHAS
from forecasting.models.theta import SKIP, fit_smoothing
from forecasting.panel import Panel

X6 = np.empty((6, 0))
FORMS = [Form(trend, season) for trend in ("N", "Ad", "A") for season in (False, True)]
every_form = pytest.mark.parametrize("form", FORMS, ids=str)


def seasonal(months: int, seed: int = 0, noise: float = 0.1) -> np.ndarray:
    """Random walk with a season (T)."""
    rng = np.random.default_rng(seed)
    season = np.sin(2 * np.pi * np.arange(months) / 12)
    return np.asarray(np.cumsum(rng.normal(0.01, noise / 2, months)) + season + rng.normal(0, noise, months))


def oracle(z: np.ndarray, form: Form) -> ETSModel:
    kind = {"N": {}, "A": {"trend": "add"}, "Ad": {"trend": "add", "damped_trend": True}}[form.trend]
    return ETSModel(z, error="add", **kind, **({"seasonal": "add", "seasonal_periods": 12} if form.season else {}))


def in_statsmodels_order(form: Form, by: Weights, first: State) -> np.ndarray:
    params = [by.alpha]
    params += [by.beta] if form.trend != "N" else []
    params += [by.gamma] if form.season else []
    params += [by.phi] if form.trend == "Ad" else []
    params += [float(first.level)] + ([float(first.trend)] if form.trend != "N" else [])
    # statsmodels lists the season backwards: the effect of the first month last
    return np.array(params + (list(first.season[::-1]) if form.season else []))


@every_form
def test_residuals_and_likelihood_are_those_of_statsmodels(form: Form) -> None:
    z = seasonal(80)
    made = estimate(z, form)
    theirs = oracle(z, form).smooth(in_statsmodels_order(form, made.weights, made.first))
    np.testing.assert_allclose(np.asarray(theirs.resid), made.residuals, atol=1e-8)
    assert theirs.llf == pytest.approx(made.loglik, abs=1e-6)


@every_form
def test_no_worse_than_the_fit_of_statsmodels(form: Form) -> None:
    z = seasonal(80, seed=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = oracle(z, form).fit(disp=0, maxiter=500)
    assert estimate(z, form).loglik > theirs.llf - 0.3


@every_form
def test_paths_have_the_mean_and_variance_of_statsmodels(form: Form) -> None:
    z = seasonal(120, seed=2)
    one = fit_form(z, form, 0)
    drawn = one.simulate(6, X6, 40_000, np.random.default_rng(0))
    made = estimate((z - z.mean()) / z.std(), form)
    theirs = oracle((z - z.mean()) / z.std(), form).smooth(in_statsmodels_order(form, made.weights, made.first))
    drawn_too = np.asarray(theirs.simulate(6, anchor="end", repetitions=4000, rng=np.random.default_rng(1)))
    spread = z.std() * drawn_too.std(axis=1)
    mean = z.mean() + z.std() * np.asarray(theirs.forecast(6))
    np.testing.assert_allclose(drawn.mean(axis=0), mean, atol=0.03 * spread.max())
    ratio = drawn.std(axis=0) / spread
    assert ((ratio > 0.97) & (ratio < 1.15)).all()  # degrees of freedom, and one draw of sigma a path


@st.composite
def smoothed(draw: st.DrawFn) -> tuple[np.ndarray, Form, np.ndarray]:
    """A series, a form, and a logit for each of its weights."""
    form = draw(st.sampled_from(FORMS))
    size = 1 + {"N": 0, "Ad": 2, "A": 1}[form.trend] + form.season
    logit = st.floats(-6.0, 6.0, allow_subnormal=False)
    free = np.array(draw(st.lists(logit, min_size=size, max_size=size)))
    return seasonal(draw(st.integers(26, 90)), seed=draw(st.integers(0, 99))), form, free


@settings(deadline=None)  # compiles at first
@given(smoothed())
def test_settled_errors_are_least_squares_and_run_from_their_state(made: tuple[np.ndarray, Form, np.ndarray]) -> None:
    z, form, free = made
    by, _ = weights(TRENDS[form.trend], form.season, free)
    state, errors, *_ = settle(z, by, form.trend != "N", form.season)
    expected = slow.residuals(z, form, Weights(*by))
    assert errors @ errors == pytest.approx(expected @ expected, rel=1e-6)
    now = State(state[0], state[1], state[2:])
    assert now.season.sum() == pytest.approx(0.0, abs=1e-6)
    for value, error in zip(z, errors, strict=True):
        assert value - slow.mean(now, Weights(*by)) == pytest.approx(error, abs=1e-6)
        now = slow.after(now, Weights(*by), error)
    last = run(z, by, state)[1]
    np.testing.assert_allclose(last, np.r_[now.level, now.trend, now.season], atol=1e-6)


@settings(deadline=None)  # compiles at first
@given(smoothed())
def test_weights_and_slopes_of_errors_and_loss_are_differences(made: tuple[np.ndarray, Form, np.ndarray]) -> None:
    z, form, free = made
    trend, tiny = TRENDS[form.trend], 1e-5
    by, moves = weights(trend, form.season, free)
    np.testing.assert_allclose(by, [*vars(slow.weights(form, free)).values()], rtol=1e-12)
    state, errors, *_ = settle(z, by, form.trend != "N", form.season)
    _, right = normal_equations(z, trend, form.season, free)
    for i, move in enumerate(moves):
        aside = [free + sign * tiny * (np.arange(len(free)) == i) for sign in (1, -1)]
        up, down = (run(z, weights(trend, form.season, one)[0], state)[0] for one in aside)
        slope = run_slope(by, move, state, errors)
        np.testing.assert_allclose(slope, (up - down) / (2 * tiny), atol=1e-5 * (1.0 + np.abs(slope).max()))
        losses = [loss_at(z, trend, form.season, one) for one in aside]
        gradient = -right[i] * len(z) / (errors @ errors)
        assert gradient == pytest.approx((losses[0] - losses[1]) / (2 * tiny), rel=1e-3, abs=1e-3)


def test_the_search_is_no_worse_than_a_general_optimiser_and_chooses_alike() -> None:
    rng = np.random.default_rng(0)
    worse, same = [], []
    for seed in range(200):
        z = seasonal(int(rng.choice([30, 60, 110, 140])), seed, noise=float(rng.choice([0.05, 0.2, 0.8])))
        z = (z - z.mean()) / z.std()
        found = [estimate(z, form) for form in forms(len(z), Ets())]
        theirs = [slow.estimate(z, one.form)[1] for one in found]
        worse += [one.loglik < loglik - 1e-4 * abs(loglik) - 0.01 for one, loglik in zip(found, theirs, strict=True)]
        best = min(found, key=lambda one: one.aicc).form
        same.append(best == slow.chosen([one.form for one in found], theirs, len(z)))
    assert np.mean(worse) < 0.02  # another top of the likelihood
    assert np.mean(same) >= 0.97


def test_where_the_search_begins_changes_little() -> None:
    z, form = seasonal(130, seed=4), Form("Ad", True)
    alone = estimate(z, form)
    begun = estimate(z, form, alone.free + 0.1)
    assert begun.loglik == pytest.approx(alone.loglik, abs=0.01)


def test_a_series_that_fits_exactly_is_fitted() -> None:
    made = estimate(np.zeros(40), Form("Ad", False))
    assert made.converged
    assert (made.residuals == 0.0).all()


def test_ets_says_how_many_months_were_bridged() -> None:
    y = invented(series=1).y
    y.iloc[[20, 33], 0] = np.nan
    assert forecaster("ets").fit(Panel(y)).describe()["chosen"].iloc[0].count("2 months bridged") == 1


def test_the_form_is_chosen_anew_only_in_june_and_december() -> None:
    y = invented(series=1, months=72, last="2026-11").y
    made = [
        forecaster("ets").fit(Panel(y.loc[: pd.Period(m)])).describe()["chosen"].iloc[0] for m in ("2026-06", "2026-11")
    ]
    assert made[0] == made[1]


@pytest.mark.parametrize("months", [26, 40, 120])
def test_a_season_is_found_and_shrunk(months: int) -> None:
    true = np.sin(2 * np.pi * np.arange(12) / 12)
    found = find_season(seasonal(months))
    assert found
    assert found.mean.sum() == pytest.approx(0.0, abs=1e-9)
    assert np.abs(found.mean - true).max() < 0.35
    spread = np.sqrt(np.diag(found.root @ found.root.T))
    assert (np.abs(found.mean - true) < 4 * spread + 0.02).all()


def test_no_season_in_a_random_walk() -> None:
    rng = np.random.default_rng(0)
    found = [bool(find_season(np.cumsum(rng.normal(size=60)))) for _ in range(100)]
    assert np.mean(found) < 0.15


def test_a_short_history_is_adjusted_and_says_so() -> None:
    y = pd.DataFrame({"a": 100 * np.exp(seasonal(30))}, index=pd.period_range(end="2026-06", periods=30, freq="M"))
    for name in ("theta", "ets", "sarima"):
        assert "seasonally adjusted" in forecaster(name).fit(Panel(y)).describe()["chosen"].iloc[0]


@pytest.mark.parametrize("months", [26, 61])
def test_the_season_is_that_of_the_full_covariance_matrix(months: int) -> None:
    z = seasonal(months, seed=5)
    ratios = np.r_[1e-9, RATIOS]
    logliks, mean, covariance = slow.season(z, ALPHAS, ratios)
    made = Rotated.of(z)
    np.testing.assert_allclose(made.logliks - made.logliks.max(), logliks - logliks.max(), atol=1e-5)
    np.testing.assert_allclose(made.season().mean, mean, atol=1e-8)
    np.testing.assert_allclose(made.season().root @ made.season().root.T, covariance, atol=1e-8)


def test_running_lines_are_least_squares() -> None:
    y = np.random.default_rng(0).normal(size=20)
    means, slopes = lines(y)
    for t in range(2, 21):
        slope, intercept = np.polyfit(np.arange(1, t + 1), y[:t], 1)
        assert slopes[t - 1] == pytest.approx(slope)
        assert means[t - 1] - 0.5 * (t + 1) * slopes[t - 1] == pytest.approx(intercept)


@pytest.mark.parametrize("drift", [-0.5, 0.0, 0.2])
def test_theta_is_least_squares_at_each_alpha(drift: float) -> None:
    y = np.cumsum(np.random.default_rng(1).normal(drift, 1.0, 40))
    one = fit_smoothing(y, 40)
    sse, alpha, level, weight = slow.theta(y, THETA_ALPHAS, SKIP)
    found = (one.smoothing.alpha, one.smoothing.level, one.smoothing.weight)
    assert found == pytest.approx((alpha, level, weight), rel=1e-6, abs=1e-9)
    assert one.summary["sigma"] == pytest.approx(np.sqrt(sse / 35))


def test_paths_of_theta_are_the_loop_of_fiorucci() -> None:
    """One month at a time, as in the paper."""
    y = np.cumsum(np.random.default_rng(1).normal(0.2, 1.0, 60))
    one = fit_smoothing(y, 60)
    drawn = one.simulate(3, X6[:3], 4, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    shocks = one.summary["sigma"] * np.sqrt(57 / rng.chisquare(57, 4)) * rng.standard_normal((3, 4))
    alpha, weight = one.smoothing.alpha, one.smoothing.weight
    for path in range(4):
        past, level = y, one.smoothing.level
        for value in y:
            level = alpha * value + (1 - alpha) * level
        for step in range(3):
            t = len(past)
            slope, intercept = np.polyfit(np.arange(1, t + 1), past, 1)
            left = (1 - alpha) ** t
            trend = left * intercept + (1 - left * (1 - alpha)) / alpha * slope
            value = level + weight * trend + shocks[step, path]
            assert drawn[path, step] == pytest.approx(value)
            past, level = np.r_[past, value], alpha * value + (1 - alpha) * level


def test_theta_follows_a_trend() -> None:
    y = 0.5 * np.arange(60) + np.random.default_rng(2).normal(0, 0.1, 60)
    drawn = fit_smoothing(y, 60).simulate(6, X6, 2000, np.random.default_rng(0))
    np.testing.assert_allclose(drawn.mean(axis=0), 0.5 * np.arange(60, 66), atol=0.5)


def test_naive_spreads_with_the_root_of_time_and_ignores_holes() -> None:
    rng = np.random.default_rng(0)
    y = pd.DataFrame(
        {"a": np.exp(np.cumsum(rng.normal(0, 0.1, 150)))},
        index=pd.period_range("2010-01", periods=150, freq="M"),
    )
    y.iloc[70:90] = np.nan
    fitted = forecaster("naive").fit(Panel(y))
    drawn = fitted.ones["a"].simulate(4, X6[:4], 20_000, rng)
    sigma = fitted.describe()["sigma"].iloc[0]
    np.testing.assert_allclose(drawn.std(axis=0), sigma * np.sqrt([1, 2, 3, 4]), rtol=0.05)

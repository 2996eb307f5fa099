"""naive, theta, ets and the shrunk season beside closed forms and statsmodels."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from conftest import invented
from statsmodels.tsa.exponential_smoothing.ets import ETSModel

from forecasting.models import forecaster
from forecasting.models.ets import Form, State, Weights, estimate, fit_form, settle
from forecasting.models.season import find_season
from forecasting.models.theta import fit_smoothing, levels, running_lines
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


def test_settled_state_runs_to_the_same_residuals() -> None:
    z, form = seasonal(60, seed=3), Form("Ad", True)
    by = Weights(0.4, 0.1, 0.2, 0.9)
    state, e = settle(z, form, by)
    for value, error in zip(z, e, strict=True):
        assert value - state.mean(by) == pytest.approx(error, abs=1e-9)
        state = state.then(error, by)


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


def test_running_lines_are_least_squares() -> None:
    y = np.random.default_rng(0).normal(size=20)
    for t, line in list(enumerate(running_lines(y), 1))[1:]:
        slope, intercept = np.polyfit(np.arange(1, t + 1), y[:t], 1)
        assert line.slope == pytest.approx(slope)
        assert line.intercept == pytest.approx(intercept)


def test_theta_is_the_loop_of_fiorucci() -> None:
    """One step at a time, as in the paper: the residual spread is that of the fast fit."""
    y = np.cumsum(np.random.default_rng(1).normal(0.2, 1.0, 60))
    one = fit_smoothing(y, 60)
    alpha, level, weight = one.smoothing.alpha, one.smoothing.level, one.smoothing.weight
    errors, lines = [], running_lines(y)
    for t, value in enumerate(y):
        mean = level
        if t:
            a, b = lines[t - 1].intercept, lines[t - 1].slope
            mean += weight * ((1 - alpha) ** t * a + (1 - (1 - alpha) ** (t + 1)) / alpha * b)
        errors.append(value - mean)
        level = alpha * value + (1 - alpha) * level
    assert one.level == pytest.approx(level)
    assert one.summary["sigma"] == pytest.approx(np.sqrt(np.sum(np.square(errors[2:])) / 55))
    assert levels(y, one.smoothing)[0] == one.smoothing.level


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

"""Breaks found in a series beside planted ones, a slow search and the regressions of statsmodels."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest
from conftest import invented
from scipy.stats import norm
from statsmodels.tsa.statespace.sarimax import SARIMAX
from test_sarima import airline, ar1

from forecasting.errors import ModelError
from forecasting.models import forecaster
from forecasting.models.breaks import (
    KINDS,
    NORMAL,
    Break,
    Sought,
    critical_value,
    detect,
    effects,
    said,
    seek,
    t_values,
    with_breaks,
)
from forecasting.models.likelihood import natural
from forecasting.models.orders import Orders, begin, polynomial, regression
from forecasting.models.sarima import Fit, Sarima, fit_orders
from forecasting.panel import Panel

AIRLINE, AR1 = Orders(0, 1, 1, 0, 1, 1), Orders(1, 0, 0, drift=True)
SERIES = {AIRLINE: airline, AR1: ar1}
ALL = Sought.named("ao,ls,tc")


def none(months: int) -> np.ndarray:
    return np.empty((months, 0))


def sizes(fit: Fit) -> np.ndarray:
    first = fit.columns.holes + fit.orders.drift
    by = regression(fit.orders, fit.mode, fit.columns)
    return fit.scale * by.beta[first : first + len(fit.breaks)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("decay", KINDS.values(), ids=KINDS)
@pytest.mark.parametrize("orders", SERIES, ids=str)
def test_a_planted_break_is_found_where_it_is_and_as_large(orders: Orders, decay: float, seed: int) -> None:
    at = 40 + 17 * seed
    planted = Break(at, decay)
    z = SERIES[orders](120, seed) + 0.9 * effects((planted,), 120)[:, 0]
    fit = fit_orders(z, none(120), orders, sought=ALL)
    assert planted in fit.breaks
    assert sizes(fit)[fit.breaks.index(planted)] == pytest.approx(0.9, abs=0.25)


def test_several_breaks_do_not_hide_each_other() -> None:
    planted = (Break(50, 1.0), Break(54, 0.0), Break(90, 0.0), Break(110, 0.7))
    z = airline(160, 4) + effects(planted, 160) @ np.array([-0.8, 0.9, 0.9, -0.9])
    fit = fit_orders(z, none(160), AIRLINE, sought=ALL)
    assert set(fit.breaks) == set(planted)
    np.testing.assert_allclose(
        [size for _, size in sorted(zip([one.at for one in fit.breaks], sizes(fit), strict=True))],
        [-0.8, 0.9, 0.9, -0.9],
        atol=0.3,
    )


def test_few_false_alarms() -> None:
    alarms = {
        (orders, months): np.mean(
            [
                bool(fit_orders(make(months, seed), none(months), orders, sought=ALL).breaks)
                for seed in range(1000, 1100)
            ]
        )
        for orders, make in SERIES.items()
        for months in (72, 240)
    }
    assert np.mean(list(alarms.values())) <= 0.05
    assert max(alarms.values()) <= 0.09  # 95 % bound of 5 in 100


def slow(z: np.ndarray, orders: Orders, free: np.ndarray, critical: float, until: int) -> tuple[Break, ...]:
    """Every candidate in a regression of its own, the largest kept, again and again."""
    found: tuple[Break, ...] = ()
    while True:
        now = regression(orders, free, with_breaks(z, none(len(z)), orders, found))
        n, known = len(now.errors), np.count_nonzero(np.any(now.unknown != 0.0, axis=1))
        spread = NORMAL * np.median(np.abs(now.errors)) * np.sqrt(n / (n - known))
        tried = {}
        for one in (Break(at, decay) for at in range(until) for decay in KINDS.values()):
            columns = with_breaks(z, none(len(z)), orders, (*found, one))
            by, place = regression(orders, free, columns), orders.drift + len(found)
            error = np.sqrt((by.unknown[place] ** 2).sum())
            if error > 0:
                tried[one] = abs(by.beta[place]) / error
        best = max(tried, key=lambda one: tried[one])
        if tried[best] <= critical * spread:
            return found
        found = (*found, best)


@pytest.mark.parametrize("orders", SERIES, ids=str)
def test_the_search_is_that_of_a_regression_for_every_candidate(orders: Orders) -> None:
    planted = (Break(30, 1.0), Break(45, 0.0))
    z = (SERIES[orders](72, 3) + effects(planted, 72) @ np.array([0.8, -0.7])) / 0.1
    free = np.full(sum(orders.arma), 0.4)
    columns, decays = with_breaks(z, none(72), orders, ()), np.array(list(KINDS.values()))
    params = natural(orders.arma, free)
    at, kind = detect(orders.arma, params, columns.values, polynomial(orders), decays, 3.0, 69, 5)
    made = tuple(Break(int(t), float(decays[k])) for t, k in zip(at, kind, strict=True))
    assert len(made) >= 2
    assert made == slow(z, orders, free, 3.0, 69)[: len(made)]


@pytest.mark.parametrize("orders", [AIRLINE, AR1, Orders(1, 1, 0)], ids=str)
def test_coefficients_and_their_errors_are_those_of_statsmodels(orders: Orders) -> None:
    """With coefficients as diffuse states, which is generalised least squares."""
    z = airline(120, 7) if orders.d else ar1(120, 7)
    z[77] = np.nan
    breaks = (Break(30, 1.0, given=True), Break(60, 0.0, given=True), Break(85, 0.7, given=True))
    fit = fit_orders(z, none(120), orders, given=breaks)
    by = regression(orders, fit.mode, fit.columns)
    X = np.column_stack([np.ones((120, int(orders.drift))), effects(breaks, 120)])
    theirs = SARIMAX(
        fit.z,
        exog=X,
        order=(orders.p, orders.d, orders.q),
        seasonal_order=(orders.P, orders.D, orders.Q, 12) if orders.D else (0, 0, 0, 0),
        mle_regression=False,
        use_exact_diffuse=True,
    ).smooth(np.r_[by.params, by.sigma**2])
    last, k = theirs.smoother_results, X.shape[1]
    np.testing.assert_allclose(by.beta[fit.columns.holes :], last.smoothed_state[-k:, -1], rtol=1e-3, atol=1e-4)
    error = np.sqrt(np.diag(last.smoothed_state_cov[-k:, -k:, -1]))
    made = t_values(orders, fit.mode, fit.columns, len(breaks))
    np.testing.assert_allclose(made, (last.smoothed_state[-k:, -1] / error)[-3:], rtol=1e-3)


def test_given_breaks_stay_though_they_say_nothing() -> None:
    given = (Break(60, 1.0, given=True),)
    z = airline(120, 2)
    breaks, _, _ = seek(z / z.std(), none(120), AIRLINE, begin(AIRLINE), given, ALL)
    assert given[0] in breaks


def test_nothing_is_looked_for_in_the_last_months() -> None:
    for at, found in ((120 - ALL.last, False), (119 - ALL.last, True)):
        z = airline(120, 3)
        z[at:] += 2.0
        assert any(one.at == at for one in fit_orders(z, none(120), AIRLINE, sought=ALL).breaks) == found


def test_a_series_without_movement_or_with_few_months_has_no_breaks() -> None:
    assert fit_orders(np.full(120, 3.0), none(120), Orders(0, 0, 0, drift=True), sought=ALL).breaks == ()
    assert fit_orders(airline(30, 1), none(30), AIRLINE, sought=ALL).breaks == ()


def test_forecasts_start_from_the_new_level() -> None:
    z = ar1(120, 1)
    z[110:] += 3.0
    drawn = {
        sought: fit_orders(z, none(120), AR1, sought=sought).simulate(12, none(12), 4000, np.random.default_rng(0))
        for sought in (ALL, Sought())
    }
    centre = {sought: np.median(paths[:, -1]) for sought, paths in drawn.items()}
    assert centre[ALL] == pytest.approx(3.0 + z[:110].mean(), abs=0.3)
    assert centre[Sought()] < 2.5


def test_outliers_leave_the_variance_of_what_is_to_come() -> None:
    z = ar1(120, 1)
    z[[20, 50, 80]] += np.array([2.0, -2.0, 2.0])
    fit = fit_orders(z, none(120), AR1, sought=Sought.named("ao"))
    assert [one.at for one in sorted(fit.breaks, key=lambda one: one.at)] == [20, 50, 80]
    left = regression(AR1, fit.mode, fit.columns).sigma
    plain = regression(AR1, fit.mode, with_breaks(fit.z, none(120), AR1, ())).sigma
    assert left * fit.wider == pytest.approx(plain)
    drawn = fit.simulate(1, none(1), 20_000, np.random.default_rng(0))
    assert drawn.std() == pytest.approx(fit.scale * plain, rel=0.05)


def test_effects() -> None:
    made = effects((Break(1, 0.0), Break(1, 0.7), Break(2, 1.0)), 4)
    np.testing.assert_allclose(made, [[0, 0, 0], [1, 1, 0], [0, 0.7, 1], [0, 0.49, 1]])
    assert effects((), 4).shape == (4, 0)


@pytest.mark.parametrize("months", [48, 120, 240, 360])
def test_critical_values_are_rarely_exceeded_by_chance(months: int) -> None:
    assert 1 / 85 < 1.0 - (2.0 * norm.cdf(critical_value(months)) - 1.0) ** months < 1 / 60


def test_breaks_in_words() -> None:
    breaks = (Break(3, 1.0), Break(1, 1.0, given=True), Break(2, 0.0), Break(5, 0.0), Break(4, 0.7))
    changes = np.array([-0.384, np.nan, 0.1, 0.1, 0.1])
    assert said(breaks, changes, pd.period_range("2022-01", periods=6, freq="M")) == (
        "step given for 2022-02",
        "level shift 2022-04 (−38 %)",
        "2 outliers",
        "1 temporary change",
    )


def shifted(months: int = 120) -> Panel:
    """To 60 % from 2022-03 on, and one month five times as large."""
    y = invented(series=1, months=months, last="2026-08").y
    y.loc["2022-03":] *= 0.6
    y.loc["2019-05"] *= 5.0
    return Panel(y)


def test_what_was_found_is_said() -> None:
    panel = shifted()
    fitted = forecaster("sarima").fit(panel)
    chosen = fitted.describe()["chosen"].iloc[0]
    assert re.search(r"level shift 2022-03 \(−(3|4)\d %\)", chosen)
    assert "1 outlier" in chosen
    made = fitted.predict(panel.future(pd.Period("2026-09", "M")), 20, 0)
    assert made.notes["s0"] == chosen
    assert "shift" not in forecaster("sarima", outliers="none").fit(panel).describe()["chosen"].iloc[0]


def test_found_in_short_series_that_are_adjusted_for_their_season() -> None:
    chosen = forecaster("sarima").fit(Panel(shifted().y.iloc[-66:])).describe()["chosen"].iloc[0]
    assert "seasonally adjusted, level shift 2022-03" in chosen


def test_given_breaks_are_steps() -> None:
    panel, orders = shifted(), {"order": (1, 0, 0), "seasonal_order": (0, 0, 0), "outliers": "none"}
    last = pd.Period("2027-02", "M")
    fitted = forecaster("sarima", breaks=("2022-03",), **orders).fit(panel)
    assert "step given for 2022-03 (−" in fitted.describe()["chosen"].iloc[0]
    months = pd.period_range(panel.months[0], last, freq="M")
    x = pd.DataFrame({"step": (months >= pd.Period("2022-03", "M")).astype(float)}, index=months)
    by_covariate = Panel(panel.y, x)
    one = fitted.predict(panel.future(last), 2000, 0).paths
    two = forecaster("sarima", **orders).fit(by_covariate).predict(by_covariate.future(last), 2000, 0).paths
    np.testing.assert_allclose(np.median(one, axis=0), np.median(two, axis=0), rtol=0.02)


def test_given_breaks_need_months_on_both_sides() -> None:
    model = Sarima(breaks=("2022-03", "2016-09", "2026-08", "2026-09", "2030-01"))
    months = shifted().months
    assert [(months[one.at], one.given) for one in model.given(months)] == [
        (pd.Period("2022-03", "M"), True),
        (pd.Period("2026-08", "M"), True),
    ]
    plain, beyond = (
        forecaster("sarima", breaks=breaks).fit(shifted()).describe() for breaks in ((), ("2030-01", "1999-12"))
    )
    pd.testing.assert_frame_equal(plain, beyond)


def test_what_comes_later_does_not_change_what_was_found() -> None:
    y = shifted().y
    other = y.copy()
    other.loc["2025-01":] *= 9.0
    cutoff = pd.Period("2024-12", "M")
    one, two = (forecaster("sarima").fit(Panel(table).until(cutoff)).describe() for table in (y, other))
    pd.testing.assert_frame_equal(one, two)


@pytest.mark.parametrize(
    ("settings", "found"),
    [({"outliers": "ao,io"}, "'io'"), ({"breaks": ("2022-13",)}, "'2022-13'"), ({"breaks": ("March",)}, "'March'")],
)
def test_wrong_settings_are_named(settings: dict[str, object], found: str) -> None:
    with pytest.raises(ModelError, match=found):
        forecaster("sarima", **settings)

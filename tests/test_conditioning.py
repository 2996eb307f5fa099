"""Conditioning: exact where it is exact, closed form against slow oracles, and no figure below zero."""

from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from forecasting.catalogue import Catalogue, Series
from forecasting.conditioning import Conditioned, never_negative
from forecasting.conditioning import condition as conditioned
from forecasting.errors import DataError
from forecasting.forecast import Forecast
from forecasting.statements import Linear, parse, rows

CATALOGUE = Catalogue(
    (
        Series("trade", "Trade", "mn", formula="sum", terms=("exports", "imports")),
        Series("exports", "Exports", "mn"),
        Series("imports", "Imports", "mn"),
        Series("cars", "Cars", "mn", parent="exports"),
        Series("tools", "Tools", "mn", parent="exports"),
        Series("gas", "Gas", "mn", parent="imports"),
        Series("coal", "Coal", "mn", parent="imports"),
    )
)
BOTTOM = ("cars", "tools", "gas", "coal")
SERIES = ("trade", "exports", "imports", *BOTTOM)
SUMMING = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 1, 1], *np.eye(4)])
MONTHS = pd.period_range("2026-09", periods=7, freq="M")
HISTORY = pd.DataFrame(
    100.0, index=pd.period_range("2024-01", "2026-09", freq="M"), columns=list(SERIES)
)  # fmt: skip
HISTORY.loc["2026-09", ["trade", "exports", "imports", *BOTTOM[1:]]] = np.nan


def cube(seed: int = 0, paths: int = 600, spread: float = 0.3, gaussian: bool = False) -> Forecast:
    """Coherent paths, correlated over series and months; cars are published a month longer."""
    rng = np.random.default_rng(seed)
    shape = (paths, len(MONTHS), len(BOTTOM))
    noise = np.cumsum(rng.normal(0, 0.4, shape), axis=1) + rng.normal(0, 0.6, shape) + rng.normal(0, 0.6, (paths, 7, 1))
    level = np.array([100.0, 30.0, 60.0, 8.0])
    made = level * (1 + 0.5 * spread * noise if gaussian else np.exp(spread * noise))
    made[:, 0, 0] = 100.0
    cutoff = tuple(pd.Period("2026-09" if one == "cars" else "2026-08", "M") for one in SERIES)
    return Forecast(made @ SUMMING.T, MONTHS, SERIES, cutoff, "m")


def said(forecast: Forecast, *texts: str) -> Linear:
    return rows([parse(one, CATALOGUE) for one in texts], forecast, HISTORY)


def condition(forecast: Forecast, linear: Linear, seed: int = 0) -> Conditioned:
    return conditioned(forecast, linear, seed, never_negative(forecast.series, CATALOGUE))


def mean_of(forecast: Forecast, text: str) -> float:
    return float(said(forecast, f"{text} = 1").totals(forecast.paths)[:, 0].mean())


def test_nothing_stated_is_the_same_object() -> None:
    made = cube()
    given = condition(made, said(made))
    assert given.forecast is made
    assert (given.repaired, given.plausibility.tail, given.plausibility.freedom) == (0.0, 1.0, 0)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), soft=st.booleans(), spread=st.floats(0.01, 0.1))
def test_the_own_mean_leaves_every_mean_where_it_was(seed: int, soft: bool, spread: float) -> None:
    made = cube(seed, spread=spread)
    texts = [f"{one} = {mean_of(made, one)!r}{' ± 5' if soft else ''}" for one in ("trade 2026Q4", "gas 2027-02")]
    given = condition(made, said(made, *texts))
    assert given.repaired == 0.0
    np.testing.assert_allclose(given.forecast.paths.mean(axis=0), made.paths.mean(axis=0), rtol=1e-9)
    assert given.plausibility.distance < 1e-12
    assert given.plausibility.tail > 0.999


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    by=st.floats(0.4, 1.8),
    what=st.sampled_from(
        ["trade 2026Q4", "cars 2026-09..2026-11", "exports - gas FY2026", "coal 2027-01", "trade 2026-09..2027-02"]
    ),
    soft=st.sampled_from(["", " ± 7"]),
)
def test_totals_are_met_sums_hold_and_nothing_is_negative(seed: int, by: float, what: str, soft: str) -> None:
    made = cube(seed, paths=300)
    linear = said(made, f"{what} = {by * mean_of(made, what):.6f}{soft}")
    given = condition(made, linear, seed)
    after = given.forecast
    if not soft:
        np.testing.assert_allclose(linear.totals(after.paths), linear.statements[0].value, rtol=1e-6)
    bottom = np.stack([after.column(one) for one in BOTTOM], axis=2)
    np.testing.assert_allclose(after.paths, bottom @ SUMMING.T, rtol=1e-8, atol=1e-7)
    assert (after.paths >= 0).all()
    np.testing.assert_array_equal(after.column("cars")[:, 0], made.column("cars")[:, 0])


def test_shares_and_growth_hold_on_every_path() -> None:
    made = cube(3)
    linear = said(made, "cars / exports 2026Q4 = 70 %", "gas 2027Q1 yoy = -35 %", "coal 2026Q4 = 20")
    after = condition(made, linear).forecast
    np.testing.assert_allclose(linear.totals(after.paths), np.tile([70.0, -35.0, 20.0], (600, 1)), rtol=1e-6)


@pytest.mark.parametrize(("soft", "tolerance"), [("", 1e-9), (" ± 6", 0.02)])
def test_gaussian_oracle(soft: str, tolerance: float) -> None:
    """On Gaussian paths mean and covariance are those of the exact conditional distribution."""
    made = cube(1, paths=40_000, spread=0.1, gaussian=True)
    linear = said(made, f"trade 2026Q4 = 650{soft}", "cars / exports 2026-12 = 80 %")
    given = condition(made, linear)
    cells, after = made.paths.reshape(len(made.paths), -1), given.forecast.paths.reshape(len(made.paths), -1)
    a = linear.a.reshape(2, -1)
    mean, covariance = cells.mean(axis=0), np.cov(cells, rowvar=False)
    middle = a @ covariance @ a.T + np.diag(linear.sd**2)
    gain = covariance @ a.T @ np.linalg.inv(middle)
    gap = linear.b - a @ mean
    np.testing.assert_allclose(after.mean(axis=0), mean + gain @ gap, rtol=1e-8)
    size = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    left = np.cov(after, rowvar=False) - (covariance - gain @ a @ covariance)
    assert (np.abs(left) <= tolerance * size + 1e-12).all()
    assert given.plausibility.distance == pytest.approx(gap @ np.linalg.inv(middle) @ gap, rel=1e-9)
    assert given.repaired == 0.0


def test_weighted_paths_oracle() -> None:
    """Paths that happen to lie near the statement, weighted by how near, say the same."""
    made = cube(2, paths=200_000, spread=0.1, gaussian=True)
    linear = said(made, "trade 2026Q4 = 640")
    given = condition(made, linear)
    totals = linear.totals(made.paths)[:, 0]
    kernel = np.exp(-0.5 * ((totals - 640.0) / (0.05 * totals.std())) ** 2)
    weights = kernel / kernel.sum()
    after = given.forecast
    effective = 1.0 / (weights**2).sum()
    for series in SERIES:
        before, now = made.column(series)[:, 2], after.column(series)[:, 2]
        expected = weights @ before
        sd = np.sqrt(weights @ (before - expected) ** 2)
        assert abs(now.mean() - expected) < 4 * sd / np.sqrt(effective) + 1e-9
        assert now.std() == pytest.approx(sd, rel=6 / np.sqrt(2 * effective) + 0.01)


def test_soft_statements_lie_between_the_baseline_and_hard_ones() -> None:
    made = cube(4, spread=0.1)
    hard = condition(made, said(made, "trade 2026Q4 = 560")).forecast.paths
    means = []
    for sd in (1e-4, 20.0, 1e9):
        linear = said(made, f"trade 2026Q4 = 560 ± {sd:.6f}")
        means.append(condition(made, linear).forecast.paths)
    np.testing.assert_allclose(means[0], hard, atol=1e-3)
    np.testing.assert_allclose(means[2], made.paths, rtol=1e-5)
    total = [one[:, 1:4, 0].sum(axis=1) for one in means]
    assert 560 < total[1].mean() < made.paths[:, 1:4, 0].sum(axis=1).mean()
    variance = made.paths[:, 1:4, 0].sum(axis=1).var(ddof=1)
    assert total[1].var(ddof=1) == pytest.approx(1 / (1 / variance + 1 / 400), rel=1e-6)


@settings(max_examples=15, deadline=None)
@given(order=st.permutations(["trade 2026Q4 = 520", "gas 2027-01 = 45 ± 3", "cars / exports 2026-11 = 60 %"]))
def test_the_order_of_statements_changes_nothing(order: list[str]) -> None:
    made = cube(5)
    one = condition(made, said(made, *sorted(order)))
    other = condition(made, said(made, *order))
    np.testing.assert_array_equal(one.forecast.paths, other.forecast.paths)
    assert [each.text for each in other.plausibility.stated] == order


def test_redundant_statements_are_one() -> None:
    made = cube(6)
    one = condition(made, said(made, "trade 2026Q4 = 560"))
    two = condition(made, said(made, "trade 2026Q4 = 560", "exports + imports 2026-10..2026-12 = 560.0"))
    np.testing.assert_allclose(two.forecast.paths, one.forecast.paths, rtol=1e-9)
    three = said(made, "trade 2026Q4 = 560", "exports 2026Q4 = 380", "imports 2026Q4 = 180")
    assert condition(made, three).plausibility.freedom == 2


def test_plausibility_says_where_the_forecast_stands() -> None:
    made = cube(7, paths=4000, spread=0.1, gaussian=True)
    totals = said(made, "trade 2026Q4 = 1").totals(made.paths)[:, 0]
    value = float(totals.mean() + 2 * totals.std(ddof=1))
    found = condition(made, said(made, f"trade 2026Q4 = {value!r}")).plausibility
    assert found.distance == pytest.approx(4.0, rel=1e-6)
    assert found.tail == pytest.approx(0.0455, abs=1e-3)
    one = found.stated[0]
    assert one.percentile == pytest.approx((totals < value).mean())
    assert (one.mean, one.q10, one.q90) == pytest.approx((totals.mean(), *np.quantile(totals, [0.1, 0.9])))


def test_repaired_paths_keep_what_is_stated_and_the_others_are_untouched() -> None:
    made = cube(8, paths=400)
    linear = said(made, "coal 2026Q4 = 8")
    free = _unrepaired(made, linear)
    kept = condition(made, linear)
    hurt = (free.min(axis=2) < -1e-9).any(axis=1)
    assert kept.repaired == pytest.approx(hurt.mean())
    assert 0 < kept.repaired < 1
    np.testing.assert_allclose(kept.forecast.paths[~hurt], free[~hurt], rtol=1e-9)


def test_the_repair_is_the_nearest_by_a_general_solver() -> None:
    """Coal in three months moves to the nearest figures of zero or more with the same total; gas is cut at zero."""
    made = cube(8, paths=400)
    linear = said(made, "coal 2026Q4 = 8")
    free, kept = _unrepaired(made, linear), condition(made, linear).forecast
    at = SERIES.index("coal")
    path = int(np.argmin(free[:, 1:4, at].min(axis=1)))
    start, width = free[path, 1:4, at], made.paths[:, 1:4, at].std(axis=0)
    oracle = minimize(
        lambda y: (((y - start) / width) ** 2).sum(), np.full(3, 8 / 3), method="SLSQP", bounds=[(0, None)] * 3,
        constraints={"type": "eq", "fun": lambda y: y.sum() - 8}, options={"ftol": 1e-14},
    )  # fmt: skip
    np.testing.assert_allclose(kept.column("coal")[path, 1:4], oracle.x, atol=1e-4)
    np.testing.assert_allclose(kept.column("gas")[path], np.maximum(free[path, :, SERIES.index("gas")], 0), atol=1e-8)


def _unrepaired(forecast: Forecast, linear: Linear) -> np.ndarray:
    """Matheron's update written out (P × h × n), whatever goes below zero."""
    cells, a = forecast.paths.reshape(len(forecast.paths), -1), linear.a.reshape(len(linear.b), -1)
    covariance = np.cov(cells, rowvar=False)
    gain = covariance @ a.T @ np.linalg.inv(a @ covariance @ a.T)
    return (cells + (linear.b - cells @ a.T) @ gain.T).reshape(forecast.paths.shape)


def test_what_is_not_listed_is_held_at_zero_too() -> None:
    made = cube(9).select(("exports", "cars"))
    linear = said(made, "exports - cars 2026Q4 = 25")
    assert (_rest(conditioned(made, linear).forecast) < -1e-6).any()
    assert (_rest(condition(made, linear).forecast) >= -1e-6).all()


def _rest(forecast: Forecast) -> np.ndarray:
    return forecast.column("exports") - forecast.column("cars")


def test_down_to_zero_and_no_further() -> None:
    made = cube(10, paths=300)
    none = condition(made, said(made, "cars 2026Q4 = 0")).forecast
    np.testing.assert_allclose(none.column("cars")[:, 1:4], 0.0, atol=1e-6)
    np.testing.assert_allclose(none.column("exports"), none.column("cars") + none.column("tools"), rtol=1e-8)
    assert (none.paths >= 0).all()


@pytest.mark.parametrize(
    ("texts", "message"),
    [
        (["cars 2026Q4 = -5"], "the lowest possible is 0 mn"),
        (["cars FY2026 = 500"], "the lowest possible is 600 mn"),
        (["exports 2026Q4 = 100", "cars 2026Q4 = 120"], "beside the other statements: the highest possible is 100 mn"),
        (["cars / exports 2026Q4 = 130 %"], "state a value nearer to the forecast"),
        (["trade 2026Q4 = 560", "trade 2026-10..2026-12 = 561"], "contradict one another: trade"),
        (["trade 2026-11 = 200", "exports 2026-11 = 100", "imports 2026-11 = 50"], "contradict one another"),
        (["trade 2026Q4 < 5"], "is no condition"),
    ],
)
def test_what_cannot_be(texts: list[str], message: str) -> None:
    made = cube(11, paths=300)
    with pytest.raises(DataError, match=message):
        condition(made, said(made, *texts))


def test_what_is_decided_already() -> None:
    made = cube(12, paths=200)
    paths = made.paths.copy()
    paths[:, 3, SERIES.index("coal")] = 8.0
    with pytest.raises(DataError, match="already decided: it is 8"):
        condition(made.with_paths(paths), said(made, "coal 2026-12 = 9 ± 2"))


def test_seed_and_noise() -> None:
    made = cube(13, spread=0.1)
    linear = said(made, "trade 2026Q4 = 560 ± 20")
    one, again, other = (condition(made, linear, seed).forecast.paths for seed in (0, 0, 1))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one, other)


def test_a_large_cube_takes_a_moment() -> None:
    rng = np.random.default_rng(0)
    months = pd.period_range("2026-09", periods=14, freq="M")
    names = tuple(f"s{at}" for at in range(40))
    catalogue = Catalogue(tuple(Series(one, one, "mn") for one in names))
    made = Forecast(
        100 * np.exp(rng.normal(0, 0.3, (2000, 14, 40))), months, names, (pd.Period("2026-08", "M"),) * 40, "m"
    )
    linear = rows([parse("s0 + s1 2026Q4 = 500", catalogue), parse("s2 2027-01 = 90 ± 9", catalogue)], made, HISTORY)
    start = time.process_time()
    conditioned(made, linear)
    assert time.process_time() - start < 1.0


def test_a_kept_scenario_name() -> None:
    made = replace(cube(14), scenario="mine")
    assert condition(made, said(made, "trade 2026Q4 = 600")).forecast.scenario == "mine"

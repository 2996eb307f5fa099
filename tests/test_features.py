"""Features against slow obvious loops, and the law that none looks beyond its origin."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.calendar import working_days
from forecasting.features import (
    LEAST_SCALE,
    LEVEL,
    YEAR,
    Declared,
    Rows,
    Running,
    calendar_columns,
    design,
    known,
    lag,
    newest,
    rolling_mean,
    seasonal_index,
    smoothed_levels,
    typical_change,
    year_ago,
)

MONTH = 4  # the first row is a May


def values(months: int = 60, series: int = 2, seed: int = 0) -> np.ndarray:
    """Seasonal random walks with holes and a late start (T × n)."""
    rng = np.random.default_rng(seed)
    season = np.sin(2 * np.pi * np.arange(months) / 12)[:, None]
    z = np.cumsum(rng.normal(0.0, 0.2, (months, series)), axis=0) + season
    z[rng.random(z.shape) < 0.05] = np.nan
    z[:7, -1] = np.nan
    return z


def all_rows(z: np.ndarray, steps: int = 20) -> Rows:
    origin, series, step = np.meshgrid(np.arange(len(z)), np.arange(z.shape[1]), np.arange(1, steps + 1))
    return Rows(origin.ravel(), series.ravel(), step.ravel())


def test_lags_and_means_are_those_of_a_loop() -> None:
    z = values()
    for t in range(len(z)):
        for i in range(z.shape[1]):
            expected = z[t - 13, i] if t >= 13 else np.nan
            np.testing.assert_equal(lag(z, 13)[t, i], expected)
            window = [one for one in z[max(0, t - 5) : t + 1, i] if not np.isnan(one)]
            np.testing.assert_allclose(rolling_mean(z, 6)[t, i], np.mean(window) if window else np.nan)


def test_a_lag_longer_than_the_history_is_unknown() -> None:
    assert np.isnan(lag(np.ones((5, 1)), 9)).all()


def test_typical_change_is_that_of_a_loop() -> None:
    z = values()
    made = typical_change(z)
    for t in range(len(z)):
        for i in range(z.shape[1]):
            changes = [abs(z[u, i] - z[u - 1, i]) for u in range(1, t + 1)]
            changes = [one for one in changes if not np.isnan(one)]
            np.testing.assert_allclose(made[t, i], max(np.mean(changes), LEAST_SCALE) if changes else LEAST_SCALE)


def test_smoothed_levels_are_those_of_a_loop() -> None:
    z, constants = values(), (0.2, 0.7)
    levels, best = smoothed_levels(z, constants)
    for i in range(z.shape[1]):
        for at, constant in enumerate(constants):
            level = np.nan
            for t in range(len(z)):
                if not np.isnan(z[t, i]):
                    level = z[t, i] if np.isnan(level) else (1 - constant) * level + constant * z[t, i]
                np.testing.assert_allclose(levels[t, at, i], level)
    assert set(np.unique(best)) <= {0, 1}


def test_the_smoothing_constant_follows_the_series() -> None:
    rng = np.random.default_rng(1)
    noise, walk = rng.normal(size=200), np.cumsum(rng.normal(size=200))
    best = smoothed_levels(np.column_stack([noise, walk]), (0.1, 0.9))[1]
    assert best[-1].tolist() == [0, 1]


def test_the_seasonal_index_of_an_exact_season_is_that_season() -> None:
    pattern = np.array([3.0, -1.0, 0.5, 2.0, -2.0, 1.0, -3.0, 0.0, 1.5, -0.5, -2.5, 1.0])
    months = (np.arange(60) + MONTH) % 12
    z = (pattern[months] + 0.1 * np.arange(60))[:, None]
    index = seasonal_index(z, MONTH)
    np.testing.assert_allclose(index[-1, :, 0], pattern - pattern.mean(), atol=1e-9)
    assert (index[:12] == 0).all()  # a year is needed before anything is said


def test_no_season_is_believed_where_there_is_none() -> None:
    noise = np.random.default_rng(2).normal(size=(120, 50))
    assert np.abs(seasonal_index(noise, 0)[-1]).mean() < 0.15


def test_the_same_month_of_earlier_years_is_that_of_a_loop() -> None:
    z = values()
    rows = all_rows(z)
    for months in (-1, 0, 1, 12):
        made = year_ago(z, rows, months)
        for origin, i, step, value in zip(rows.origin, rows.series, rows.step, made, strict=True):
            at = origin + step - 12 - months
            while at > origin or (months >= 0 and at + months > origin):
                at -= 12
            np.testing.assert_equal(value, z[at, i] if at >= 0 else np.nan)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10_000), origin=st.integers(13, 58), spoil=st.sampled_from([1e6, np.nan, -3.0]))
def test_no_feature_looks_beyond_its_origin(seed: int, origin: int, spoil: float) -> None:
    z = values(seed=seed)
    spoiled = z.copy()
    spoiled[origin + 1 :] = spoil
    one, two = (known(table, MONTH, Declared()) for table in (z, spoiled))
    rows = all_rows(z)
    rows = rows.take(rows.origin <= origin)
    np.testing.assert_array_equal(one.baseline(rows), two.baseline(rows))
    np.testing.assert_array_equal(one.scale[: origin + 1], two.scale[: origin + 1])
    before, after = design(one, rows), design(two, rows)
    assert list(before) == list(after)
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    months=st.integers(5, 80),
    series=st.integers(2, 6),
    first=st.integers(1, 70),
    anchor=st.sampled_from([LEVEL, YEAR]),
)
def test_month_after_month_the_newest_origin_knows_what_it_would_know_afresh(
    seed: int, months: int, series: int, first: int, anchor: str
) -> None:
    declared, rng = Declared(anchor=anchor), np.random.default_rng(seed)
    z = values(months, series, seed)
    for at in range(series):
        z[months - rng.integers(0, 4) :, at] = np.nan  # a ragged edge
    done = Running(z, MONTH, declared.smoothing)
    for at in range(min(first, months - 1), months):
        now, whole = newest(done.upto(at), declared), known(z[:at], MONTH, declared)
        here, there = (Rows(*np.broadcast_arrays(len(one.z) - 1, np.arange(series), 1)) for one in (now, whole))
        np.testing.assert_array_equal(now.baseline(here), whole.baseline(there))
        np.testing.assert_array_equal(now.scale[-1], whole.scale[-1])
        made, expected = design(now, here), design(whole, there)
        assert list(made) == list(expected)
        for name in made:
            np.testing.assert_array_equal(made[name], expected[name], err_msg=name)
        z[at] = np.where(np.isnan(z[at]), rng.normal(), z[at])  # a forecast is known to the next month


@settings(max_examples=15, deadline=None)
@given(shift=st.floats(-50, 50), factor=st.floats(0.5, 20))
def test_level_and_unit_of_a_series_do_not_matter(shift: float, factor: float) -> None:
    z = values()
    rows = all_rows(z)
    rows = rows.take((rows.origin >= 24) & ~np.isnan(z[rows.origin, rows.series]))
    one, two = (design(known(table, MONTH, Declared()), rows) for table in (z, shift + factor * z))
    for name in set(one) - {"typical change"}:
        np.testing.assert_allclose(one[name], two[name], rtol=1e-5, atol=1e-6, err_msg=name)


def test_calendar_columns_compare_with_the_origin_and_the_year_before() -> None:
    quantity = np.arange(40.0) ** 2
    made = calendar_columns("q", quantity, Rows(np.array([20, 3, 20]), np.zeros(3, int), np.array([2, 2, 14])))
    assert made["q"].tolist() == [22.0**2, 5.0**2, 34.0**2]
    assert made["q, change"].tolist() == [22.0**2 - 20**2, 5.0**2 - 3**2, 34.0**2 - 20**2]
    np.testing.assert_equal(made["q, change from a year before"], [22.0**2 - 10**2, np.nan, 34.0**2 - 10**2])


@pytest.mark.parametrize(
    ("month", "days"),
    [("2024-05", 21), ("2019-05", 19), ("2024-01", 21), ("2023-06", 22), ("2024-02", 19)],
)
def test_working_days_of_japan(month: str, days: int) -> None:
    """Counted on a wall calendar; in 2019 the new emperor made ten days of Golden Week."""
    assert working_days(pd.period_range(month, month, freq="M")).tolist() == [days]


def test_working_days_follow_the_country_and_the_months() -> None:
    months = pd.period_range("2023-11", "2024-02", freq="M")
    made = working_days(months, "US")
    assert made.index.equals(months)
    assert made.tolist() == [
        20,
        20,
        21,
        20,
    ]  # Veterans Day observed on the 10th, Thanksgiving; MLK; Presidents

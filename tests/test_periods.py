"""Totals over calendar periods: published months exact, identities of time on every path."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from forecasting.forecast import Forecast
from forecasting.periods import label, next_full_quarter_end, totals


def cube(cutoff: str, h: int, paths: int = 50, series: int = 2) -> tuple[Forecast, pd.DataFrame]:
    rng = np.random.default_rng(0)
    last = pd.Period(cutoff, "M")
    names = tuple(f"s{at}" for at in range(series))
    history = pd.DataFrame(
        rng.integers(1, 100, (40, series)).astype(float),
        index=pd.period_range(end=last, periods=40, freq="M"),
        columns=names,
    )
    months = pd.period_range(last + 1, last + h, freq="M")
    return Forecast(rng.random((paths, h, series)), months, names, (last,) * series, "m"), history


def by_hand(forecast: Forecast, history: pd.DataFrame, months: list[pd.Period]) -> np.ndarray:
    """The slow, obvious sum of one period (P × n)."""
    total = np.zeros((len(forecast.paths), len(forecast.series)))
    for month in months:
        if month in forecast.months:
            total += forecast.paths[:, list(forecast.months).index(month)]
        else:
            total += history.loc[month].to_numpy()
    return total


@given(
    cutoff=st.dates(min_value=pd.Timestamp("2001-01-01").date(), max_value=pd.Timestamp("2030-12-01").date()),
    h=st.integers(1, 26),
)
def test_totals_are_the_sums_of_their_months(cutoff, h) -> None:
    forecast, history = cube(str(pd.Period(cutoff, "M")), h, paths=3)
    for kind, freq in (("quarter", "Q-DEC"), ("fiscal_year", "Y-MAR")):
        of = totals(forecast, history, kind)
        expected = [
            one
            for one in pd.period_range(forecast.months[0].asfreq(freq), forecast.months[-1].asfreq(freq), freq=freq)
            if one.asfreq("M", "end") <= forecast.months[-1]
        ]
        assert of.labels == tuple(label(one, kind) for one in expected)
        for at, period in enumerate(expected):
            months = list(pd.period_range(period.asfreq("M", "start"), period.asfreq("M", "end"), freq="M"))
            np.testing.assert_allclose(of.paths[:, at], by_hand(forecast, history, months))
            assert of.observed[at, 0] == sum(month <= forecast.cutoff[0] for month in months)
        assert list(of.step[:, 0]) == list(range(1, len(expected) + 1))


def test_a_partly_observed_quarter_uses_the_published_months_exactly() -> None:
    forecast, history = cube("2026-08", 4)
    of = totals(forecast, history, "quarter")
    assert of.labels == ("2026Q3", "2026Q4")
    assert list(of.observed[:, 0]) == [2, 0]
    published = history.loc["2026-07":"2026-08", "s0"].sum()
    np.testing.assert_array_equal(of.paths[:, 0, 0], published + forecast.paths[:, 0, 0])


def test_fiscal_year_runs_from_april_to_march() -> None:
    forecast, history = cube("2026-08", 7)
    of = totals(forecast, history, "fiscal_year")
    assert of.labels == ("FY2026",)
    assert of.observed[0, 0] == 5
    assert totals(cube("2026-08", 6)[0], history, "fiscal_year").labels == ()


def test_a_missing_month_leaves_its_totals_unknown_and_no_other() -> None:
    forecast, history = cube("2026-08", 4)
    history.loc["2026-07", "s0"] = np.nan
    of = totals(forecast, history, "quarter")
    assert np.isnan(of.paths[:, 0, 0]).all()
    assert np.isfinite(of.paths[:, 1]).all()
    assert np.isfinite(of.paths[:, 0, 1]).all()


def test_growth_and_probability_of_a_fall_come_from_the_same_paths() -> None:
    forecast, history = cube("2026-08", 4, paths=400)
    history.loc["2025-10":"2025-12", "s0"] = 0.5
    of = totals(forecast, history, "quarter")
    at = of.labels.index("2026Q4")
    np.testing.assert_allclose(of.growth()[:, at, 0], 100 * (of.paths[:, at, 0] / 1.5 - 1))
    assert of.probability_of_fall()[at, 0] == (of.growth()[:, at, 0] < 0).mean()


def test_growth_on_nothing_is_unknown() -> None:
    forecast, history = cube("2026-08", 4)
    history["s0"] = 0.0
    of = totals(forecast, history, "month")
    assert np.isnan(of.growth()[:, :, 0]).all()
    assert np.isnan(of.probability_of_fall()[:, 0]).all()
    assert np.isfinite(of.growth()[:, :, 1]).all()


@pytest.mark.parametrize(
    ("cutoff", "end"),
    [("2026-08", "2026-12"), ("2026-09", "2026-12"), ("2026-10", "2027-03"), ("2026-12", "2027-03")],
)
def test_the_default_horizon_ends_with_the_next_full_quarter(cutoff: str, end: str) -> None:
    assert next_full_quarter_end(pd.Period(cutoff, "M")) == pd.Period(end, "M")

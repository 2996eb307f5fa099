"""Sizes as numbers and distributions, and how an assumption works up and fades."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from invented_trade import START, assume

from forecasting.scenario import PassThrough, Reroute, Scenario, Size

U = np.linspace(0.01, 0.99, 99)
MONTHS = pd.period_range(START - 5, START + 40, freq="M")
FINITE = st.floats(-1e6, 1e6)


def distributions() -> st.SearchStrategy[Size]:
    rising = lambda count: st.lists(FINITE, min_size=count, max_size=count).map(sorted).map(tuple)  # noqa: E731
    return (
        rising(3).map(lambda of: Size(of, "triangular"))
        | rising(2).map(lambda of: Size(of, "uniform"))
        | st.tuples(FINITE, st.floats(0.0, 1e6)).map(lambda of: Size(of, "normal"))
        | FINITE.map(lambda of: Size((of,)))
    )


@given(size=distributions())
def test_quantiles_rise_from_the_least_to_the_most(size) -> None:
    found = size.at(U)
    slack = 1e-9 * (1.0 + abs(size.least) + abs(size.most))
    assert (np.diff(found) >= -slack).all()
    assert size.least - slack <= found.min() <= found.max() <= size.most + slack
    assert size.least - slack <= size.mean <= size.most + slack
    ends = size.at(np.array([0.0, 1.0]))
    assert ends == pytest.approx([size.least, size.most], abs=slack)


def test_the_stated_quantiles() -> None:
    assert Size((10.0, 20.0), "uniform").at(U) == pytest.approx(10.0 + 10.0 * U)
    low, mode, high = 0.2, 0.3, 0.9  # F(x) = (x − low)² / ((high − low)(mode − low)) up to the mode
    found = Size((low, mode, high), "triangular").at(U)
    below = found <= mode
    assert (found[below] - low) ** 2 / ((high - low) * (mode - low)) == pytest.approx(U[below])
    assert 1 - (high - found[~below]) ** 2 / ((high - low) * (high - mode)) == pytest.approx(U[~below])
    normal = Size((-0.13, 0.02), "normal").at(np.array([0.0, 0.025, 0.5, 0.975, 1.0]))
    assert normal == pytest.approx([-0.21, -0.13 - 0.0392, -0.13, -0.13 + 0.0392, -0.05], abs=1e-5)
    assert Size((0.5, 1.0, 1.0), "triangular").at(np.array([0.0, 1.0])) == pytest.approx([0.5, 1.0])


@settings(max_examples=50, deadline=None)
@given(size=distributions(), paths=st.integers(1, 300), seed=st.integers(0, 99))
def test_draws_are_the_quantiles_of_an_even_grid_in_some_order(size, paths, seed) -> None:
    drawn = assume("a", "scale", size).draws("size", size, paths, seed)
    grid = (np.arange(paths) + 0.5) / paths
    assert np.array_equal(np.sort(drawn), np.sort(size.at(grid)))


def test_draws_belong_to_the_assumption_and_to_what_is_drawn() -> None:
    size = Size((0.0, 1.0), "uniform")
    one = assume("a", "scale", size)
    drawn = one.draws("size", size, 50, 0)
    assert np.array_equal(drawn, replace(one, source="another", ramp=3).draws("size", size, 50, 0))
    for other in (
        replace(one, target="b"),
        replace(one, kind="growth"),
        replace(one, name="x"),
        replace(one, start=START + 1),
    ):
        assert not np.array_equal(drawn, other.draws("size", size, 50, 0))
    assert not np.array_equal(drawn, one.draws("residual", size, 50, 0))
    assert not np.array_equal(drawn, one.draws("size", size, 50, 1))


@given(ramp=st.integers(0, 30), lasts=st.none() | st.integers(0, 30), recovery=st.integers(0, 30))
def test_it_works_up_holds_and_fades(ramp, lasts, recovery) -> None:
    end = None if lasts is None else START + lasts
    one = assume("a", "scale", end=end, ramp=ramp, recovery=recovery)
    found = one.intensity(MONTHS)
    for month, strength in zip(MONTHS, found, strict=True):
        since = min(month, end or month).ordinal - START.ordinal
        up = min(max(since + 1, 0) / (ramp + 1), 1.0)
        after = 0 if end is None else max(month.ordinal - end.ordinal, 0)
        assert strength == pytest.approx(up * max(1.0 - after / (recovery + 1), 0.0))
    assert (found[START > MONTHS] == 0).all()
    if end is not None:
        assert (np.diff(found[end <= MONTHS]) <= 0).all()
        assert (found[end + recovery + 1 <= MONTHS] == 0).all()


def test_without_ramp_and_end_it_is_all_at_once_and_stays() -> None:
    assert assume("a", "ban").intensity(MONTHS).tolist() == [0.0] * 5 + [1.0] * 41


def test_its_full_effect_counts_lags() -> None:
    sent = (Reroute("b", Size((0.5,)), 3), Reroute("c", Size((0.5,)), 1))
    assert assume("a", "ban", ramp=2, reroute=sent).full_from == START + 5
    passed = (PassThrough("b", Size((1.0,)), 4),)
    assert assume("usd", "scale", covariate=True, pass_through=passed).full_from == START + 4
    assert assume("a", "ban").full_from == START


def test_a_scenario_names_what_it_moves() -> None:
    ban = assume("a", "ban", reroute=(Reroute("b", Size((0.5,))),))
    yen = assume("usd", "scale", covariate=True, pass_through=(PassThrough("c.*", Size((1.0,))),))
    assert Scenario("s", (ban, yen)).targets == ("a", "b", "c.*")
    assert ban.label == "ban a"
    assert replace(ban, name="n").label == "n"


@pytest.mark.parametrize(
    ("size", "relative", "words"),
    [
        (Size((-0.5,)), True, "-50 %"),
        (Size((0.3, 0.6, 0.9), "triangular"), True, "60 % (30 % to 90 %)"),
        (Size((-0.13, 0.02), "normal"), True, "-13 % (sd 2 %)"),
        (Size((100.0, 250.0), "uniform"), False, "100 to 250"),
    ],
)
def test_sizes_in_words(size: Size, relative: bool, words: str) -> None:
    assert size.words(relative) == words

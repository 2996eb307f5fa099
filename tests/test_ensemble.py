"""The pool: whose centre, whose spread, and whose ways through the months it has."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.forecast import Forecast
from forecasting.models.ensemble import Ensemble

MONTHS = pd.period_range("2026-01", periods=3, freq="M")
NAMES = Ensemble().members


def member(name: str, paths: np.ndarray) -> Forecast:
    series = tuple(f"s{at}" for at in range(paths.shape[2]))
    return Forecast(paths, MONTHS, series, (MONTHS[0] - 1,) * len(series), name)


def members(seed: int, share: int = 400, n: int = 2, level: float = 100.0) -> list[Forecast]:
    rng = np.random.default_rng(seed)
    return [
        member(name, level * np.exp(rng.normal(rng.normal(0, 0.1), rng.uniform(0.05, 0.5), (share, 3, n))))
        for name in NAMES
    ]


def pooled(made: list[Forecast]) -> np.ndarray:
    return np.stack([one.paths for one in made], axis=1).reshape(-1, *made[0].paths.shape[1:])


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_centre_of_the_pool_spread_of_the_middle_order_of_the_pool(seed: int) -> None:
    made = members(seed)
    pool, got = pooled(made), Ensemble().combine(made, 2000).paths
    assert np.allclose(np.median(got, axis=0), np.median(pool, axis=0), rtol=2e-2)
    assert (np.diff(np.take_along_axis(got, np.argsort(pool, axis=0), axis=0), axis=0) >= 0).all()
    levels = (0.1, 0.9)
    each = np.stack([np.quantile(one.paths, levels, axis=0) for one in made if one.model in Ensemble().spread])
    middle = np.sort(each, axis=0)[1:-1].mean(axis=0)
    own = np.stack([np.sort(one.paths, axis=0) for one in made if one.model in Ensemble().spread])
    centre = np.median(np.sort(own, axis=0)[1:-1].mean(axis=0), axis=0)
    assert np.allclose(np.quantile(got, levels, axis=0) / np.median(got, axis=0), middle / centre, rtol=5e-2)


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1_000), factor=st.floats(1e-3, 1e6))
def test_another_unit_changes_nothing_else(seed: int, factor: float) -> None:
    one = Ensemble().combine(members(seed), 2000).paths
    other = Ensemble().combine([made.with_paths(made.paths * factor) for made in members(seed)], 2000).paths
    assert np.allclose(other, one * factor, rtol=1e-9)


def test_what_is_known_stays_and_nothing_positive_turns_negative() -> None:
    made = [one.with_paths(one.paths - 95.0) for one in members(3)]
    clipped = [one.with_paths(np.maximum(one.paths, 0.0)) for one in made]
    for one in clipped:
        one.paths[:, 0] = 0.1 + 0.2
    got = Ensemble().combine(clipped, 2000).paths
    assert (got[:, 0] == 0.1 + 0.2).all()
    assert (got >= 0).all()
    assert (Ensemble().combine(made, 2000).paths < 0).any()


@pytest.mark.parametrize("chosen", [("theta",), ("theta", "sarima"), ("boosting_yearly",)])
def test_members_that_agree_are_repeated(chosen: tuple[str, ...]) -> None:
    paths = members(5)[0].paths
    got = Ensemble(members=chosen).combine([member(name, paths) for name in chosen], len(paths) * len(chosen)).paths
    quantiles = np.linspace(0.1, 0.9, 9)
    assert np.allclose(np.quantile(got, quantiles, axis=0), np.quantile(paths, quantiles, axis=0), rtol=2e-2)


@pytest.mark.parametrize("paths", [2000, 1001])
def test_each_cell_is_what_a_loop_over_cells_makes(paths: int) -> None:
    """To the last bit, where paths are equal, where zero is likely and where all are known."""
    rng = np.random.default_rng(7)
    made = [one.with_paths(one.paths[rng.integers(0, 30, len(one.paths))]) for one in members(4)]
    made = [one.with_paths(np.maximum(one.paths - 90.0, 0.0)) for one in made]
    for one in made:
        one.paths[:, 1, 0] = 7.0
    pool, got = pooled(made)[:paths], Ensemble().combine(made, paths).paths
    for cell in np.ndindex(pool.shape[1:]):
        here = pool[(slice(None), *cell)]
        own = [np.sort(one.paths[(slice(None), *cell)]) for one in made if one.model in Ensemble().spread]
        quantiles = np.sort(np.stack(own), axis=0)[1:-1].mean(axis=0)
        middle, centre = np.median(quantiles), np.median(here)
        quantiles = quantiles * (centre / middle) if middle > 0 else quantiles + (centre - middle)
        place = np.clip((np.arange(paths) + 0.5) / paths * len(quantiles) - 0.5, 0, len(quantiles) - 1)
        below = np.minimum(place.astype(int), len(quantiles) - 2)
        expected = np.empty(paths)
        share = place - below
        expected[np.argsort(here, kind="stable")] = (1 - share) * quantiles[below] + share * quantiles[below + 1]
        stays = here.min() == here.max() or np.sort(here)[int(0.025 * paths)] == 0
        np.testing.assert_array_equal(got[(slice(None), *cell)], here if stays else expected)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1_000), shares=st.lists(st.floats(0.3, 0.7), min_size=5, max_size=5))
def test_where_often_nothing_happens_the_pool_stays_as_it_is(seed: int, shares: list[float]) -> None:
    """Orders of spare parts: members disagree whether the median is nothing; intervals neither vanish nor explode."""
    rng = np.random.default_rng(seed)
    made = [
        one.with_paths(np.where(rng.random(one.paths.shape) < share, 0.0, one.paths))
        for one, share in zip(members(seed), shares, strict=True)
    ]
    assert (Ensemble().combine(made, 2000).paths == pooled(made)).all()

"""Value is quantity × price on every path, published cells stay, sums hold, and no forecast of the three is ignored."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from forecasting.catalogue import Catalogue, Series
from forecasting.forecast import Forecast
from forecasting.hierarchy import Tree, reconcile
from forecasting.prices import LOWEST, Pair, hold_prices, months_traded, pairs_of, tie_prices, with_prices

GAS = Pair("gas.price", "gas.value", "gas.tonnes")
SERIES = ("fuel.value", "gas.value", "gas.tonnes", "gas.price", "coal.value")
CUTOFF = pd.Period("2026-08", "M")
RATIO = Series("gas.price", "Gas", "mn/t", formula="ratio", terms=("gas.value", "gas.tonnes"))


def forecast(
    seed: int = 0, spread: tuple[float, float, float] = (0.4, 0.3, 0.1), none: float = 0.0, value: float = 60.0,
    ahead: tuple[int, int] = (0, 0), paths: int = 400, h: int = 4,
) -> Forecast:  # fmt: skip
    """Wide paths of a value, a quantity near 10 and a price near 10, each from a model of its own.

    ``none`` is the share of paths without quantity; value and quantity are published for ``ahead`` (2) months more.
    """
    rng = np.random.default_rng(seed)
    made = np.exp(rng.normal(0.0, 0.3, (paths, h, len(SERIES)))) * np.array([150.0, value, 10.0, 10.0, 50.0])
    for at, width in zip((1, 2, 3), spread, strict=True):
        made[:, :, at] **= width / 0.3
        made[:, :, at] *= np.array([value, 10.0, 10.0])[at - 1] ** (1 - width / 0.3)
    made[:, :, 2] *= rng.random((paths, h)) >= none
    cutoffs = [CUTOFF, CUTOFF + ahead[0], CUTOFF + ahead[1], CUTOFF + min(ahead), CUTOFF]
    for at, known in ((1, ahead[0]), (2, ahead[1]), (3, min(ahead))):
        made[:, :known, at] = made[:1, :known, at]
    months = pd.period_range(CUTOFF + 1, periods=h, freq="M")
    return Forecast(made, months, SERIES, tuple(cutoffs), "m")


def logs(of: Forecast, name: str) -> np.ndarray:
    return np.log(of.column(name))


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000), none=st.sampled_from([0.0, 0.3, 1.0]), value=st.floats(1e-3, 1e6),
    ahead=st.tuples(st.integers(0, 2), st.integers(0, 2)),
)  # fmt: skip
def test_value_is_quantity_times_price_on_every_path_and_published_cells_stay(seed, none, value, ahead) -> None:
    given_ = forecast(seed, none=none, value=value, ahead=ahead)
    tied = tie_prices(given_, [GAS])
    v, q, p = (tied.column(one) for one in (GAS.value, GAS.quantity, GAS.price))
    nothing = (given_.column(GAS.quantity) == 0) & (np.arange(4) < ahead[1])  # published as nothing: no price to tie
    assert np.allclose(v[~nothing], (q * p)[~nothing], rtol=1e-9)
    assert np.array_equal(v[:, : ahead[0]], given_.column(GAS.value)[:, : ahead[0]])
    assert np.array_equal(q[:, : ahead[1]], given_.column(GAS.quantity)[:, : ahead[1]])
    others = ("fuel.value", "coal.value")
    assert np.array_equal(tied.select(others).paths, given_.select(others).paths)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000), spread=st.tuples(*[st.floats(0.05, 0.4)] * 3), value=st.floats(10.0, 1e3))
def test_medians_move_as_weighted_least_squares_says(seed, spread, value) -> None:
    given_ = forecast(seed, spread, value=value)
    tied = tie_prices(given_, [GAS])
    for row in range(4):
        z = [logs(given_, one)[:, row] for one in (GAS.value, GAS.quantity, GAS.price)]
        width = np.array([np.quantile(one, 0.9) - np.quantile(one, 0.1) for one in z])
        gap = np.median(z[0]) - np.median(z[1] + z[2])
        rows = np.array([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]]) / width[[1, 2, 0], None]
        wanted, *_ = np.linalg.lstsq(rows, np.array([0.0, 0.0, -gap / width[0]]), rcond=None)
        for name, before, move in ((GAS.quantity, z[1], wanted[0]), (GAS.price, z[2], wanted[1])):
            assert np.allclose(logs(tied, name)[:, row], before + move, atol=1e-6)


def test_a_price_that_is_surer_than_the_value_is_believed() -> None:
    given_ = forecast(spread=(0.5, 0.3, 0.05), value=60.0)  # the value implies a price of 6, the price model says 10
    implied = np.median(given_.column(GAS.value) / given_.column(GAS.quantity))
    tied = tie_prices(given_, [GAS])
    assert implied < 6.5
    assert np.median(tied.column(GAS.price)) == pytest.approx(10.0, rel=0.02)
    assert 60.0 < np.median(tied.column(GAS.value)) < 100.0


def test_a_quantity_follows_a_published_value() -> None:
    tied = tie_prices(forecast(ahead=(1, 0)), [GAS])
    assert np.ptp(tied.column(GAS.value)[:, 0]) == 0.0
    assert np.median(tied.column(GAS.quantity)[:, 0]) == pytest.approx(
        tied.column(GAS.value)[0, 0] / np.median(tied.column(GAS.price)[:, 0]), rel=0.01
    )


def test_no_quantity_is_no_value_and_a_vanishing_price_stops() -> None:
    given_ = forecast(none=0.4)
    paths = given_.paths.copy()
    paths[:5, :, SERIES.index(GAS.price)] = 0.0
    tied = tie_prices(given_.with_paths(paths), [GAS])
    assert np.array_equal(tied.column(GAS.value) == 0.0, given_.column(GAS.quantity) == 0.0)
    price = tied.column(GAS.price)
    assert price.min() == pytest.approx(LOWEST * np.median(price, axis=0).min(), rel=0.2)


def test_prices_survive_the_sums() -> None:
    tree = Tree({"fuel.value": ("gas.value", "coal.value")}, "|rest")
    tied = tie_prices(forecast(none=0.1), [GAS])
    summed = reconcile(tied, tree)
    made = hold_prices(summed, [GAS])
    assert made.series == ("fuel.value", "gas.value", "gas.tonnes", "coal.value")
    assert np.allclose(made.column("fuel.value"), made.column("gas.value") + made.column("coal.value"))
    values = ("fuel.value", "gas.value", "coal.value")
    assert np.array_equal(made.select(values).paths, summed.select(values).paths)
    assert not np.allclose(summed.column(GAS.value), tied.column(GAS.value))
    assert np.allclose(made.column(GAS.value), made.column(GAS.quantity) * tied.column(GAS.price))


def test_published_quantities_are_held_after_the_sums() -> None:
    tied = tie_prices(forecast(ahead=(0, 2)), [GAS])
    moved = tied.with_paths(tied.paths * 1.1)
    made = hold_prices(moved, [GAS])
    assert np.array_equal(made.column(GAS.quantity)[:, :2], moved.column(GAS.quantity)[:, :2])
    assert np.allclose(made.column(GAS.quantity)[:, 2:], tied.column(GAS.quantity)[:, 2:])


def test_without_pairs_nothing_changes() -> None:
    given_ = forecast()
    assert np.array_equal(hold_prices(tie_prices(given_, []), []).paths, given_.paths)


def test_a_pair_needs_its_value_and_its_quantity() -> None:
    catalogue = Catalogue((Series("gas.value", "Gas", "mn"), Series("gas.tonnes", "Gas", "t"), RATIO))
    assert pairs_of(catalogue, ("gas.value", "gas.tonnes", "other")) == (GAS,)
    assert pairs_of(catalogue, ("gas.value",)) == ()


def test_a_pair_of_which_a_part_failed_is_not_tied_and_its_price_is_no_flow() -> None:
    given_ = forecast().select(("gas.value", "gas.price"))
    made = hold_prices(tie_prices(given_, [GAS]), [GAS])
    assert made.series == ("gas.value",)
    assert np.array_equal(made.column("gas.value"), given_.column("gas.value"))


def test_the_last_price_stands_while_nothing_is_traded_and_is_unknown_where_the_trade_is() -> None:
    months = pd.period_range("2026-01", periods=6, freq="M")
    value = [0.0, 20.0, 0.0, 5.0, np.nan, 6.0]
    y = pd.DataFrame({"gas.value": value, "gas.tonnes": [0.0, 4.0, 0.0, 0.0, 3.0, 2.0]}, index=months)
    priced = with_prices(y, [GAS])
    np.testing.assert_array_equal(priced["gas.price"], [np.nan, 5.0, 5.0, 5.0, np.nan, 3.0])
    assert priced[["gas.value", "gas.tonnes"]].equals(y)
    assert months_traded(y, GAS) == 2

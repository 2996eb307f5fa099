"""After the model, in the product: every value is quantity × unit price, parts add up, published months stay."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from forecasting import workflow
from forecasting.panel import Panel
from forecasting.prices import Pair, pairs_of, tie_prices

CHEAP = {"model": "naive", "paths": 200, "cache": False}
LNG = Pair(*(f"jp_ru.imports.mineral_fuels.lng.{one}" for one in ("unit_price", "value", "quantity")))
MONTH = pd.Period("2026-08", "M")


def cube(*series: str, y: pd.DataFrame | None = None) -> workflow.Cube:
    """Paths of these series from the official figures, or from others in their place."""
    dataset = workflow.load()
    dataset = dataset if y is None else replace(dataset, panel=Panel(y))
    return workflow.cube(workflow.Request(series, **CHEAP), dataset=dataset)


@pytest.fixture(scope="module")
def everything() -> workflow.Cube:
    """The core and all that lies below it."""
    return cube("jp_ru.*", "jp_world.*")


def tied(made: workflow.Cube) -> list[tuple[Pair, np.ndarray]]:
    """Pairs of which a price was forecast, with its paths (P × h) after they were tied."""
    found = []
    for piece in made.pieces:
        pairs = pairs_of(made.dataset.catalogue, piece.forecast.series)
        priced = [one for one in pairs if one.price in piece.forecast.series]
        after = tie_prices(piece.forecast, priced)
        found += [(one, after.column(one.price)) for one in priced]
    return found


def test_values_are_quantities_at_the_price_that_was_forecast(everything) -> None:
    pairs = tied(everything)
    assert {one.price for one, _ in pairs} >= {
        LNG.price, "jp_world.imports.mineral_fuels.lng.unit_price", "jp_world.imports.mineral_fuels.coal.unit_price",
        "jp_ru.imports.food.fish.unit_price", "jp_ru.exports.transport.motorcycles.unit_price",
    }  # fmt: skip
    for one, price in pairs:
        value, quantity = (everything.forecast.column(name) for name in (one.value, one.quantity))
        np.testing.assert_allclose(value, quantity * price, rtol=1e-9, err_msg=one.price)


def test_prices_are_no_series_of_the_result(everything) -> None:
    assert not [one for one in (*everything.forecast.series, *everything.y.columns) if one.endswith("unit_price")]


def test_parts_still_add_up(everything) -> None:
    column = everything.forecast.column
    for area in ("jp_ru", "jp_world"):
        np.testing.assert_allclose(
            column(f"{area}.trade.value"), column(f"{area}.exports.value") + column(f"{area}.imports.value"), rtol=1e-9
        )
    catalogue = everything.dataset.catalogue
    parents = {catalogue[one].parent for one in everything.forecast.series if one in catalogue} - {""}
    assert len(parents) > 12
    for parent in parents & set(everything.forecast.series):
        parts = [one for one in catalogue.children(parent) if one in everything.forecast.series]
        assert (column(parent) >= sum(map(column, parts)) * (1 - 1e-9) - 1e-6).all(), parent


@pytest.mark.parametrize("series", [LNG.price, LNG.quantity, "jp_world.imports.mineral_fuels.coal.unit_price"])
def test_numbers_do_not_depend_on_what_else_is_shown(everything, series: str) -> None:
    alone = cube(series)
    for one in alone.forecast.series:
        np.testing.assert_array_equal(alone.forecast.column(one), everything.forecast.column(one), err_msg=one)


@pytest.mark.parametrize(("late", "known"), [("value", "quantity"), ("quantity", "value")])
def test_what_is_published_stays_when_its_partner_is_late(late: str, known: str) -> None:
    y = workflow.load().panel.y.copy()
    y.loc[MONTH, [one for one in y if one.startswith("jp_ru") and one.endswith(late)]] = np.nan
    made = cube(LNG.price, y=y)
    assert made.forecast.months[0] == MONTH
    cells = {one: made.forecast.column(getattr(LNG, one))[:, 0] for one in (known, late)}
    assert (cells[known] == y.loc[MONTH, getattr(LNG, known)]).all()
    assert np.ptp(cells[late]) > 0
    on = cells["quantity"] > 0
    assert 60 < np.median(cells["value"][on] / cells["quantity"][on]) < 200


def test_a_month_without_trade_leaves_the_last_price_standing() -> None:
    y = workflow.load().panel.y.copy()
    last = (y[LNG.value] / y[LNG.quantity])[MONTH - 1]
    y.loc[MONTH, [LNG.value, LNG.quantity]] = 0.0
    made = cube(LNG.price, y=y)
    assert made.forecast.months[0] == MONTH + 1
    price = next(price for one, price in tied(made) if one == LNG)
    assert np.median(price[:, 0]) == pytest.approx(last, rel=0.2)


def test_the_price_of_gas_lies_near_the_last_ones(everything) -> None:
    outlook = workflow.outlook(everything, everything.forecast)
    last = outlook.history[LNG.price].iloc[-12:]
    table = outlook.table[outlook.table["series"] == LNG.price]
    assert set(table["kind"]) == {"month", "quarter"}
    assert table["q50"].between(last.min(), last.max()).all()
    month, quarter = (outlook.totals[kind] for kind in ("month", "quarter"))
    at = [month.series.index(one) for one in (LNG.price, LNG.value, LNG.quantity)]
    for of in (month, quarter):
        price, value, quantity = (of.paths[:, :, one] for one in at)
        assert (quantity > 0).mean() > 0.9
        np.testing.assert_allclose(value, quantity * np.where(quantity > 0, price, 0.0), rtol=1e-9)

"""Value = quantity × unit price on every path: the price is forecast as a series of its own.

A price is close to a random walk and a quantity to a season; a value forecast by itself knows neither, and after a
jump implies a price that nobody believes. CRPS by experiments/benchmarks/unit_price.py: unit prices 13 to 31 % better;
values 3 to 5 % better on nine goods traded with the world, as good on those with Russia; quantities the same to 3 %
worse.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.forecast import Forecast

LOWEST = 0.05  # of its median: a price scale that reaches zero would make a quantity endless


@dataclass(frozen=True)
class Pair:
    """Ids of a value, its quantity, and their unit price (value / quantity, in catalogue units)."""

    price: str
    value: str
    quantity: str


def pairs_of(catalogue: Catalogue, series: Collection[str]) -> tuple[Pair, ...]:
    """Pairs that the catalogue declares by a ratio, of which both value and quantity are among these series."""
    ratios = [one for one in catalogue.values() if one.formula == "ratio" and set(one.terms) <= set(series)]
    return tuple(Pair(one.id, *one.terms) for one in ratios)


def with_prices(y: pd.DataFrame, pairs: Sequence[Pair]) -> pd.DataFrame:
    """The table (T × n) with a column for each unit price; NaN where value or quantity is not known.

    In months without trade the last price stands, so that a price is known as far as what it is the price of.
    """
    known = y.notna()
    return y.assign(**{one.price: _paid(y, one).ffill().where(known[one.value] & known[one.quantity]) for one in pairs})


def months_traded(y: pd.DataFrame, pair: Pair) -> int:
    """Months of the table (T × n) in which a price was paid."""
    return int(_paid(y, pair).notna().sum())


def _paid(y: pd.DataFrame, pair: Pair) -> pd.Series:
    value, quantity = y[pair.value], y[pair.quantity]
    return value.where(value > 0) / quantity.where(quantity > 0)


def tie_prices(forecast: Forecast, pairs: Sequence[Pair]) -> Forecast:
    """Values that are quantity × price on every path, for the pairs of which ``forecast`` holds all three series.

    Three forecasts of one thing differ by log v − log q − log p. Their medians are moved until that is zero, each by
    its squared width (the projection of ``hierarchy.reconcile``, in logs); quantities and prices keep their spread and
    their pairing, and the value takes what they make. Published cells stay: a quantity then follows a published value.
    A path without quantity has no value. Series and their order stay, prices included: after the sums call
    ``hold_prices``.
    """
    paths, steps = forecast.paths.copy(), forecast.steps()
    for at in _places(forecast, pairs):
        for row in range(len(forecast.months)):
            paths[:, row, at] = _tied(paths[:, row, at], steps[row, at[:2]] >= 1)
    return forecast.with_paths(paths)


def hold_prices(forecast: Forecast, pairs: Sequence[Pair]) -> Forecast:
    """Quantities that follow where the sums moved their values, at the tied price; the price columns are left out.

    Published quantities stay, and so do those of paths that have no price.
    """
    paths, steps = forecast.paths.copy(), forecast.steps()
    for value, quantity, price in _places(forecast, pairs):
        ahead = steps[:, quantity] >= 1
        v, q, p = (paths[:, ahead, at] for at in (value, quantity, price))
        paths[:, ahead, quantity] = np.divide(v, p, out=q, where=p > 0)
    prices = {one.price for one in pairs}
    return forecast.with_paths(paths).select(tuple(one for one in forecast.series if one not in prices))


def _places(forecast: Forecast, pairs: Sequence[Pair]) -> Iterator[list[int]]:
    """Where value, quantity and price of each pair stand, if all three are there."""
    for one in pairs:
        if {one.value, one.quantity, one.price} <= set(forecast.series):
            yield [forecast.series.index(name) for name in (one.value, one.quantity, one.price)]


def _tied(cells: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Value, quantity and price (P × 3) of one month; ``free`` (2): are value and quantity not published yet."""
    value, quantity, price = cells.T
    price = np.maximum(price, LOWEST * np.median(price))
    if not free.any():
        known = (value > 0) & (quantity > 0)
        return np.column_stack([value, quantity, np.divide(value, quantity, out=price, where=known)])
    to_quantity, to_price = _moves(value, quantity, price)
    price = price * np.exp(to_price)
    if free[1]:
        follows = np.divide(value, price, out=quantity.copy(), where=price > 0)
        quantity = quantity * np.exp(to_quantity) if free[0] else follows
    return np.column_stack([quantity * price if free[0] else value, quantity, price])


def _moves(value: np.ndarray, quantity: np.ndarray, price: np.ndarray) -> tuple[float, float]:
    """What to add to the logs of quantity and price so that their medians meet the value's, each by 1 / width²."""
    on = (value > 0) & (quantity > 0) & (price > 0)
    if not on.any():
        return 0.0, 0.0
    logs = np.log(np.stack([value, quantity, price])[:, on])
    low, high = np.quantile(logs, [0.1, 0.9], axis=1)
    width = (high - low) ** 2
    gap = np.median(logs[0]) - np.median(logs[1] + logs[2])
    share = gap * width / max(width.sum(), 1e-12)
    return float(share[1]), float(share[2])

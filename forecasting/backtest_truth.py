"""The truth that backtests hold forecasts against, by month, quarter and fiscal year, and a forecast beside it.

Models are never shown any of it. Totals of derived series are computed from the totals of their terms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.forecast import Forecast
from forecasting.observations import with_derived
from forecasting.periods import FREQUENCIES, MONTHS_OF, Totals, label
from forecasting.scores import crps_of_paths, pit_of_paths, seasonal_scale
from forecasting.tables import all_totals, forecast_table


def truth_of(y: pd.DataFrame, catalogue: Catalogue, series: Sequence[str]) -> dict[str, pd.DataFrame]:
    """What came: a table of periods × series for each kind, NaN where any month of a period is unknown."""
    tables = {}
    for kind, months in MONTHS_OF.items():
        summed = _summed(y, months, catalogue, series)
        periods = summed.index.asfreq(FREQUENCIES[kind])  # type: ignore[attr-defined]
        ends = periods.asfreq("M", "end") == summed.index
        tables[kind] = summed[ends].set_axis([label(one, kind) for one in periods[ends]], axis=0)
    return tables


def scales_of(y: pd.DataFrame, catalogue: Catalogue, shown: tuple[str, ...]) -> pd.DataFrame:
    """Mean absolute and squared change on a year earlier by series and kind, of all months known."""
    pieces = []
    for kind, months in MONTHS_OF.items():
        scale, squared = seasonal_scale(_summed(y, months, catalogue, shown).to_numpy())
        pieces.append(pd.DataFrame({"series": shown, "kind": kind, "scale": scale, "scale_sq": squared}))
    return pd.concat(pieces, ignore_index=True)


def _summed(y: pd.DataFrame, months: int, catalogue: Catalogue, shown: Sequence[str]) -> pd.DataFrame:
    """Totals of so many months that end in each month (T × n), derived series computed from the totals of their terms.

    A quarter's unit price is its value over its quantity, not a sum of prices.
    """
    if len(y) < months:
        return pd.DataFrame(np.nan, index=y.index, columns=list(shown))
    sums = np.lib.stride_tricks.sliding_window_view(y.to_numpy(dtype=float), months, axis=0).sum(axis=-1)
    totals = pd.DataFrame(sums, index=y.index[months - 1 :], columns=y.columns)
    return with_derived(totals, catalogue, shown)[list(shown)].reindex(y.index)


def beside_truth(
    made: Forecast, y: pd.DataFrame, catalogue: Catalogue, series: tuple[str, ...],
    truth: Mapping[str, pd.DataFrame], scale: pd.DataFrame,
) -> pd.DataFrame:  # fmt: skip
    """The forecast table of these series with actual, CRPS, PIT and scales, for every period of known truth.

    ``y`` (T × n) is what was known at the cutoff; ``truth`` is made by ``truth_of``, ``scale`` by ``scales_of``.
    """
    kinds = all_totals(made, y, catalogue, series)
    table = forecast_table(made, kinds, catalogue)
    cells = pd.concat([_cells(of, truth[kind]) for kind, of in kinds.items()], ignore_index=True)
    table = table.merge(cells, on=["series", "kind", "period"], how="left").merge(
        scale, on=["series", "kind"], how="left"
    )
    return table[table["actual"].notna()]


def _cells(of: Totals, truth: pd.DataFrame) -> pd.DataFrame:
    """Truth, CRPS and PIT of every period and series of one kind."""
    actual = truth.reindex(index=list(of.labels), columns=list(of.series)).to_numpy()
    crps, pit = np.full(actual.shape, np.nan), np.full(actual.shape, np.nan)
    for period, series in zip(*np.nonzero(~np.isnan(actual)), strict=True):
        paths = of.paths[:, period, series]
        known = paths[~np.isnan(paths)]  # a unit price does not exist on paths on which nothing is traded
        if len(known):
            crps[period, series] = crps_of_paths(known, actual[period, series])
            pit[period, series] = pit_of_paths(known, actual[period, series])
    return pd.DataFrame(
        {
            "series": np.tile(np.array(of.series, dtype=object), len(of.labels)),
            "kind": of.kind,
            "period": np.repeat(np.array(of.labels, dtype=object), len(of.series)),
            "actual": actual.ravel(),
            "crps": crps.ravel(),
            "pit": pit.ravel(),
        }
    )

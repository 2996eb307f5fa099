"""Covariates of a panel: known to the end of the horizon, or assumed to be, and said."""

from __future__ import annotations

import numpy as np
import pandas as pd

from forecasting.errors import DataError
from forecasting.panel import Panel


def with_covariates(
    panel: Panel, table: pd.DataFrame, last: pd.Period, hold: bool, name: str
) -> tuple[Panel, tuple[str, ...]]:
    """The panel with covariates (T' × k) up to ``last``; one that ends earlier is refused, or held at its last value.

    Months before all covariates begin are left out of the panel, because no model could use them.
    """
    first = max(_first(table[one], str(one), name) for one in table)
    start = max(first, panel.months[0])
    if start > panel.cutoff:
        raise DataError(
            f"{name} begins in {first}, after the last month of the data, {panel.cutoff}: extend it backwards."
        )
    x = table.reindex(pd.period_range(start, last, freq="M")).astype(float)
    remarks = [f"Months before {start} are left out: {name} begins there."] if start > panel.months[0] else []
    for one in x:
        known = x[one].last_valid_index()
        if not isinstance(known, pd.Period):
            raise DataError(f"Covariate {one} of {name} ends before {start}, where the data begin: extend {name}.")
        if x.loc[:known, one].isna().any():
            hole = x.loc[:known, one].isna().idxmax()
            raise DataError(f"Covariate {one} of {name} has no value for {hole}: fill it.")
        if known >= last:
            remarks.append(f"Covariate {one} is taken as given until {last}.")
        elif hold and known >= panel.cutoff:
            remarks.append(f"Covariate {one} is assumed to stay at its value of {known} until {last}.")
            x[one] = x[one].ffill()
        else:
            raise DataError(
                f"Covariate {one} ends in {known}; the forecast needs it until {last}: extend {name}, shorten"
                f" --horizon, or give --hold-covariates to assume its last value (it must reach {panel.cutoff})."
            )
    return Panel(panel.y.loc[start:], x), tuple(remarks)


def _first(column: pd.Series, one: str, name: str) -> pd.Period:
    known = column.first_valid_index()
    if not isinstance(known, pd.Period):
        raise DataError(f"Covariate {one} of {name} holds no value.")
    return known


def held(x: pd.DataFrame, cutoff: pd.Period) -> pd.DataFrame:
    """Covariates (T' × k) as someone at this cutoff who assumes no change would write them down."""
    return x.where(np.asarray(x.index <= cutoff)[:, None]).ffill()

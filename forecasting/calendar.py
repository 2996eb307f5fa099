"""Working days of a month, by national calendar."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd


@lru_cache(maxsize=64)
def _holidays(country: str, first: int, last: int) -> np.ndarray:
    """Public holidays of these years, as days."""
    import holidays  # the tables of all countries take a while to load

    years = range(first, last + 1)
    return np.array(sorted(holidays.country_holidays(country, years=years)), dtype="datetime64[D]")


def working_days(months: pd.PeriodIndex, country: str = "JP") -> pd.Series:
    """Monday to Friday without the public holidays of ``country`` (ISO 3166), one number a month.

    Of 23 weekdays in May 2024 the 3rd and the 6th were holidays:
    >>> working_days(pd.period_range("2024-05", "2024-05", freq="M")).tolist()
    [21.0]
    """
    closed = _holidays(country, months.min().year, months.max().year)
    begin = months.to_timestamp().to_numpy().astype("datetime64[D]")
    end = (months + 1).to_timestamp().to_numpy().astype("datetime64[D]")
    return pd.Series(np.busday_count(begin, end, holidays=closed).astype(float), index=months, name="working_days")

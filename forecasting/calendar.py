"""Working days of a month, by national calendar."""

from __future__ import annotations

import numpy as np
import pandas as pd


def working_days(months: pd.PeriodIndex, country: str = "JP") -> pd.Series:
    """Monday to Friday without the public holidays of ``country`` (ISO 3166), one number a month.

    Of 23 weekdays in May 2024 the 3rd and the 6th were holidays:
    >>> working_days(pd.period_range("2024-05", "2024-05", freq="M")).tolist()
    [21.0]
    """
    import holidays  # the tables of all countries take a while to load

    years = range(months.min().year, months.max().year + 1)
    closed = np.array(sorted(holidays.country_holidays(country, years=years)), dtype="datetime64[D]")
    begin = months.to_timestamp().to_numpy().astype("datetime64[D]")
    end = (months + 1).to_timestamp().to_numpy().astype("datetime64[D]")
    return pd.Series(np.busday_count(begin, end, holidays=closed).astype(float), index=months, name="working_days")

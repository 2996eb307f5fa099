"""What may be seen at a cutoff: a T × n table of months by series, and covariates."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from forecasting import notebook
from forecasting.errors import DataError

ENDED_MONTHS = 36  # a series that is silent for longer has ended; a ragged edge is some months


def _no_covariates() -> pd.DataFrame:
    return pd.DataFrame(index=pd.PeriodIndex([], freq="M"))


@dataclass(frozen=True)
class Panel:
    """Months × series (T × n) as known, NaN = not published; covariates x (T' × k) may reach further.

    Months are contiguous. A series may begin later, end earlier (a ragged edge) or have holes.
    """

    y: pd.DataFrame
    x: pd.DataFrame = field(default_factory=_no_covariates)

    def __post_init__(self) -> None:
        for name, table in (("y", self.y), ("x", self.x)):
            index = table.index
            if not isinstance(index, pd.PeriodIndex) or index.freqstr != "M":
                raise DataError(f"A panel's {name} is indexed by months; found {type(index).__name__}.")
            if len(index) and len(index) != (index[-1] - index[0]).n + 1:
                raise DataError(f"A panel's {name} has months out of order or left out: reindex it first.")
        values = self.y.to_numpy(dtype=float)
        known = ~np.isnan(values)
        if self.y.empty or not known.any(axis=0).all():
            empty = [str(one) for one in self.y.columns[~known.any(axis=0)]]
            raise DataError(f"No value is known for {', '.join(empty) or 'any series'} in these months.")
        if np.isinf(values).any():
            raise DataError("A panel holds an infinite value: only finite values and NaN are allowed.")

    @property
    def series(self) -> tuple[str, ...]:
        return tuple(str(one) for one in self.y.columns)

    @property
    def months(self) -> pd.PeriodIndex:
        return self.y.index  # type: ignore[return-value]

    @property
    def cutoff(self) -> pd.Period:
        """The last month that is known for any series."""
        return self.months[-1]

    def last_known(self) -> pd.Series:
        """The last known month of each series (n)."""
        known = ~np.isnan(self.y.to_numpy(dtype=float))
        return pd.Series(self.y.index[len(known) - 1 - known[::-1].argmax(axis=0)], index=self.y.columns)

    def ended(self) -> tuple[str, ...]:
        """Series whose last value is more than ``ENDED_MONTHS`` older than the panel's last month."""
        quiet = np.isnan(self.y.to_numpy(dtype=float)[-ENDED_MONTHS - 1 :]).all(axis=0)
        return tuple(str(one) for one in self.y.columns[quiet]) if quiet.any() else ()

    def until(self, month: pd.Period) -> Panel:
        """The panel as a forecaster at this cutoff may see it; covariates are cut as well."""
        if month < self.months[0]:
            raise DataError(f"Nothing is known at {month}: the data begin in {self.months[0]}.")
        known = self.y.loc[:month]
        return replace(self, y=known.loc[:, known.notna().any()], x=self.x.loc[:month])

    def select(self, series: Iterable[str]) -> Panel:
        """Only these series, over the months in which any of them is known."""
        part = self.y[list(series)]
        known = part.notna().any(axis=1)
        return replace(self, y=part.loc[known.idxmax() : known[::-1].idxmax()])

    def future(self, last: pd.Period) -> pd.DataFrame:
        """Rows to be forecast: months after the first cutoff of any series up to ``last``, with what x says of them.

        With a ragged edge the rows begin before ``cutoff``; cells already known stay as they are.
        """
        first = min(self.last_known()) + 1
        if last < first:
            raise DataError(f"Nothing to forecast: the data already reach {last}.")
        return self.x.reindex(pd.period_range(first, last, freq="M"))

    def _repr_html_(self) -> str:
        """For notebooks: what is known of each series, and where."""
        known = self.y.notna()
        rows = (
            (one, known.index[known[one]][0], known.index[known[one]][-1], int(known[one].sum()))
            for one in self.y.columns
        )
        return notebook.block(
            f"Panel of {len(self.months)} months × {len(self.series)} series, until {self.cutoff}",
            notebook.table(("series", "first", "last", "months known"), rows, words=3),
            note=f"Covariates: {', '.join(map(str, self.x.columns)) or 'none'}.",
        )

    def digest(self) -> str:
        """Hash of every month, name and value: the data vintage."""
        sha = hashlib.sha256()
        for table in (self.y, self.x):
            sha.update("|".join(map(str, table.columns)).encode())
            sha.update(f"|{table.index[0] if len(table) else ''}|{table.shape}".encode())
            sha.update(np.ascontiguousarray(table.to_numpy(dtype="<f8")).tobytes())
        return sha.hexdigest()

"""After calibration and coupling: identities hold on every path, made so in the one order that keeps them all."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from forecasting.forecast import Forecast
from forecasting.hierarchy import fit_below, reconcile
from forecasting.plan import Plan
from forecasting.prices import hold_prices, tie_prices


def coherent(core: Forecast | None, below: Forecast | None, chosen: Plan) -> Forecast:
    """All that was modelled: values are quantity × unit price, parts add up, published cells stay.

    Tie prices, reconcile the core, let quantities follow; then the same beneath it, with the core held. A core series
    that is not there leaves out its own sums; prices are left out of what is returned.
    """
    under = tie_prices(below, chosen.pairs) if below else None
    if core is None:
        assert under is not None
        return hold_prices(under, chosen.pairs)
    summed = reconcile(tie_prices(core, chosen.pairs), chosen.core_tree.among(core.series))
    above = hold_prices(summed, chosen.pairs)
    if under is None:
        return above
    fitted = [fit_below(above, under, chosen.listed_tree)] if chosen.listed_tree.parts else []
    return hold_prices(_overlaid([under, *fitted, above]), chosen.pairs)


def _overlaid(pieces: list[Forecast]) -> Forecast:
    """Forecasts over the same months as one; a series in several of them is that of the last."""
    last = {series: one for one in pieces for series in one.series}
    return replace(
        pieces[-1],
        paths=np.stack([one.column(series) for series, one in last.items()], axis=2),
        series=tuple(last),
        cutoff=tuple(one.cutoff[one.series.index(series)] for series, one in last.items()),
        notes={series: note for one in pieces for series, note in one.notes.items()},
    )

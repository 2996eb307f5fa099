"""Forecasts from past cutoffs finished as a live one is: calibrated, coupled and made coherent.

What a fold learns from is what a live forecast would: earlier folds, as many and as far apart, and the months that
were known at its cutoff.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from forecasting import pipeline
from forecasting.backtest_folds import Fold
from forecasting.calibration import SHORT_MONTHS
from forecasting.coherence import coherent
from forecasting.experiment import side_by_side
from forecasting.forecast import Forecast
from forecasting.plan import Plan


def through_the_chain(folds: Sequence[Fold], made: Sequence[Forecast | None], at: int, seed: int) -> Forecast:
    """What a model ``made`` (by fold) of fold ``at``, through the whole chain, as `tradecast forecast` does it."""
    fold = folds[at]
    core = _calibrated(folds, made, at, fold.core, seed)
    families = [fold.plan.modelled(one) for one in fold.plan.families] if fold.below else []
    found = [one for family in families if (one := _calibrated(folds, made, at, family, seed))]
    below = side_by_side(found) if found else None
    if core and below and (len(core.series) < len(fold.core) or len(below.series) < len(fold.below)):
        below = None  # something failed, so that what lies below the core cannot be shared out
    return coherent(core, below, fold.plan)


def _calibrated(
    folds: Sequence[Fold], made: Sequence[Forecast | None], at: int, group: tuple[str, ...], seed: int
) -> Forecast | None:
    final = made[at]
    assert final is not None
    series = tuple(one for one in group if one in final.series)
    if not series:
        return None
    earlier = list(past(folds, made, at, series))
    ready, _ = pipeline.after_the_model(final.select(series), earlier, folds[at].plan.learned, seed)
    return ready


def past(
    folds: Sequence[Fold], made: Sequence[Forecast | None], at: int, series: tuple[str, ...]
) -> Iterator[Forecast]:
    """Earlier forecasts to learn from, latest first, as far apart and as many as a live forecast takes.

    Their truth is looked up in the months known at fold ``at``. What is left of a parent is learned from only where
    it was left by the same parts.
    """
    here = folds[at]
    months = here.plan.learned[list(series)].notna().sum()
    short = {one: months[one] < SHORT_MONTHS for one in series}
    live = pipeline.backs_of_kinds(len(series), len(here.future))
    taken: dict[str, list[pd.Period]] = {one: [] for one in series}
    for then in range(at - 1, -1, -1):
        earlier, cutoff = made[then], folds[then].cutoff
        if earlier is None:
            continue
        usable = []
        for one in set(series) & set(earlier.series):
            backs = live[0] if short[one] else live[1]
            last = taken[one][-1] if taken[one] else here.cutoff
            due = len(taken[one]) < len(backs) and (last - cutoff).n >= backs[0]
            if due and _meaning(here.plan, one) == _meaning(folds[then].plan, one):
                taken[one].append(cutoff)
                usable.append(one)
        if usable:
            yield earlier.select(tuple(sorted(usable)))


def _meaning(chosen: Plan, series: str) -> tuple[str, ...]:
    """The parts that a remainder is left by; nothing for a series of its own."""
    for tree in (chosen.core_tree, chosen.listed_tree):
        if series.endswith(tree.suffix):
            return tree.parts.get(tree.parent_of(series), ())
    return ()

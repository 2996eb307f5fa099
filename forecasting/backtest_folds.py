"""The folds of a backtest: at each past cutoff what is seen, what is modelled and what is scored.

Everything that can be wrong with cutoffs and histories is said here, before anything is fitted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pandas as pd

from forecasting.backtest_truth import scales_of
from forecasting.catalogue import Catalogue
from forecasting.covariates import held
from forecasting.errors import DataError
from forecasting.experiment import PanelAt
from forecasting.experiments_file import Cutoffs, Experiment
from forecasting.panel import Panel
from forecasting.plan import Plan, plan
from forecasting.tables import closure


@dataclass(frozen=True)
class Data:
    """What a backtest may use: ``panel_at`` is all that a model sees, ``y`` (T × n) is the truth it is held against.

    ``x`` (T' × k) holds covariates that are taken as known beyond a cutoff.
    """

    panel_at: PanelAt
    y: pd.DataFrame
    x: pd.DataFrame
    catalogue: Catalogue
    digest: str
    source: str = "official figures"

    @classmethod
    def latest(cls, panel: Panel, catalogue: Catalogue, source: str = "official figures") -> Data:
        """Figures as they stand today, cut short at each cutoff."""
        return cls(panel.until, panel.y, panel.x, catalogue, panel.digest(), source)

    @property
    def end(self) -> pd.Period:
        """The last month of which any truth is known."""
        return pd.Period(self.y.index[-1], "M")


@dataclass(frozen=True)
class Fold:
    """One cutoff: what is seen, what is modelled (``wanted``), what is scored (``shown``; none while warming up).

    ``scale`` has rows (series, kind) and columns scale, scale_sq: mean changes on a year earlier known at the cutoff.
    """

    cutoff: pd.Period
    plan: Plan
    core: tuple[str, ...]
    below: tuple[str, ...]
    shown: tuple[str, ...]
    future: pd.DataFrame
    scale: pd.DataFrame

    @property
    def wanted(self) -> tuple[str, ...]:
        return (*self.core, *self.below)


def folds_of(experiment: Experiment, data: Data) -> tuple[Fold, ...]:
    """Folds by cutoff; DataError for impossible cutoffs and for too short a history."""
    needed = max(one.forecaster.min_months for one in experiment.contenders)
    slowest = max(experiment.contenders, key=lambda one: one.forecaster.min_months).label
    if experiment.window is not None and experiment.window < needed:
        raise DataError(
            f"{experiment.name}: window is {experiment.window} months, but {slowest} needs {needed}: widen it."
        )
    for block in experiment.cutoffs:
        _check_cutoffs(experiment.name, block, data)
    folds = tuple(_folds(experiment, data, needed))
    for block in experiment.cutoffs:
        _check_history(experiment.name, block, data, folds, slowest, needed)
    return folds


def _check_cutoffs(name: str, block: Cutoffs, data: Data) -> None:
    months, begin = block.months(data.end), data.y.index[0]
    data.catalogue.select(block.series)
    if not months:
        raise DataError(f"{name}: cutoffs would begin in {block.first}, but the data end in {data.end}: begin earlier.")
    if months[-1] >= data.end:
        raise DataError(
            f"{name}: cutoff {next(one for one in months if one >= data.end)} leaves no published month to compare:"
            f" the data end in {data.end}, so the last possible cutoff is {data.end - 1}."
        )
    if months[0] < begin:
        raise DataError(f"{name}: cutoff {months[0]} lies before the data, which begin in {begin}: begin later.")


def _check_history(name: str, block: Cutoffs, data: Data, folds: Sequence[Fold], slowest: str, needed: int) -> None:
    """The first cutoff of every block has something to show for itself."""
    first, series = block.months(data.end)[0], set(data.catalogue.select(block.series))
    if any(fold.cutoff == first and series & set(fold.shown) for fold in folds):
        return
    possible = next((fold.cutoff for fold in folds if fold.cutoff > first and series & set(fold.shown)), None)
    advice = f"begin in {possible}" if possible else "begin later, or leave out the models that need most"
    raise DataError(
        f"{name}: at cutoff {first} none of {', '.join(block.series)} has the {needed} months that {slowest} needs:"
        f" {advice}."
    )


def _folds(experiment: Experiment, data: Data, needed: int) -> Iterator[Fold]:
    """Folds by cutoff; cutoffs before the first only teach the calibration. One plan serves all models.

    A series enters at the first cutoff at which every model has its months, so that all are ranked on the same folds.
    """
    scored: dict[pd.Period, set[str]] = {}
    warming: dict[pd.Period, set[str]] = {}
    for block in experiment.cutoffs:
        series = data.catalogue.select(block.series)
        for cutoffs, into in ((block.months(data.end), scored), (block.before(experiment.warm_up), warming)):
            for cutoff in cutoffs:
                into.setdefault(cutoff, set()).update(series)
    for cutoff in sorted({*scored, *warming}):
        if cutoff < data.y.index[0]:
            continue
        shown = scored.get(cutoff, set())
        fold = _fold(experiment, data, cutoff, shown, shown | warming.get(cutoff, set()), needed)
        if fold is not None:
            yield fold


def _fold(
    experiment: Experiment, data: Data, cutoff: pd.Period, shown: set[str], asked: set[str], needed: int
) -> Fold | None:
    seen, catalogue = data.panel_at(cutoff), data.catalogue
    months = seen.y.notna().sum()
    enough = set(months.index[months >= needed])
    possible = tuple(one for one in catalogue if one in asked and set(closure([one], catalogue)) <= enough)
    if not possible:
        return None
    chosen = plan(Panel(seen.y), catalogue, possible, needed, experiment.name)
    core, below = _modelled(chosen, catalogue, possible, experiment.calibrate)
    x = held(data.x, cutoff) if experiment.hold_covariates else data.x
    future = Panel(chosen.learned, x).future(experiment.last(cutoff))
    shown_now = tuple(one for one in possible if one in shown)
    return Fold(cutoff, chosen, core, below, shown_now, future, scales_of(chosen.y, catalogue, shown_now))


def _modelled(
    chosen: Plan, catalogue: Catalogue, series: Sequence[str], calibrate: bool
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Series to fit: in the core and below it. Models as they are: only what is shown or what that is made of."""
    direct = [part for one in series for part in ((one,) if one in chosen.y else closure([one], catalogue))]
    if not calibrate:
        return tuple(dict.fromkeys(direct)), ()
    if chosen.below:
        return chosen.modelled(chosen.core), chosen.modelled(chosen.below)
    sums = [{parent, *parts} for parent, parts in chosen.core_tree.parts.items()]
    laws = [*sums, *({one.value, one.quantity} for one in chosen.pairs)]
    tied = set(direct)
    while more := {one for law in laws if tied & law for one in law} - tied:
        tied |= more
    return chosen.modelled([one for one in chosen.core if one in tied]), ()

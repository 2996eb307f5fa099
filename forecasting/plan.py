"""Which series a forecast has to model so that what is shown adds up, whatever else was asked for."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import CatalogueError, DataError
from forecasting.hierarchy import Tree, core_tree, listed_tree, with_rests
from forecasting.observations import with_derived
from forecasting.panel import ENDED_MONTHS, Panel
from forecasting.prices import Pair, months_traded, pairs_of, with_prices
from forecasting.tables import closure


@dataclass(frozen=True)
class Plan:
    """``core`` is modelled and reconciled first; ``families`` beneath it only where something of them is shown.

    A family is what one sum ties together, and what has no sum: it is calibrated and coupled by itself.

    ``y`` (T × n) holds every series that is traded or summed; ``shown`` is what the user sees. ``pairs`` are the values
    that are tied to a quantity by a unit price, which is modelled as well. The numbers of a series never depend on what
    else is shown.
    """

    shown: tuple[str, ...]
    core: tuple[str, ...]
    families: tuple[tuple[str, ...], ...]
    core_tree: Tree
    listed_tree: Tree
    pairs: tuple[Pair, ...]
    y: pd.DataFrame
    remarks: tuple[str, ...]

    @property
    def below(self) -> tuple[str, ...]:
        """All that is modelled outside the core."""
        return tuple(one for family in self.families for one in family)

    @property
    def learned(self) -> pd.DataFrame:
        """What models may learn from (T × n): ``y`` and the unit prices."""
        return with_prices(self.y, self.pairs)

    def modelled(self, series: Sequence[str]) -> tuple[str, ...]:
        """These series and the unit prices that are forecast along with them."""
        return (*series, *(one.price for one in self.pairs if {one.value, one.quantity} <= set(series)))


def plan(
    panel: Panel, catalogue: Catalogue, patterns: Sequence[str], min_months: int, model: str,
    only: Collection[str] | None = None, besides: Collection[str] = (),
) -> Plan:  # fmt: skip
    """Choose series for these patterns (none: the headline ones, or all of data without any), ``only`` among these.

    Stored series of ``besides`` are modelled too, but not shown.
    """
    ended = set(panel.ended())
    stored = tuple(one for one in panel.series if panel.y[one].notna().sum() >= min_months and one not in ended)
    derivable = tuple(one for one in catalogue if catalogue[one].core and set(closure([one], catalogue)) <= set(stored))
    cores = core_tree(catalogue, derivable)
    listed = listed_tree(catalogue, stored)
    y = with_rests(with_rests(with_derived(panel.y, catalogue, derivable), cores), listed)
    asked, exact = chosen(panel, catalogue, patterns)
    if only is not None:
        asked, exact, besides = (tuple(one for one in of if one in only) for of in (asked, exact, besides))
    if short := [one for one in besides if one not in stored]:
        raise _too_short(panel, catalogue, short[0], min_months, model)
    shown, remarks = _long_enough(panel, catalogue, asked, exact, stored, min_months, model) if asked else ((), [])
    needed = closure((*shown, *besides), catalogue)
    core = tuple(dict.fromkeys((*derivable, *cores.nodes)))
    outside = [one for one in needed if one not in core]
    in_tree = [one for one in outside if one in listed.nodes]
    loose = [one for one in outside if one not in listed.nodes]
    below = (
        *(one for one in listed.bottom if one not in core),
        *_every_loose(stored, core, listed, loose, catalogue),
    )
    root = _roots(below, listed, pairs_of(catalogue, below))
    roots = list(dict.fromkeys(root(one) for one in below if root(one) in {root(other) for other in outside}))
    families = tuple(tuple(dict.fromkeys(one for one in below if root(one) == of)) for of in roots)
    shown_tree = Tree({whole: parts for whole, parts in listed.parts.items() if root(whole) in roots}, listed.suffix)
    tied = [(core, cores), (below, listed)]
    learned = y[[one for one in y.columns if y[one].notna().sum() >= min_months and one not in ended]]
    _refuse_far_apart(learned)
    return Plan(
        shown,
        core if any(one in core for one in needed) or in_tree else (),
        families,
        cores,
        shown_tree,
        tuple(pair for series, sums in tied for pair in _pairs(y, catalogue, series, sums, min_months)),
        learned,
        tuple(remarks),
    )


def _refuse_far_apart(y: pd.DataFrame) -> None:
    """The months forecast begin where the first series ends: by then all others must have begun."""
    known = {one: y.index[y[one].notna()] for one in y.columns}
    ended, late = min(known, key=lambda one: known[one][-1]), max(known, key=lambda one: known[one][0])
    if known[late][0] > known[ended][-1] + 1:
        raise DataError(
            f"{ended} ends in {known[ended][-1]}, before {late} begins in {known[late][0]}: forecast them from files of"
            " their own."
        )


def _roots(below: Sequence[str], listed: Tree, pairs: Sequence[Pair]) -> Callable[[str], str]:
    """The whole at the top of a series' family; that of its value for a quantity in no sum, nothing for all others."""
    values = {one.quantity: one.value for one in pairs}

    def root(one: str) -> str:
        if one in listed.nodes:
            whole = listed.parent_of(one)
            return root(whole) if whole else one
        return root(values[one]) if one in values else ""

    return root


def _pairs(
    y: pd.DataFrame, catalogue: Catalogue, series: tuple[str, ...], sums: Tree, min_months: int
) -> tuple[Pair, ...]:
    """Pairs among these series with prices enough; a quantity that is part of a sum cannot follow its value."""
    free = [one for one in pairs_of(catalogue, series) if one.quantity not in sums.nodes]
    return tuple(one for one in free if months_traded(y, one) >= min_months)


def _every_loose(
    stored: tuple[str, ...], core: tuple[str, ...], listed: Tree, loose: list[str], catalogue: Catalogue
) -> tuple[str, ...]:
    """Series outside every sum: all that the catalogue describes, so that no choice of theirs changes a number.

    Of a user's own file only the ones asked for are modelled: there may be thousands.
    """
    described = [one for one in stored if catalogue[one].publisher and one not in core and one not in listed.nodes]
    return tuple(dict.fromkeys([*described, *loose]))


def chosen(panel: Panel, catalogue: Catalogue, patterns: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Series that these patterns mean, and those of them that are named in full."""
    if patterns:
        asked = catalogue.select(patterns)
        return asked, tuple(one for one in asked if one in patterns)
    headline = [one for one in catalogue if catalogue[one].headline]
    if not headline:
        return panel.series, ()
    shown = [one for one in headline if set(closure([one], catalogue)) <= set(panel.series)]
    return (*shown, *(one for one in panel.series if not catalogue[one].publisher)), ()


def _long_enough(
    panel: Panel,
    catalogue: Catalogue,
    shown: tuple[str, ...],
    exact: tuple[str, ...],
    stored: tuple[str, ...],
    min_months: int,
    model: str,
) -> tuple[tuple[str, ...], list[str]]:
    short = [one for one in shown if not set(closure([one], catalogue)) <= set(stored)]
    for one in exact:
        if one in short:
            raise _too_short(panel, catalogue, one, min_months, model)
    left = tuple(one for one in shown if one not in short)
    if not left:
        raise _too_short(panel, catalogue, short[0], min_months, model)
    silent = set(panel.ended())
    ended = [one for one in short if set(closure([one], catalogue)) & silent]
    few = [one for one in short if one not in ended]
    remarks = [f"Left out, because {model} needs {min_months} months: {', '.join(few)}."] if few else []
    if ended:
        said = f"Left out, because they end more than {ENDED_MONTHS} months before the data do ({panel.cutoff})"
        remarks.append(f"{said}: {', '.join(ended)}.")
    return left, remarks


def _too_short(panel: Panel, catalogue: Catalogue, series: str, min_months: int, model: str) -> Exception:
    for term in closure([series], catalogue):
        if term not in panel.series:
            flow = "_" in term.partition(".")[0]
            why = "" if flow else " Prices, rates and visitors are not forecast: they serve as covariates."
            return CatalogueError(
                f"{series} is in the catalogue, but these data hold no value of {term} up to {panel.cutoff}.{why}"
            )
        if term in panel.ended():
            end = panel.months[np.flatnonzero(panel.y[term].notna())[-1]]
            return DataError(
                f"{term} ends in {end}, more than {ENDED_MONTHS} months before the data do"
                f" ({panel.cutoff}): leave it out, or forecast it from a file of its own."
            )
        known = int(panel.y[term].notna().sum())
        if known < min_months:
            advice = "give more history" + (
                " or a simpler model (--model seasonal_naive needs 13, naive 3)" if min_months > 13 else ""
            )
            return DataError(
                f"{model} needs {min_months} months of {term}; {known} are known up to {panel.cutoff}: {advice}."
            )
    return DataError(f"{series} cannot be forecast from these data.")

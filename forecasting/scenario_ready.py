"""A scenario held against the data: targets that exist, months ahead, units that fit, assumptions that do not fight."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import CatalogueError, DataError
from forecasting.relations import Relations
from forecasting.scenario import (
    ABSOLUTE,
    AS_LISTED,
    COVARIATE_KINDS,
    FACTORS,
    Assumption,
    Reroute,
    Scenario,
)
from forecasting.toml_table import nearest
from forecasting.units import conversion

ENDLESS = pd.Period("9999-12", freq="M")


@dataclass(frozen=True)
class Ready:
    """A scenario whose targets exist, and what there is to say of it."""

    scenario: Scenario
    series: tuple[str, ...]


def ready(
    scenario: Scenario, catalogue: Catalogue, last: Mapping[str, pd.Period], covariates: Collection[str] = ()
) -> Ready:
    """The scenario held against the catalogue, the last published month of each stored series, and covariate names."""
    relations = _relations(catalogue, last)
    made, series = [], dict[str, None]()
    acts: list[_Act] = []
    for at, one in enumerate(scenario.assumptions, start=1):
        where = f"{scenario.name}, assumption {at} ({one.label})"
        settled = _settled(one, catalogue, covariates, where)
        found = tuple(name for pattern in _patterns(settled) for name in _targets(pattern, settled, relations, where))
        _check_apart(settled, found, relations, where)
        _check_start(settled, found, relations, last, where)
        for way in settled.reroute:
            _check_reroute(way, settled, found, relations, last, where)
            series[way.to] = None
        made.append(settled)
        acts.append(_act(settled, found, relations))
        series.update(dict.fromkeys(found))
    if not scenario.ordered:
        _check_order(scenario.name, acts)
    return Ready(replace(scenario, assumptions=tuple(made)), tuple(series))


def _relations(catalogue: Catalogue, last: Mapping[str, pd.Period]) -> Relations:
    """Who is part of whom among all that is published or can be computed from it."""
    computed = (one for one in catalogue if one not in last and _leaves(one, catalogue) <= last.keys())
    return Relations(catalogue, (*last, *computed))


def _settled(one: Assumption, catalogue: Catalogue, covariates: Collection[str], where: str) -> Assumption:
    """The assumption with its target known as series or covariate."""
    if one.pass_through:
        if one.target in catalogue:
            raise DataError(f"{where}: {one.target} is a series, and pass_through belongs to covariates: use reroute.")
        if one.kind != "scale" and one.target not in covariates:
            raise DataError(
                f"{where}: {one.kind} of {one.target} starts from its own level: give --covariates with such a column,"
                " or use kind scale."
            )
        return one
    if one.target in covariates and one.target not in catalogue:
        if one.kind not in COVARIATE_KINDS or one.reroute:
            raise DataError(f"{where}: a covariate takes {', '.join(COVARIATE_KINDS)}, without reroute.")
        return replace(one, covariate=True)
    try:
        catalogue.select([one.target])
    except CatalogueError as error:
        near = nearest(one.target, covariates) if covariates else ""
        said = f" Covariates given: {', '.join(covariates)}{near}." if covariates else ""
        raise DataError(
            f"{where}: {error}{said} A covariate needs --covariates with such a column, or [[assumption.pass_through]]."
        ) from error
    return one


def _patterns(one: Assumption) -> tuple[str, ...]:
    return tuple(through.target for through in one.pass_through) if one.covariate else (one.target,)


def _targets(pattern: str, one: Assumption, relations: Relations, where: str) -> tuple[str, ...]:
    catalogue = relations.catalogue
    try:
        found = catalogue.select([pattern])
    except CatalogueError as error:
        raise DataError(f"{where}: {error}") from error
    there = tuple(name for name in found if relations.holds(name))
    if not there:
        raise DataError(f"{where}: {found[0]} is in the catalogue, but these data hold no value of it.")
    top = relations.topmost(there)
    if not top:
        raise DataError(f"{where}: {there[0]} is a difference: name {' or '.join(catalogue[there[0]].terms)}.")
    units = dict.fromkeys(catalogue[name].unit for name in there if relations.assumable(name))
    if one.kind in ABSOLUTE and not one.covariate and len(units) > 1:
        raise DataError(
            f"{where}: {one.kind} is in the unit of its target, and {pattern} names series in {', '.join(units)}:"
            " name one."
        )
    return top


def _leaves(series: str, catalogue: Catalogue) -> set[str]:
    entry = catalogue[series]
    return {leaf for one in entry.terms for leaf in _leaves(one, catalogue)} if entry.derived else {series}


def _check_apart(one: Assumption, targets: tuple[str, ...], relations: Relations, where: str) -> None:
    """Nothing is moved twice by one assumption."""
    owner: dict[str, int] = {}
    for at, target in enumerate(targets):
        for moved in sorted(relations.scaled(target)):
            if (other := owner.setdefault(moved, at)) != at:
                raise DataError(
                    f"{where}: {targets[other]} and {target} both move {moved}, so that it would move twice: name"
                    " series that share no part."
                )


def _check_start(
    one: Assumption, targets: tuple[str, ...], relations: Relations, last: Mapping[str, pd.Period], where: str
) -> None:
    moved = {name for target in targets for name in relations.moved(target)} if targets else set(last)
    leaves = [leaf for target in targets for leaf in _leaves(target, relations.catalogue)]
    _check_ahead(one.start, dict.fromkeys((*leaves, *sorted(moved))), last, f"{where}: start {one.start}")
    known = min((last[leaf] for leaf in leaves), default=one.start)
    if one.since is not None and one.since > known:
        raise DataError(f"{where}: since {one.since} is not published yet (figures reach {known}): name a past break.")


def _check_ahead(month: pd.Period, moved: Collection[str], last: Mapping[str, pd.Period], what: str) -> None:
    latest = max((name for name in moved if name in last), key=lambda name: last[name].ordinal)
    if month <= last[latest]:
        raise DataError(
            f"{what} is published already ({latest} reaches {last[latest]}): start later, or hide months with --as-of."
        )


def _check_reroute(
    way: Reroute,
    one: Assumption,
    targets: tuple[str, ...],
    relations: Relations,
    last: Mapping[str, pd.Period],
    where: str,
) -> None:
    catalogue = relations.catalogue
    here = f"{where}: reroute to {way.to}"
    if way.to not in catalogue:
        try:
            catalogue.select([way.to])
        except CatalogueError as error:
            raise DataError(f"{where}, reroute: {error}") from error
        raise DataError(f"{here} names a pattern: name one series.")
    entry = catalogue[way.to]
    if entry.formula not in ("", "difference") or not relations.holds(way.to) or not relations.assumable(way.to):
        raise DataError(f"{here} cannot be: name a series that is published, or other countries'.")
    for target in targets:
        if catalogue[target].formula == "ratio":
            raise DataError(f"{where}: a unit price loses nothing that could go elsewhere: leave reroute out.")
        if way.to in relations.scaled(target):
            raise DataError(f"{here} is to what {target} itself moves: name a series outside of it.")
        try:
            conversion(catalogue[target].unit, entry.unit)
        except DataError as error:
            raise DataError(f"{where}: reroute from {target} to {way.to}: {error}") from error
    arrives = one.start + way.lag
    _check_ahead(arrives, relations.moved(way.to, alone=True), last, f"{here} begins in {arrives}, which")


# --- Does the order matter -------------------------------------------------------------------------------

Span = tuple[pd.Period, pd.Period]


@dataclass(frozen=True)
class _Act:
    """An assumption by what it does: series it reads, multiplies, changes, and adds to, and in which months."""

    one: Assumption
    targets: tuple[str, ...]
    reads: frozenset[str]
    multiplies: frozenset[str]
    changes: frozenset[str]
    adds: frozenset[str]
    raises: frozenset[str]
    prices: frozenset[str]
    looks: tuple[Span, ...]
    works: Span
    arrives: Span


def _act(one: Assumption, targets: tuple[str, ...], relations: Relations) -> _Act:
    # A factor is the same whatever the level, unless the loss is sent elsewhere.
    factor = (one.kind in FACTORS or bool(one.pass_through)) and not one.reroute
    last = one.end + one.recovery if one.end is not None else ENDLESS
    lags = [through.lag for through in one.pass_through] or [0]
    adds = frozenset(way.to for way in one.reroute)
    delays = [way.lag for way in one.reroute] or [0]
    changes: frozenset[str] = frozenset().union(*(relations.moved(target) for target in targets))
    multiplies: frozenset[str] = frozenset().union(*(relations.scaled(target) for target in targets))
    if one.covariate and not one.pass_through:  # whatever the models make of it
        changes = multiplies = frozenset(relations.catalogue)
    own = frozenset({one.target} if one.covariate else ())
    reads = (own if one.kind != "scale" else frozenset()) if one.covariate else frozenset(() if factor else targets)
    return _Act(
        one=one,
        targets=targets,
        reads=reads,
        multiplies=multiplies,
        changes=changes | own,
        adds=adds,
        raises=frozenset().union(*(relations.moved(to, alone=True) for to in adds)),
        prices=frozenset(relations.partner(way.to) for way in one.reroute if not way.at_origin),
        looks=((one.start, last), *([(one.start - 12, last - 12)] if one.kind == "growth" else [])),
        works=(one.start + min(lags), last + max(lags)),
        arrives=(one.start + min(delays), last + max(delays)),
    )


def _check_order(name: str, acts: Sequence[_Act]) -> None:
    for one, two in permutations(acts, 2):
        if (both := sorted(_disturbed(one, two))) and not _both_shift(one, two):
            series = next((at for at in both if at in (*one.targets, *two.targets)), both[0])
            first, second = sorted((one.one, two.one), key=lambda of: of.start)
            raise DataError(
                f"{name}: {first.label} and {second.label} both act on {series} from {second.start}, and their order"
                f' matters: say order = "{AS_LISTED}" at the top of the file, or keep them apart.'
            )


def _disturbed(one: _Act, two: _Act) -> frozenset[str]:
    """Series by which it matters to the first whether the second was there before."""
    seen = frozenset[str]()
    if any(_meet(span, two.works) for span in one.looks):
        seen |= one.reads & two.changes
    if any(_meet(span, two.arrives) for span in one.looks):
        seen |= one.reads & two.raises
    if _meet(one.arrives, two.works):
        seen |= one.adds & two.multiplies
        # A part of the destination that gets dearer moves the price at which the rest arrives.
        seen |= one.prices & two.changes - two.multiplies
        # What may be taken away from a destination can empty it, and nothing is less than nothing.
        seen |= frozenset() if _only_takes(one.one) else one.adds & two.changes
    if _meet(one.arrives, two.arrives) and not (_only_takes(one.one) and _only_takes(two.one)):
        seen |= one.adds & two.raises
    return seen


def _only_takes(one: Assumption) -> bool:
    """Whether it never raises its target, so that what it re-routes never leaves the series that gets it."""
    return one.kind in ("ban", "cap") or (one.kind in ("scale", "shift") and one.size.most <= 0)


def _meet(one: Span, two: Span) -> bool:
    return one[0] <= two[1] and two[0] <= one[1]


def _both_shift(one: _Act, two: _Act) -> bool:
    """Shifts of one series in one direction simply add up."""
    if not (one.one.kind == two.one.kind == "shift" and one.targets == two.targets) or one.adds or two.adds:
        return False
    sizes = (one.one.size, two.one.size)
    return not one.one.covariate and (all(of.least >= 0 for of in sizes) or all(of.most <= 0 for of in sizes))

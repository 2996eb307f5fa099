"""Sums within a partition: parts that their rows give a parent are forecast one by one, then tied on every path.

What the parts leave of their parent is a series of its own, with a forecast of its own, and is not shown. A sum that
the published figures do not obey is left alone and said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd
from scipy import stats

from forecasting.calibration import couple
from forecasting.experiment import side_by_side
from forecasting.forecast import Forecast
from forecasting.hierarchy import LISTED_REST, Tree, reconcile
from forecasting.lessons import Answer, Lessons, Study, ask, calibrated

EXCESS = 0.01
"""Share of their parent's mean by which parts may exceed it: revisions reach totals and parts on different days."""
DIGITS = 6
CHANGES = 120
"""Months whose twelve-month changes say how series move together."""


@dataclass(frozen=True)
class Hierarchy:
    """The sums that hold at a cutoff: ``y`` (T × n) has a column more for what the parts of a parent leave.

    ``untied`` says of each other parent why its parts are not tied to it.
    """

    y: pd.DataFrame
    tree: Tree = field(default_factory=lambda: Tree({}, LISTED_REST))
    untied: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Told:
    """Calibrated forecasts, each with its cutoff, and why series have none.

    ``tied`` are the parents that are the sum of their parts from every cutoff, with the share of them that is not
    listed (of the last twelve months); ``untied`` says why others are not.
    """

    forecasts: list[tuple[pd.Period, Forecast]]
    failures: dict[str, str]
    tied: dict[str, float]
    untied: dict[str, str]


def tell(
    study: Study, y: pd.DataFrame, parents: Mapping[str, str], units: Mapping[str, str], lessons: Lessons,
    seconds: float | None,
) -> Told:  # fmt: skip
    """Forecasts of these series (T × n) from the cutoff of every lesson; parts that ``parents`` names add up.

    ``seconds`` is what one model may take for one forecast of one series.
    """
    of = {one.cutoff: one for one in lessons.at}
    forecasts: list[tuple[pd.Period, Forecast]] = []
    failures: dict[str, str] = {}
    not_listed: dict[str, float] = {}
    untied: dict[str, dict[pd.Period, str]] = {}
    for hierarchy, cutoffs in hierarchies(study, y, parents, units, list(of)):
        until = {one: study.last(one) for one in cutoffs}
        answer = ask(study, hierarchy.y, until, lessons.trees, seconds)
        failures = {**answer.failures, **failures}
        not_listed = {**_not_listed(hierarchy, max(cutoffs)), **not_listed}
        for parent, why in hierarchy.untied.items():
            untied.setdefault(parent, {}).update(dict.fromkeys(cutoffs, why))
        for (cutoff, _), made in _by_origin(answer).items():
            ready = [calibrated(one, of[cutoff], hierarchy.y) for one in made]
            joint, broken = tied(ready, hierarchy, cutoff, study.seed)
            forecasts += [(cutoff, one) for one in joint]
            for parent, why in broken.items():
                untied.setdefault(parent, {})[cutoff] = why
    named = {one: why for one, why in failures.items() if one in y}
    why_not = {parent: _most(whys, len(of)) for parent, whys in sorted(untied.items())}
    return Told(forecasts, named, {one: share for one, share in not_listed.items() if one not in why_not}, why_not)


def _not_listed(hierarchy: Hierarchy, cutoff: pd.Period) -> dict[str, float]:
    """By tied parent what its parts leave of the last twelve months (0 to 1)."""
    found = {}
    for parent, parts in hierarchy.tree.parts.items():
        both = hierarchy.y.loc[:cutoff, [parts[-1], parent]].dropna().iloc[-12:].sum()
        rest = both.iloc[0] / both.iloc[1] if parts[-1].endswith(LISTED_REST) and both.iloc[1] else 0.0
        found[parent] = round(float(rest), 4)
    return found


def _by_origin(answer: Answer) -> dict[tuple[pd.Period, str], list[Forecast]]:
    """Forecasts by cutoff and contender, whatever the last months of their series."""
    found: dict[tuple[pd.Period, str], list[Forecast]] = {}
    for (cutoff, label, _), made in answer.forecasts.items():
        found.setdefault((cutoff, label), []).append(made)
    return found


def _most(whys: Mapping[pd.Period, str], cutoffs: int) -> str:
    """The reason at the last cutoff that has one, and at how many there is one."""
    return whys[max(whys)] + (f" (at {len(whys)} of {cutoffs} cutoffs)" if cutoffs > 1 else "")


def roots(series: Sequence[str], parents: Mapping[str, str]) -> dict[str, str]:
    """By series the topmost of its ancestors among these series: itself where it has none; of a circle the first id."""
    there = set(series)
    found = {}
    for one in series:
        ancestors, circle = _above(one, parents)
        inside = [one, *(up for up in ancestors if up in there)]
        found[one] = min(circle) if circle and there.issuperset(circle) else inside[-1]
    return found


def _above(series: str, parents: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Its ancestors, nearest first, and of these the ones that are ancestors of themselves."""
    seen = [series]
    while up := parents.get(seen[-1], ""):
        if up in seen:
            return seen[1:], seen[seen.index(up) :]
        seen.append(up)
    return seen[1:], []


def hierarchies(
    study: Study, y: pd.DataFrame, parents: Mapping[str, str], units: Mapping[str, str], cutoffs: Sequence[pd.Period]
) -> list[tuple[Hierarchy, list[pd.Period]]]:
    """The sums among these series (T × n) by what was known at each cutoff; cutoffs with the same ones side by side."""
    if not any(one in parents for one in y.columns):
        return [(Hierarchy(y), list(cutoffs))]
    found: dict[str, tuple[Hierarchy, list[pd.Period]]] = {}
    for cutoff in cutoffs:
        hierarchy = _hierarchy_at(study, y, parents, units, cutoff)
        key = repr((sorted(hierarchy.tree.parts.items()), sorted(hierarchy.untied.items())))
        found.setdefault(key, (hierarchy, []))[1].append(cutoff)
    return list(found.values())


def _hierarchy_at(
    study: Study, y: pd.DataFrame, parents: Mapping[str, str], units: Mapping[str, str], cutoff: pd.Period
) -> Hierarchy:
    able = set(study.able(y, cutoff))
    parts, untied = _parts(set(map(str, y.columns)), parents, able)
    known = y.loc[:cutoff]
    kept: dict[str, tuple[str, ...]] = {}
    rests: dict[str, pd.Series] = {}
    for parent, below in parts.items():
        rest = parent + LISTED_REST
        if why := _no_sum(known, parent, below, units):
            untied[parent] = why
        elif (left := _left(known, parent, below)).max() <= _rounding(known[[parent, *below]]):
            kept[parent] = below
        elif why := study.why_not(left.to_frame(rest), cutoff)[rest]:
            untied[parent] = f"what its parts leave of it {why}"
        else:
            kept[parent], rests[rest] = (*below, rest), _left(y, parent, below)
    whole = pd.concat([y, pd.DataFrame(rests)], axis=1) if rests else y
    return Hierarchy(whole, Tree(kept, LISTED_REST), untied)


def _no_sum(known: pd.DataFrame, parent: str, parts: Sequence[str], units: Mapping[str, str]) -> str:
    """Why these parts cannot be tied to their parent, if they cannot."""
    strange = [part for part in parts if units.get(part, "") != units.get(parent, "")]
    if strange:
        return f"{strange[0]} has another unit"
    if parent + LISTED_REST in known:
        return f"{parent + LISTED_REST} is the id of another series"
    if (known[[parent, *parts]].to_numpy() < 0).any():
        return "it or a part of it has values below zero"
    over = (known[list(parts)].sum(axis=1) - known[parent]).dropna()
    size = float(known[parent].mean())
    if len(over) and over.max() > max(EXCESS * size, _rounding(known[[parent, *parts]])):
        return f"its parts exceed it by {100 * over.max() / max(size, 1e-12):,.0f} % of its mean in {over.idxmax()}"
    return ""


def _left(y: pd.DataFrame, parent: str, parts: Sequence[str]) -> pd.Series:
    """What the parts leave of their parent (T), from the month when all have begun until one of them is not known yet.

    A month that is missing between others counts as nothing; a part that exceeds its parent by rounding leaves nothing.
    """
    known = [np.flatnonzero(column) for column in y[list(parts)].notna().to_numpy().T]
    first, last = max(one[0] for one in known), min(one[-1] for one in known)
    left = (y[parent] - y[list(parts)].sum(axis=1)).clip(lower=0.0)
    return left.where((np.arange(len(y)) >= first) & (np.arange(len(y)) <= last))


def _parts(
    series: set[str], parents: Mapping[str, str], able: set[str]
) -> tuple[dict[str, tuple[str, ...]], dict[str, str]]:
    """Parts of each parent that can be forecast, below the nearest ancestor that can; what cannot have parts."""
    parts: dict[str, list[str]] = {}
    untied: dict[str, str] = {}
    for one in sorted(series):
        ancestors, circle = _above(one, parents)
        untied |= dict.fromkeys(circle, "it is a part of itself")
        untied |= {
            up: f"{one} names it, and no such series can be forecast here" for up in ancestors if up not in series
        }
        above = next((up for up in ancestors if up in able), "")
        if above and one in able:
            parts.setdefault(above, []).append(one)
    return {one: tuple(below) for one, below in parts.items() if one not in untied}, untied


def _rounding(y: pd.DataFrame) -> float:
    """What rounding alone may leave of a parent: half a unit of the last digit for it and for each part."""
    values = y.to_numpy(dtype=float)
    values = values[~np.isnan(values)]
    slack = 1e-9 * float(np.abs(values).max(initial=0.0))
    digits = next((at for at in range(DIGITS) if np.abs(values - values.round(at)).max(initial=0.0) <= slack), DIGITS)
    return float(0.5 * y.shape[1] * 10.0**-digits) + slack


# --- Tying -------------------------------------------------------------------------------------------------


def tied(
    made: Sequence[Forecast], hierarchy: Hierarchy, cutoff: pd.Period, seed: int
) -> tuple[list[Forecast], dict[str, str]]:
    """Forecasts of one model from one cutoff, coupled and tied where a sum holds; and by parent why one is not tied.

    Series that end in different months come in different forecasts; those of a sum leave in one. What the parts leave
    of a parent is not shown.
    """
    of = {series: one for one in made for series in one.series}
    known = hierarchy.y.loc[:cutoff]
    families, untied = _families(hierarchy.tree, of, known)
    joint = [_tie(_joined(tree.nodes, of, known), tree, known, seed) for tree in families]
    inside = {one for tree in families for one in tree.nodes}
    hidden = {one for parts in hierarchy.tree.parts.values() for one in parts if one.endswith(LISTED_REST)}
    loose = [one.select(tuple(series for series in one.series if series not in inside)) for one in made]
    shown = [one.select(tuple(series for series in one.series if series not in hidden)) for one in (*loose, *joint)]
    return _by_months(shown), untied


def _families(tree: Tree, of: Mapping[str, Forecast], known: pd.DataFrame) -> tuple[list[Tree], dict[str, str]]:
    """Sums that hang together, as far as all of their series were forecast; and what breaks the others."""
    parts, untied = {}, {}
    for parent, below in tree.parts.items():
        if missing := [one for one in (parent, *below) if one not in of]:
            untied[parent] = f"{missing[0].removesuffix(tree.suffix)} has no forecast"
        else:
            parts[parent] = below
    up = {part: parent for parent, below in parts.items() for part in below}
    top = roots([*parts, *up], up)
    families = []
    for root in dict.fromkeys(top.values()):
        one = Tree({parent: below for parent, below in parts.items() if top[parent] == root}, tree.suffix)
        if hole := _hole(one.nodes, of, known):
            untied |= dict.fromkeys(one.parts, hole)
        else:
            families.append(one)
    return families, untied


def _hole(family: Sequence[str], of: Mapping[str, Forecast], known: pd.DataFrame) -> str:
    """A month that is missing since the first of them ended: there is no published value to hold on to."""
    first = min(_last(of, one) for one in family)
    lacking = [one for one in family if known.loc[first : _last(of, one), one].isna().any()]
    return f"{lacking[0].removesuffix(LISTED_REST)} lacks months since {first}" if lacking else ""


def _last(of: Mapping[str, Forecast], series: str) -> pd.Period:
    one = of[series]
    return one.cutoff[one.series.index(series)]


def _joined(family: Sequence[str], of: Mapping[str, Forecast], known: pd.DataFrame) -> Forecast:
    """Forecasts of a family over the months of the one that ends first; the others' published months as they are."""
    longest = max((of[one] for one in family), key=lambda one: len(one.months))
    columns = []
    for series in family:
        paths = of[series].column(series)
        ahead = len(longest.months) - paths.shape[1]
        published = known.loc[longest.months[0] :, series].to_numpy(dtype=float)[:ahead]
        columns.append(np.hstack([np.broadcast_to(published, (len(paths), ahead)), paths]))
    notes = {series: of[series].notes[series] for series in family if series in of[series].notes}
    return replace(
        longest, paths=np.stack(columns, axis=2), series=tuple(family),
        cutoff=tuple(_last(of, one) for one in family), notes=notes,
    )  # fmt: skip


def _tie(joint: Forecast, tree: Tree, known: pd.DataFrame, seed: int) -> Forecast:
    return reconcile(couple(joint, _moves(known[list(joint.series)]), seed), tree)


def _moves(known: pd.DataFrame) -> pd.DataFrame:
    """Normal scores (T × n) of changes over twelve months: how series moved together."""
    changes = known.diff(12).iloc[-CHANGES:]
    ranks = (changes.rank() - 0.5) / changes.notna().sum()
    return pd.DataFrame(stats.norm.ppf(ranks), changes.index, changes.columns)


def _by_months(made: Sequence[Forecast]) -> list[Forecast]:
    """Forecasts over the same months as one."""
    same: dict[pd.Period, list[Forecast]] = {}
    for one in made:
        if one.series:
            same.setdefault(one.months[0], []).append(one)
    return [side_by_side(pieces) for pieces in same.values()]

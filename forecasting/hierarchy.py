"""Make the parts add up on every path."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.forecast import Forecast

CORE_REST = "|beyond core"
LISTED_REST = "|not listed"
MOST_OF_PARENT = 1.2  # widths of its parent that a part may have: parts may move against one another a little


@dataclass(frozen=True)
class Tree:
    """Sums that must hold: each parent (key) is the sum of its parts.

    A part whose id ends in ``suffix`` is what the other parts leave of their parent.
    """

    parts: Mapping[str, tuple[str, ...]]
    suffix: str

    @property
    def nodes(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(one for parent, parts in self.parts.items() for one in (parent, *parts)))

    @property
    def bottom(self) -> tuple[str, ...]:
        """Nodes that are nobody's parent."""
        return tuple(one for one in self.nodes if one not in self.parts)

    def parent_of(self, series: str) -> str:
        """The parent that this series is a part of, or an empty text."""
        return next((parent for parent, parts in self.parts.items() if series in parts), "")

    def among(self, series: Collection[str]) -> Tree:
        """The sums all of whose members are among these series."""
        whole = {one: parts for one, parts in self.parts.items() if {one, *parts} <= set(series)}
        return Tree(whole, self.suffix)

    def summing(self, series: tuple[str, ...]) -> tuple[np.ndarray, tuple[int, ...]]:
        """Matrix S (n × m) that sums the bottom series (m) to all n, and the places of the bottom ones."""
        bottom = tuple(one for one in series if one not in self.parts)
        rows = {one: np.eye(len(bottom))[at] for at, one in enumerate(bottom)}

        def row(one: str) -> np.ndarray:
            if one not in rows:
                rows[one] = np.sum([row(part) for part in self.parts[one]], axis=0)
            return rows[one]

        return np.array([row(one) for one in series]), tuple(series.index(one) for one in bottom)


def core_tree(catalogue: Catalogue, known: tuple[str, ...]) -> Tree:
    """Identities among the known core series: declared sums, and parents with what lies beyond the core."""
    core = tuple(one for one in catalogue if catalogue[one].core and one in known)
    parts = {
        one: catalogue[one].terms
        for one in core
        if catalogue[one].formula == "sum" and all(term in core for term in catalogue[one].terms)
    }
    return _with_parents(catalogue, core, parts, CORE_REST)


def listed_tree(catalogue: Catalogue, known: tuple[str, ...]) -> Tree:
    """Identities among all known stored series: every parent with its listed parts and what is not listed."""
    stored = tuple(one for one in catalogue if not catalogue[one].derived and one in known)
    return _with_parents(catalogue, stored, {}, LISTED_REST)


def _with_parents(
    catalogue: Catalogue, series: tuple[str, ...], parts: dict[str, tuple[str, ...]], suffix: str
) -> Tree:
    nearest = {one: _nearest(catalogue, one, series) for one in series}
    for one in series:
        below = tuple(other for other in series if nearest[other] == one)
        if below:
            parts[one] = (*below, one + suffix)
    return Tree(parts, suffix)


def _nearest(catalogue: Catalogue, series: str, among: tuple[str, ...]) -> str:
    parent = catalogue[series].parent
    while parent and parent not in among:
        parent = catalogue[parent].parent
    return parent


def with_rests(y: pd.DataFrame, tree: Tree) -> pd.DataFrame:
    """The table (T × n) with a column for what the parts leave of each parent.

    Parts are rounded apart from their parent: a remainder a few units below zero is zero. A part of which a month
    is unknown counts as nothing in it, as long as its parent is known.
    """
    extended = y.copy()
    for parent, parts in tree.parts.items():
        if parts[-1].endswith(tree.suffix):
            first = max(_first_known(y[part]) for part in parts[:-1])
            left = y[parent] - y[list(parts[:-1])].sum(axis=1)
            extended[parts[-1]] = left.clip(lower=0.0).where(y.index >= first)
    return extended


def _first_known(column: pd.Series) -> pd.Period:
    first = column.first_valid_index()
    return first if isinstance(first, pd.Period) else pd.Period(column.index[-1], "M") + 1


def reconcile(forecast: Forecast, tree: Tree) -> Forecast:
    """Weighted least-squares projection of every path onto the sums (Hyndman et al. 2011; weights 1 / width²).

    Projecting paths that are not perfectly paired averages noise away and leaves parents too narrow (trade covered
    72 % for 80 %, measured), so each node is then given back the spread it had. Published cells are held. No bottom
    series goes below zero: parents are summed again from the clipped parts.
    """
    inside = tuple(one for one in forecast.series if one in tree.nodes)
    if not inside:
        return forecast
    at = [forecast.series.index(one) for one in inside]
    constraints = _constraints(tree, inside)
    summing, bottom = tree.summing(inside)
    paths = forecast.paths.copy()
    steps = forecast.steps()[:, at]
    for row in range(len(forecast.months)):
        cells = paths[:, row, at]
        if (steps[row] >= 1).all():
            cells = _within_parents(cells, tree, inside)
        # Widths, not variances: one path in a thousand of a wild series would draw all corrections to itself.
        free = np.where(steps[row] >= 1, np.maximum(_width(cells) ** 2, 1e-12), 0.0)
        spread = free[:, None] * constraints.T
        gain = spread @ np.linalg.pinv(constraints @ spread, rcond=1e-13, hermitian=True)
        adjusted = cells - (cells @ constraints.T) @ gain.T
        if (steps[row] >= 1).all():
            parts = _spread_restored(adjusted[:, bottom], summing, _feasible(_width(cells), tree, inside))
            adjusted = np.maximum(parts, 0.0) @ summing.T
        paths[:, row, at] = adjusted
    return forecast.with_paths(paths)


def _within_parents(cells: np.ndarray, tree: Tree, series: tuple[str, ...]) -> np.ndarray:
    """Cells (P × n) in which no part exceeds what its parent may reach, whatever its own model says."""
    bounded = cells.copy()
    for parent, parts in tree.parts.items():
        most = np.quantile(bounded[:, series.index(parent)], 0.999)
        for part in parts:
            at = series.index(part)
            bounded[:, at] = np.minimum(bounded[:, at], most)
    return bounded


def _feasible(width: np.ndarray, tree: Tree, series: tuple[str, ...]) -> np.ndarray:
    """Widths (n) that can hold together: a part hardly varies more than its parent."""
    wanted = width.copy()
    for parent, parts in tree.parts.items():
        for part in parts:
            at = series.index(part)
            wanted[at] = min(wanted[at], MOST_OF_PARENT * wanted[series.index(parent)])
    return wanted


def _width(cells: np.ndarray) -> np.ndarray:
    """Distance from the 10 % to the 90 % quantile of each column."""
    low, high = np.quantile(cells, [0.1, 0.9], axis=0)
    return np.asarray(high - low)


def _spread_restored(parts: np.ndarray, summing: np.ndarray, wanted: np.ndarray, sweeps: int = 8) -> np.ndarray:
    """Bottom paths (P × m) stretched along one node after another until every node (n) has the wanted width.

    Along a node: the share of each part's deviation that goes with the node's own, by regression, is scaled; the
    node's deviation is then scaled by exactly that factor. Iterated like proportional fitting of margins.
    """
    centre = np.median(parts, axis=0)
    deviation = parts - centre
    for _ in range(sweeps):
        for node in range(len(summing)):
            below = np.flatnonzero(summing[node])
            inside = deviation[:, below]
            along = inside @ summing[node, below]
            width = float(_width(along[:, None])[0])
            if width <= 0.0 or wanted[node] <= 0.0:
                continue
            factor = np.clip(wanted[node] / width, 0.5, 2.0)
            follows = inside.T @ along / (along @ along)
            deviation[:, below] = inside + (factor - 1.0) * np.outer(along, follows)
    return centre + deviation


def _constraints(tree: Tree, series: tuple[str, ...]) -> np.ndarray:
    """Rows that are zero on coherent values: parent less its parts (k × n)."""
    matrix = np.zeros((len(tree.parts), len(series)))
    for row, (parent, parts) in enumerate(tree.parts.items()):
        matrix[row, series.index(parent)] = 1.0
        for part in parts:
            matrix[row, series.index(part)] = -1.0
    return matrix


def fit_below(core: Forecast, below: Forecast, tree: Tree) -> Forecast:
    """All nodes of the tree, with the core series held: what they leave is shared out as the parts were forecast.

    ``below`` holds the bottom series that are not core. On every path the parts beneath a core series are moved to what
    its core parts leave of it; parts beneath no core series stay; other parents are summed.
    """
    pinned = {one: core.column(one) for one in core.series if one in tree.nodes}
    loose = {one: below.column(one) for one in tree.bottom if one not in pinned}
    values = {one: pinned[one] for one in tree.bottom if one in pinned} | loose
    for holder, target in pinned.items():
        if holder not in tree.parts:
            continue
        inside = _beneath(tree, holder, pinned)
        left = np.maximum(target - sum(pinned[one] for one in inside if one in pinned), 0.0)
        free = [one for one in inside if one in loose]
        values |= dict(zip(free, _shared_out(np.stack([loose[one] for one in free]), left), strict=True))
    nodes = tuple(one for one in tree.nodes if not one.endswith(tree.suffix))
    paths = np.stack([pinned[one] if one in pinned else _summed(tree, one, values) for one in nodes], axis=2)
    known = dict(zip((*core.series, *below.series), (*core.cutoff, *below.cutoff), strict=True))
    cutoff = tuple(known.get(one) or min(known[leaf] for leaf in _leaves(tree, one)) for one in nodes)
    return replace(below, paths=paths, series=nodes, cutoff=cutoff, notes={**below.notes, **core.notes})


def _shared_out(parts: np.ndarray, left: np.ndarray) -> np.ndarray:
    """Parts (k × P × h) moved to the sum ``left`` (P × h): who is least certain moves most (by squared width).

    What would fall below zero stops there, and the rest is scaled to fit.
    """
    weight = np.stack([_width(one) ** 2 for one in parts]) + 1e-12
    moved = np.maximum(parts + (left - parts.sum(axis=0)) * (weight / weight.sum(axis=0))[:, None, :], 0.0)
    total = moved.sum(axis=0)
    share = np.divide(moved, total, out=np.full_like(moved, 1.0 / len(parts)), where=total > 0)
    return np.asarray(share * left)


def _beneath(tree: Tree, holder: str, pinned: Mapping[str, object]) -> list[str]:
    """Nearest pinned nodes and loose bottom series below a node."""
    found: list[str] = []
    for part in tree.parts[holder]:
        found += [part] if part in pinned or part not in tree.parts else _beneath(tree, part, pinned)
    return found


def _leaves(tree: Tree, node: str) -> list[str]:
    return [leaf for part in tree.parts[node] for leaf in _leaves(tree, part)] if node in tree.parts else [node]


def _summed(tree: Tree, node: str, values: Mapping[str, np.ndarray]) -> np.ndarray:
    if node not in tree.parts:
        return values[node]
    return np.asarray(np.sum([_summed(tree, part, values) for part in tree.parts[node]], axis=0))

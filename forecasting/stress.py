"""What it would take: the most plausible path of some levers on which the mean of a total reaches a stated value.

Least squares in the metric of the forecast's own covariance: of all shifts of the levers that reach the target, the one
with the least Mahalanobis distance, in the spirit of the least-distance stress tests of Antolín-Díaz, Petrella and
Rubio-Ramírez (2021) and of Breuer et al. (2009).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import stats
from scipy.optimize import nnls

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.forecast import Forecast
from forecasting.relations import Relations
from forecasting.statements import Linear

LEAST_SHRINKAGE = 1e-4
"""Weight of independence in the levers' covariance that keeps it invertible."""


@dataclass(frozen=True)
class Lever:
    """What may be moved: paths (P × h) and ``effect`` (h), the target's change for one more of it in that month."""

    name: str
    unit: str
    paths: np.ndarray
    effect: np.ndarray


@dataclass(frozen=True)
class LeverPath:
    """One lever month by month (m): mean of the baseline, what is needed, and the standard deviation of the paths."""

    lever: str
    unit: str
    months: pd.PeriodIndex
    baseline: np.ndarray
    needed: np.ndarray
    sd: np.ndarray

    @property
    def percent(self) -> np.ndarray:
        """Change in percent of the baseline (m); NaN where that is zero."""
        base = np.where(self.baseline == 0, np.nan, self.baseline)
        return np.asarray(100.0 * (self.needed / base - 1.0))

    @property
    def deviations(self) -> np.ndarray:
        """Change in standard deviations of the month (m)."""
        return np.asarray((self.needed - self.baseline) / self.sd)


@dataclass(frozen=True)
class Way:
    """One way to the target: levers, squared Mahalanobis distance, its tail, and the target's probability after it.

    The tail is chi-square with one degree of freedom: the most plausible path to one linear target is as far from the
    mean as the target's one linear combination of levers is. Where a lever stops at zero the true tail is no larger.
    """

    levers: tuple[LeverPath, ...]
    distance: float
    tail: float
    probability: float


@dataclass(frozen=True)
class Alone:
    """One lever by itself: its most plausible way, and the one percentage that does it in all open months.

    ``way`` is nothing and ``percent`` NaN where the lever cannot reach the target: then ``furthest`` is the target's
    mean with the lever at zero. ``distance`` is that of the uniform change.
    """

    lever: str
    way: Way | None
    percent: float
    distance: float
    furthest: float


@dataclass(frozen=True)
class Stress:
    """What it takes to reach a target; ``mean`` (in the target's unit) and ``probability`` are the baseline's.

    ``met``: the mean is there already and no way is needed.
    """

    text: str
    unit: str
    value: float
    mean: float
    probability: float
    met: bool
    together: Way | None
    alone: tuple[Alone, ...]

    @property
    def smallest(self) -> Alone | None:
        """The lever whose uniform change does it alone with the least distance: percentages do not compare."""
        able = [one for one in self.alone if np.isfinite(one.percent)]
        return min(able, key=lambda one: (one.distance, one.lever), default=None)


def stress(forecast: Forecast, linear: Linear, levers: Iterable[Lever], spillover: bool = False) -> Stress:
    """What it would take of these levers for the one statement in ``linear``, SERIES PERIOD < VALUE or >.

    ``spillover`` takes the regression of the target on all lever months up to the end of the target's period instead of
    the levers' structural effects. DataError for a lever without influence and for a target out of reach.
    """
    target = linear.statements[0]
    if len(linear.statements) != 1 or target.relation == "=" or target.sd:
        raise DataError(f"{target.text!r} is no target: write one 'SERIES PERIOD < VALUE' or '> VALUE', without ± SD.")
    problem = _Problem.of(forecast, linear, tuple(levers), spillover)
    met = problem.gap >= 0 if target.relation == "<" else problem.gap <= 0
    if met:
        return Stress(target.text, target.unit, target.value, problem.mean, problem.reached(0.0), True, None, ())
    everything = np.ones(len(problem.effect), dtype=bool)
    together = problem.way(everything)
    if together is None:
        best = problem.furthest(everything)
        raise DataError(
            f"{target.text!r} is out of reach of {', '.join(one.name for one in problem.levers)}: with these at zero it"
            f" is still {target.say(best)}: name more levers, or another value."
        )
    alone = tuple(problem.alone(at) for at in range(len(problem.levers)))
    return Stress(
        target.text, target.unit, target.value, problem.mean, problem.reached(0.0), False, together, alone
    )  # fmt: skip


@dataclass(frozen=True)
class _Problem:
    """Lever months (c) that can move the target: mean, covariance (c × c), effect; and how far the target has to go."""

    levers: tuple[Lever, ...]
    linear: Linear
    months: pd.PeriodIndex
    owner: np.ndarray
    month: np.ndarray
    level: np.ndarray
    covariance: np.ndarray
    effect: np.ndarray
    free: np.ndarray
    totals: np.ndarray
    base: float

    @classmethod
    def of(cls, forecast: Forecast, linear: Linear, levers: tuple[Lever, ...], spillover: bool) -> _Problem:
        target = linear.statements[0]
        if not levers:
            raise DataError(f"{target.text!r} needs levers: name at least one series that it rests on.")
        totals = np.tensordot(forecast.paths, linear.a[0], axes=([1, 2], [0, 1]))
        wanted = np.stack([_open(one, forecast, linear, spillover) for one in levers])
        owner, month = np.nonzero(wanted)
        cells = np.stack([levers[at].paths[:, row] for at, row in zip(owner, month, strict=True)], axis=1)
        covariance = _shrunk(cells)
        effect = np.array([levers[at].effect[row] for at, row in zip(owner, month, strict=True)])
        if spillover:
            together = (cells - cells.mean(axis=0)).T @ (totals - totals.mean()) / (len(cells) - 1)
            effect = np.linalg.solve(covariance, together)
        base = float(np.tensordot(forecast.paths.mean(axis=0), linear.base[0]) + linear.base_known[0])
        return cls(
            levers, linear, forecast.months, owner, month, cells.mean(axis=0), covariance, effect,
            cells.min(axis=0) < 0, totals, base,
        )  # fmt: skip

    @property
    def gap(self) -> float:
        """What the mean of A · X lacks of b."""
        return float(self.linear.b[0] - self.totals.mean())

    @property
    def mean(self) -> float:
        """The target's mean in its unit; of a share or price, the ratio of means."""
        return self.value(0.0)

    def value(self, shift: float) -> float:
        """The target's mean in its unit, once A · X is shifted."""
        one = self.linear.statements[0]
        return float(one.value + (shift - self.gap) / self.base / one.factor[1])

    def reached(self, shift: float) -> float:
        """Share of paths on the right side, once shifted."""
        moved = self.totals + shift
        side = moved < self.linear.b[0] if self.linear.statements[0].relation == "<" else moved > self.linear.b[0]
        return float(side.mean())

    def way(self, chosen: np.ndarray) -> Way | None:
        """The most plausible shift of these lever months (c) that closes the gap, none of them below zero."""
        effect, root = self.effect[chosen], np.linalg.cholesky(self.covariance[np.ix_(chosen, chosen)])
        along = root.T @ effect
        if not along.any():
            return None
        first = along * self.gap / (along @ along)
        across = np.eye(len(along)) - np.outer(along, along) / (along @ along)
        size = np.sqrt(np.diag(self.covariance))[chosen]
        bound = ~self.free[chosen]
        floor = (-self.level[chosen] - root @ first) / size
        step = _least_distance((root @ across / size[:, None])[bound], floor[bound])
        if step is None:
            return None
        w = first + across @ step
        shift = np.zeros(len(self.effect))
        shift[chosen] = root @ w
        distance = float(w @ w)
        paths = tuple(self._path(at, shift) for at in np.unique(self.owner[chosen]))
        return Way(paths, distance, float(stats.chi2.sf(distance, 1)), self.reached(float(self.effect @ shift)))

    def _path(self, at: int, shift: np.ndarray) -> LeverPath:
        mine = self.owner == at
        lever, level = self.levers[at], self.level[mine]
        sd = lever.paths[:, self.month[mine]].std(axis=0, ddof=1)
        needed = level + shift[mine]
        needed = np.where(self.free[mine], needed, np.maximum(needed, 0.0))
        return LeverPath(lever.name, lever.unit, self.months[self.month[mine]], level, needed, sd)

    def alone(self, at: int) -> Alone:
        """One lever by itself."""
        mine = self.owner == at
        per_percent = float(self.effect[mine] @ self.level[mine]) / 100.0
        percent = self.gap / per_percent if per_percent else np.nan
        if not percent >= -100.0:
            percent = np.nan
        moved = self.level[mine] * percent / 100.0
        distance = float(moved @ np.linalg.solve(self.covariance[np.ix_(mine, mine)], moved))
        return Alone(self.levers[at].name, self.way(mine), float(percent), distance, self.furthest(mine))

    def furthest(self, chosen: np.ndarray) -> float:
        """The target's mean with these lever months at zero wherever that helps."""
        helps = chosen & (self.effect * np.sign(self.gap) < 0) & ~self.free
        return self.value(-float(self.effect[helps] @ self.level[helps]))


def _open(lever: Lever, forecast: Forecast, linear: Linear, spillover: bool) -> np.ndarray:
    """Months (h) in which the lever is not decided and can move the target."""
    target = linear.statements[0]
    moving = np.ptp(lever.paths, axis=0) > 0
    able = moving & ((forecast.months <= target.last) if spillover else lever.effect != 0)
    if not able.any():
        why = "its open months have no effect on it" if moving.any() else "all its months are published or fixed"
        raise DataError(f"{lever.name} has no influence on {target.text!r}: {why}; name another lever.")
    return able


def _shrunk(cells: np.ndarray) -> np.ndarray:
    """Covariance (c × c) of cells (P × c), correlations shrunk towards none by how uncertain they are.

    Schäfer and Strimmer (2005), after Ledoit and Wolf: the weight is the correlations' variance over their squares.
    """
    covariance = np.atleast_2d(np.cov(cells, rowvar=False))
    sd = np.sqrt(np.diag(covariance))
    off = (covariance / np.outer(sd, sd))[~np.eye(len(sd), dtype=bool)]
    noise = float(((1.0 - off**2) ** 2).sum()) / (len(cells) - 1)
    weight = min(1.0, max(LEAST_SHRINKAGE, noise / max(float((off**2).sum()), 1e-12)))
    return (1.0 - weight) * covariance + weight * np.diag(sd**2)


def _least_distance(rows: np.ndarray, floor: np.ndarray, tolerance: float = 1e-10) -> np.ndarray | None:
    """The w (d) of least norm with rows (c × d) · w ≥ floor (c) − tolerance; nothing where there is none.

    Least-distance programming of Lawson and Hanson (1974, chapter 23) as non-negative least squares, on the violated
    inequalities first and on more as they turn out to be violated. Rows are best scaled to one size.
    """
    size = float(np.max(np.abs(floor), initial=0.0)) or 1.0
    wanted = floor / size
    w = np.zeros(rows.shape[1])
    active = np.zeros(len(rows), dtype=bool)
    while True:
        violated = rows @ w < wanted - tolerance
        if not violated.any():
            return w * size
        if not (violated & ~active).any():
            return None
        active |= violated
        stacked = np.vstack([rows[active].T, wanted[active] - tolerance / 2])
        aim = np.zeros(len(stacked))
        aim[-1] = 1.0
        try:
            left = stacked @ nnls(stacked, aim, maxiter=20 * len(stacked))[0] - aim
        except RuntimeError:
            return None
        if left[-1] > -1e-14:
            return None
        w = -left[:-1] / left[-1]


def levers_of(names: Iterable[str], forecast: Forecast, linear: Linear, catalogue: Catalogue) -> tuple[Lever, ...]:
    """Series (ids or patterns) and unit prices of the cube as levers on the one statement in ``linear``.

    One more of a series: its parts and the value of its quantity go up in proportion, wholes that hold them by as much.
    One more of a price: the value by the mean quantity. All at the means of the forecast, other things equal.
    """
    relations = Relations(catalogue, forecast.series)
    chosen = catalogue.select(names)
    for one in chosen:
        for needed in lever_series([one], catalogue):
            if needed not in forecast.series:
                raise DataError(f"The lever {one} rests on {needed}, which this forecast does not hold.")
    moves = {one: _moves(one, forecast, relations, catalogue) for one in chosen}
    for one in chosen:
        if within := [other for other in chosen if other != one and other in moves[one]]:
            raise DataError(f"The levers {one} and {within[0]} move one another: name only one of them.")
    return tuple(
        Lever(one, catalogue[one].unit, _lever_paths(one, forecast, catalogue), _effect(moves[one], forecast, linear))
        for one in chosen
    )


def lever_series(names: Iterable[str], catalogue: Catalogue) -> tuple[str, ...]:
    """Stored series that a cube must hold for these levers: a price needs its value and quantity."""
    needed: dict[str, None] = {}
    for one in catalogue.select(names):
        entry = catalogue[one]
        if entry.derived and entry.formula != "ratio":
            raise DataError(f"{one} is computed and no lever: name {' or '.join(entry.terms)}, or a part of these.")
        ratios = [entry] if entry.formula else [of for of in catalogue.values() if of.formula == "ratio"]
        for of in ratios:
            if one in (of.id, *of.terms):
                needed.update(dict.fromkeys(of.terms))
        needed.update({} if entry.formula else {one: None})
    return tuple(needed)


def _lever_paths(series: str, forecast: Forecast, catalogue: Catalogue) -> np.ndarray:
    """Paths of a lever (P × h); a price where nothing is traded is the mean price."""
    if catalogue[series].formula != "ratio":
        return forecast.column(series)
    value, quantity = (forecast.column(one) for one in catalogue[series].terms)
    mean = _ratio(value.mean(axis=0), quantity.mean(axis=0))
    return np.divide(value, quantity, out=np.broadcast_to(mean, value.shape).copy(), where=quantity > 0)


def _moves(series: str, forecast: Forecast, relations: Relations, catalogue: Catalogue) -> dict[str, np.ndarray]:
    """By how much (h) each series of the cube moves with one more of this one."""
    mean = {one: forecast.column(one).mean(axis=0) for one in forecast.series}
    if catalogue[series].formula == "ratio":
        value, quantity = catalogue[series].terms
        roots, unit = {value: mean[quantity]}, value
    else:
        partner = relations.partner(series)
        roots, unit = {series: np.ones(len(forecast.months))}, series
        if partner:
            roots[partner] = _ratio(mean[partner], mean[series])
    moved = dict(roots)
    for root, by in roots.items():
        for part in relations.below(root):
            moved[part] = _ratio(mean[part], mean[unit]) * roots[unit]
        for whole, units in relations.above(root).items():
            moved[whole] = by * units
    return moved


def _ratio(top: np.ndarray, base: np.ndarray) -> np.ndarray:
    return np.divide(top, base, out=np.zeros_like(top), where=base > 0)


def _effect(moves: dict[str, np.ndarray], forecast: Forecast, linear: Linear) -> np.ndarray:
    """Change of A · X (h) for one more of a lever in each month."""
    return np.asarray(sum(linear.a[0][:, forecast.series.index(one)] * by for one, by in moves.items()))

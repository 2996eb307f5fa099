"""A forecast given what somebody states: every path of the cube moves to the conditional distribution.

Matheron's update (conditioning by kriging; Journel and Huijbregts 1978): a path is moved by the regression of all cells
on the stated totals, times how far its own totals are from the statement. On Gaussian paths this draws from the exact
conditional distribution (Waggoner and Zha 1999); on others mean and covariance are those of the best linear predictor.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import stats
from scipy.optimize import linprog

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.forecast import Forecast
from forecasting.hierarchy import CORE_REST, core_tree, listed_tree
from forecasting.seeds import stream
from forecasting.statements import Linear

REDUNDANT = 1e-10
"""Eigenvalue of the statements' correlations below which one follows from the others."""
UNREPAIRED = 0.01
"""Share of paths that may fail to be repaired; another path stands in for them."""
NEWTON_STEPS = 200
LEFT = 0.01
"""Share of its mean that a divisor keeps."""
NOTHING = 1e-9
"""Standard deviations that count as none."""


@dataclass(frozen=True)
class Stated:
    """One statement beside the unconditional forecast: ``mean``, 80 % interval and percentile (0 to 1) in its unit."""

    text: str
    unit: str
    value: float
    sd: float
    percentile: float
    mean: float
    q10: float
    q90: float


@dataclass(frozen=True)
class Plausibility:
    """Squared Mahalanobis distance of what is stated from the forecast, and how often chance alone goes as far.

    ``freedom`` counts statements that do not follow from the others; ``tail`` is the chi-square tail.
    """

    distance: float
    freedom: int
    tail: float
    stated: tuple[Stated, ...]


@dataclass(frozen=True)
class Conditioned:
    """The conditional forecast; ``repaired`` is the share of paths that had to be moved back to zero or above."""

    forecast: Forecast
    plausibility: Plausibility
    repaired: float


def condition(forecast: Forecast, linear: Linear, seed: int = 0, parts: Parts | None = None) -> Conditioned:
    """The whole cube (P × h × n) given statements A · X = b, each exact or with a standard deviation.

    Sums between series that hold on every path go on holding. ``parts`` (``never_negative``; default: each
    series by itself) stay at or above zero where no path was below: paths that would not go to the nearest that do, and
    still say what is stated. Published cells stay.
    DataError for statements that contradict one another, are already decided, or would need a negative figure.
    """
    if not linear.statements:
        return Conditioned(forecast, Plausibility(0.0, 0, 1.0, ()), 0.0)
    _refuse_inequalities(linear)
    stated = tuple(_stated(linear, forecast))
    ordered = linear.take(sorted(range(len(linear.statements)), key=lambda at: linear.statements[at].text))
    cells = forecast.paths.reshape(len(forecast.paths), -1)
    spread = cells - cells.mean(axis=0)
    spread[:, (cells == cells[0]).all(axis=0)] = 0.0
    a = ordered.a.reshape(len(ordered.statements), -1)
    deviations = spread @ a.T
    gap = ordered.b - a @ cells.mean(axis=0)
    _refuse_decided(ordered, deviations, cells)
    covariance = deviations.T @ deviations / (len(cells) - 1) + np.diag(ordered.sd**2)
    inverse, rank = _inverse(covariance, gap, ordered, a @ cells.mean(axis=0))
    pull = (gap + _noise(ordered, deviations, seed) - deviations) @ inverse
    moved = cells + pull @ (deviations.T @ spread / (len(cells) - 1))
    alone = np.eye(len(forecast.series))
    ready, repaired = _repaired(moved, forecast, parts or Parts(alone, alone), ordered)
    distance = float(gap @ inverse @ gap)
    plausibility = Plausibility(distance, rank, float(stats.chi2.sf(distance, rank)), stated)
    return Conditioned(forecast.with_paths(ready.reshape(forecast.paths.shape)), plausibility, repaired)


@dataclass(frozen=True)
class Parts:
    """What never goes below zero: ``of`` (m × n) makes m parts of n series, ``summing`` (n × m) the series of them."""

    of: np.ndarray
    summing: np.ndarray


def never_negative(series: tuple[str, ...], catalogue: Catalogue) -> Parts:
    """Each series less its listed parts; declared sums and what lies beyond the core are made of these."""
    below = listed_tree(catalogue, series).parts
    core = core_tree(catalogue, series).parts
    sums = {one: catalogue[one].terms for one in series if one in catalogue and catalogue[one].formula == "sum"}
    sums = {one: terms for one, terms in sums.items() if set(terms) <= set(series)}
    beyond = {parts[-1]: (whole, parts[:-1]) for whole, parts in core.items() if parts[-1].endswith(CORE_REST)}
    own = [one for one in series if one not in sums and one not in beyond]
    rows: dict[str, np.ndarray] = {}

    def row(one: str) -> np.ndarray:
        if one not in rows:
            if one in sums:
                rows[one] = np.sum([row(term) for term in sums[one]], axis=0)
            elif one in beyond:
                whole, parts = beyond[one]
                rows[one] = row(whole) - np.sum([row(part) for part in parts], axis=0)
            else:
                unit = np.eye(len(own))[own.index(one)]
                rows[one] = np.sum([unit, *(row(part) for part in below.get(one, ("",))[:-1])], axis=0)
        return rows[one]

    of = np.zeros((len(own), len(series)))
    for at, one in enumerate(own):
        of[at, series.index(one)] = 1.0
        for part in below.get(one, ("",))[:-1]:
            of[at, series.index(part)] = -1.0
    return Parts(of, np.array([row(one) for one in series]))


def _refuse_inequalities(linear: Linear) -> None:
    for one in linear.statements:
        if one.relation != "=":
            raise DataError(f"{one.text!r} is no condition: write '=', or ask `tradecast scenario stress`.")


def _stated(linear: Linear, forecast: Forecast) -> list[Stated]:
    """What the unconditional forecast says of each statement, in the order given."""
    totals = linear.totals(forecast.paths)
    made = []
    for at, one in enumerate(linear.statements):
        known = totals[np.isfinite(totals[:, at]), at]
        if not len(known):
            raise DataError(f"{one.text!r} divides by zero on every path: state a level instead.")
        below = float((known < one.value).mean() + 0.5 * (known == one.value).mean())
        low, high = np.quantile(known, [0.1, 0.9])
        made.append(Stated(one.text, one.unit, one.value, one.sd, below, float(known.mean()), float(low), float(high)))
    return made


def _refuse_decided(linear: Linear, deviations: np.ndarray, cells: np.ndarray) -> None:
    a = np.abs(linear.a.reshape(len(linear.statements), -1))
    size = a @ np.abs(cells).mean(axis=0) + np.abs(linear.b)
    for at in np.flatnonzero(deviations.std(axis=0) <= NOTHING * size):
        one = linear.statements[at]
        is_ = float(linear.totals(cells.mean(axis=0).reshape(linear.a.shape[1:]))[at])
        raise DataError(f"{one.text!r} is already decided: it is {one.say(is_)} on every path; leave it out.")


def _inverse(covariance: np.ndarray, gap: np.ndarray, linear: Linear, mean: np.ndarray) -> tuple[np.ndarray, int]:
    """Inverse (k × k) on what the statements do not say twice, and its rank; contradictions are refused."""
    scale = np.sqrt(np.diag(covariance))
    values, vectors = np.linalg.eigh(covariance / np.outer(scale, scale))
    kept = values > REDUNDANT * len(values)
    size = max(1.0, float(np.linalg.norm(np.maximum(np.abs(linear.b), np.abs(mean)) / scale)))
    for at in np.flatnonzero(~kept):
        if abs(vectors[:, at] @ (gap / scale)) > 1e-7 * size:
            who = [one.text for one, by in zip(linear.statements, vectors[:, at], strict=True) if abs(by) > 0.05]
            raise DataError(f"These contradict one another: {'; '.join(who)}: drop one, or give it a ± SD.")
    root = vectors[:, kept] / np.sqrt(values[kept]) / scale[:, None]
    return root @ root.T, int(kept.sum())


def _noise(linear: Linear, deviations: np.ndarray, seed: int) -> np.ndarray:
    """Draws (P × k) with exactly the stated SDs, mean zero, and no sample correlation with what is stated."""
    count = len(deviations)
    drawn = [stream(seed, "condition", one.text).standard_normal(count) for one in linear.statements]
    soft = linear.sd > 0
    basis = np.column_stack(
        [np.ones(count), deviations, *(one for one, wanted in zip(drawn, soft, strict=True) if wanted)]
    )
    made = np.zeros_like(deviations)
    if soft.any():
        if basis.shape[1] > count:
            raise DataError(f"{count} paths are too few for {len(soft)} statements: give more --paths.")
        made[:, soft] = np.linalg.qr(basis)[0][:, -int(soft.sum()) :] * np.sqrt(count - 1)
    return made * linear.sd


def _repaired(moved: np.ndarray, forecast: Forecast, parts: Parts, linear: Linear) -> tuple[np.ndarray, float]:
    """Paths (P × hn) whose parts stay at or above zero, and the share of paths that needed it.

    Every path goes to the nearest one (in the parts' standard deviations) that keeps what is stated and published.
    """
    room = _Room.of(forecast, parts, linear)
    atoms = _sums(moved, parts.of)
    hurt = np.flatnonzero(((atoms < -NOTHING * room.width) & room.bounded).any(axis=1))
    if not len(hurt):
        return _rounded(moved, forecast), 0.0
    room.refuse_impossible(linear)
    near, failed = room.nearest(atoms[hurt])
    if failed.mean() > UNREPAIRED:
        raise DataError(
            f"{'; '.join(one.text for one in linear.statements)}: {failed.mean():.0%} of the paths find no way there"
            " without negative figures: give a ± SD, or a value nearer to the forecast."
        )
    ready = moved.copy()
    ready[hurt] += _sums(near - atoms[hurt], parts.summing)
    ready[hurt[failed]] = ready[hurt[~failed][0]]
    return _rounded(ready, forecast), len(hurt) / len(moved)


def _sums(cells: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Sums of series (P × hm) of cells (P × hn), by weights (m × n)."""
    return np.asarray((cells.reshape(len(cells), -1, weights.shape[1]) @ weights.T).reshape(len(cells), -1))


def _rounded(moved: np.ndarray, forecast: Forecast) -> np.ndarray:
    """Cells that are below zero by rounding alone are zero; published ones stay bit for bit."""
    before = forecast.paths.reshape(moved.shape)
    slack = 10 * NOTHING * before.std(axis=0)
    made = np.where((moved < 0) & (moved >= -slack) & (before.min(axis=0) >= 0), 0.0, moved)
    return np.where((before == before[0]).all(axis=0), before, made)


@dataclass(frozen=True)
class _Room:
    """Where parts (c = hm cells) may go: mean, width, which stop at zero; rows (r × c) held, softly by ``sd``."""

    mean: np.ndarray
    width: np.ndarray
    bounded: np.ndarray
    rows: np.ndarray
    aims: np.ndarray
    sd: np.ndarray
    least: np.ndarray
    floor: np.ndarray

    @classmethod
    def of(cls, forecast: Forecast, parts: Parts, linear: Linear) -> _Room:
        cells = forecast.paths.reshape(len(forecast.paths), -1)
        atoms = _sums(cells, parts.of)
        whole = _sums(np.abs(cells).mean(axis=0, keepdims=True), np.abs(parts.of))[0]
        width = np.where(atoms.std(axis=0) > NOTHING * whole, atoms.std(axis=0), 0.0)
        bounded = (atoms.min(axis=0) >= -NOTHING * width) & (width > 0)
        every = np.kron(np.eye(len(forecast.months)), parts.summing)
        fixed = every[(cells == cells[0]).all(axis=0)]
        fixed = fixed[(np.abs(fixed) @ width) > 0]
        stated = np.tensordot(linear.a, parts.summing, axes=([2], [0])).reshape(len(linear.statements), -1)
        base = np.tensordot(linear.base, parts.summing, axes=([2], [0])).reshape(len(linear.statements), -1)
        divided = (base * width).any(axis=1)
        mean = atoms.mean(axis=0)
        # A share of nothing is no share: what a statement divides by keeps a little of its mean.
        floor = (LEFT * (base @ mean) - (1 - LEFT) * linear.base_known)[divided]
        offset = linear.a.reshape(len(stated), -1) @ cells.mean(axis=0) - stated @ mean
        return cls(
            mean, width, bounded, np.vstack([stated, fixed]),
            np.concatenate([linear.b - offset, fixed @ mean]), np.concatenate([linear.sd, np.zeros(len(fixed))]),
            base[divided], floor,
        )  # fmt: skip

    def nearest(self, atoms: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Nearest paths (P × c) with bounded parts at or above zero, and which (P) were not found.

        Newton's method on the dual of the weighted least-squares problem, one multiplier a held row, all paths at once.
        """
        weight = self.width**2
        size = np.sqrt((self.rows**2 * weight).sum(axis=1))
        used = size > 0
        rows, soft = self.rows[used] / size[used, None], (self.sd[used] / size[used]) ** 2
        cells = (rows * weight).any(axis=0)
        aims = atoms[:, cells] @ rows[:, cells].T
        by = np.zeros_like(aims)

        def at(by: np.ndarray, chosen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
            made = atoms[np.ix_(chosen, cells)] + (by @ rows[:, cells]) * weight[cells]
            made = np.where(self.bounded[cells], np.maximum(made, 0.0), made)
            slope = made @ rows[:, cells].T + by * soft - aims[chosen]
            free = (made > 0) | ~self.bounded[cells]
            value = 0.5 * (made**2 / weight[cells]).sum(axis=1)
            return slope, free, value + 0.5 * (by**2 * soft).sum(axis=1) - (by * aims[chosen]).sum(axis=1)

        todo = np.arange(len(atoms))
        for _ in range(NEWTON_STEPS):
            slope, free, value = at(by[todo], todo)
            going = np.abs(slope).max(axis=1, initial=0.0) > 1e-9
            todo, slope, free, value = todo[going], slope[going], free[going], value[going]
            if not len(todo):
                break
            metric = np.einsum("pc,kc,jc->pkj", free * weight[cells], rows[:, cells], rows[:, cells], optimize=True)
            metric += np.diag(soft) + 1e-9 * np.eye(len(soft))
            step = -np.linalg.solve(metric, slope[:, :, None])[:, :, 0]
            length = np.ones(len(todo))
            for _ in range(30):
                worse = at(by[todo] + length[:, None] * step, todo)[2] > value + 1e-4 * length * (step * slope).sum(
                    axis=1
                )
                worse &= np.abs(slope).max(axis=1) > 1e-6
                if not worse.any():
                    break
                length[worse] /= 2
            by[todo] += length[:, None] * step
        made = atoms + (by @ rows) * weight
        made = np.where(self.bounded, np.maximum(made, 0.0), made)
        off = np.abs(made[:, cells] @ rows[:, cells].T + by * soft - aims).max(axis=1, initial=0.0)
        return made, off > 1e-7

    def refuse_impossible(self, linear: Linear) -> None:
        """Refuse statements that no figures of zero or more satisfy, and say what is possible."""
        if self._least(np.zeros(len(self.mean)), np.ones(len(self.rows), dtype=bool)) is not None:
            return
        places = np.arange(len(self.rows))
        count = len(linear.statements)
        for at in range(count):
            for held, note in ((places >= count, ""), (places != at, " beside the other statements")):
                low, high = self._least(self.rows[at], held), self._least(-self.rows[at], held)
                slack = 1e-9 * abs(self.aims[at])
                if low is None or high is None or low - slack <= self.aims[at] <= -high + slack:
                    continue
                scale = abs(float(self.rows[at] @ self.mean))
                shift = float(linear.b[at] - self.aims[at])
                raise DataError(_impossible(linear.take([at]), low + shift, -high + shift, scale, note))
        raise DataError(f"No figures of zero or more satisfy all of: {'; '.join(x.text for x in linear.statements)}.")

    def _least(self, aim: np.ndarray, held: np.ndarray) -> float | None:
        """The least of aim · parts with these rows held; minus infinity without a least, nothing where none exists."""
        rows, least = self.rows[held] * self.width, self.least * self.width
        size, below = np.linalg.norm(rows, axis=1), np.linalg.norm(least, axis=1)
        weight = float(np.linalg.norm(aim * self.width)) or 1.0
        low = np.where(self.bounded, -self.mean / np.where(self.width > 0, self.width, 1.0), -np.inf)
        made = linprog(
            aim * self.width / weight,
            A_ub=-least / below[:, None],
            b_ub=(self.least @ self.mean - self.floor) / below,
            A_eq=rows / size[:, None],
            b_eq=(self.aims[held] - self.rows[held] @ self.mean) / size,
            bounds=[(float(one), None) if wide else (0.0, 0.0) for one, wide in zip(low, self.width > 0, strict=True)],
        )
        if made.status == 2:
            return None
        return float(made.fun * weight + aim @ self.mean) if made.status == 0 else -np.inf


def _impossible(linear: Linear, low: float, high: float, mean: float, note: str) -> str:
    one = linear.statements[0]
    said = f"{one.text!r} cannot be without negative figures{note}"
    if linear.base.any():
        return f"{said}: state a value nearer to the forecast."
    low, high = (0.0 if abs(at) < 1e-6 * mean else at for at in (low, high))
    low, high = (
        ((at + linear.top_known[0]) / linear.base_known[0] - one.factor[0]) / one.factor[1] for at in (low, high)
    )
    if np.isfinite(low) and one.value < low:
        return f"{said}: the lowest possible is {one.say(low)}."
    return f"{said}: the highest possible is {one.say(high)}."

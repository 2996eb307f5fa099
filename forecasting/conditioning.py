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

from forecasting.errors import DataError
from forecasting.forecast import Forecast
from forecasting.least_distance import least_distance
from forecasting.seeds import stream
from forecasting.statements import Linear

REDUNDANT = 1e-10
"""Eigenvalue of the statements' correlations below which one follows from the others."""
UNREPAIRED = 0.01
"""Share of paths that may fail to be repaired; they are replaced by others."""
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


def condition(forecast: Forecast, linear: Linear, seed: int = 0, parts: np.ndarray | None = None) -> Conditioned:
    """The whole cube (P × h × n) given statements A · X = b, each exact or with a standard deviation.

    Sums between series that hold on every path go on holding. ``parts`` (r × n; default: each series) are sums of
    series that stay at or above zero where no path was below: e.g. a row that is a parent less its listed children.
    Paths that would not are moved on by the most plausible step that leaves exact statements exact. Published cells
    stay. DataError for statements that contradict one another, are already decided, or would need a negative figure.
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
    shape = np.eye(len(forecast.series)) if parts is None else parts
    ready, repaired = _repaired(moved, forecast, shape, ordered, seed)
    distance = float(gap @ inverse @ gap)
    plausibility = Plausibility(distance, rank, float(stats.chi2.sf(distance, rank)), stated)
    return Conditioned(forecast.with_paths(ready.reshape(forecast.paths.shape)), plausibility, repaired)


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


def _repaired(
    moved: np.ndarray, forecast: Forecast, parts: np.ndarray, linear: Linear, seed: int
) -> tuple[np.ndarray, float]:
    """Paths (P × hn) whose parts stay at or above zero, and the share of paths that needed it.

    A step along deviations of the conditional paths keeps every sum and every exact statement; the shortest one that
    lifts the parts is the most plausible (its length is its Mahalanobis distance).
    """
    before = _parts(forecast.paths.reshape(moved.shape), parts)
    width = before.std(axis=0)
    bounded = (before.min(axis=0) >= -NOTHING * width) & (width > 0)
    after, slack = _parts(moved, parts), NOTHING * width
    hurt = np.flatnonzero(((after < -slack) & bounded).any(axis=1))
    if not len(hurt):
        return _rounded(moved, forecast), 0.0
    _refuse_impossible(forecast, parts, bounded, linear)
    ready, failed = _lifted(moved, parts, bounded, hurt, width)
    if len(failed) > UNREPAIRED * len(moved):
        raise DataError(
            f"{'; '.join(one.text for one in linear.statements)}: on {len(failed) / len(moved):.0%} of the paths this"
            " leaves no way without negative figures: give it a ± SD, a value nearer to the forecast, or more --paths."
        )
    good = np.setdiff1d(np.arange(len(moved)), failed)
    ready[failed] = ready[stream(seed, "condition", "replaced").choice(good, len(failed))]
    return _rounded(ready, forecast), len(hurt) / len(moved)


def _parts(cells: np.ndarray, parts: np.ndarray) -> np.ndarray:
    """Sums of series (P × hr) of cells (P × hn)."""
    return np.asarray((cells.reshape(len(cells), -1, parts.shape[1]) @ parts.T).reshape(len(cells), -1))


def _rounded(moved: np.ndarray, forecast: Forecast) -> np.ndarray:
    """Cells that are below zero by rounding alone are zero."""
    before = forecast.paths.reshape(moved.shape)
    slack = 10 * NOTHING * before.std(axis=0)
    return np.where((moved < 0) & (moved >= -slack) & (before.min(axis=0) >= 0), 0.0, moved)


def _lifted(
    moved: np.ndarray, parts: np.ndarray, bounded: np.ndarray, hurt: np.ndarray, width: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The paths with the hurt ones lifted, and which of them could not be."""
    ready, todo, failed = moved.copy(), hurt, []
    values, spread = _parts(moved, parts), moved - moved.mean(axis=0)
    risk = np.zeros(len(bounded), dtype=bool)
    while len(todo):
        low = ((_parts(ready[todo], parts) < -NOTHING * width) & bounded).any(axis=0)
        if not (low & ~risk).any():
            break
        risk |= low
        basis, root = np.linalg.qr(_parts(spread, parts)[:, risk] / width[risk] / np.sqrt(len(moved) - 1))
        reach = basis.T @ spread / np.sqrt(len(moved) - 1)
        for path in todo:
            step = least_distance(root.T, -values[path, risk] / width[risk])
            if step is None:
                failed.append(path)
            else:
                ready[path] = moved[path] + step @ reach
        left = np.setdiff1d(todo, failed)
        todo = left[((_parts(ready[left], parts) < -10 * NOTHING * width) & bounded).any(axis=1)]
    return ready, np.array([*failed, *todo], dtype=int)


def _refuse_impossible(forecast: Forecast, parts: np.ndarray, bounded: np.ndarray, linear: Linear) -> None:
    """Refuse statements that no cube without negative figures satisfies, and say what is possible."""
    space = _Possible.of(forecast, parts, bounded, linear)
    a, b = linear.a.reshape(len(linear.statements), -1), linear.b
    if space.reach(np.zeros(a.shape[1]), a, b) is not None:
        return
    for at in range(len(b)):
        others = np.arange(len(b)) != at
        for given, note in ((np.zeros(len(b), dtype=bool), ""), (others, " beside the other statements")):
            low, high = space.reach(a[at], a[given], b[given]), space.reach(-a[at], a[given], b[given])
            if low is None or high is None or (low - 1e-9 <= b[at] <= -high + 1e-9 * abs(high)):
                continue
            raise DataError(_impossible(linear.take([at]), low, -high, abs(float(a[at] @ space.mean)), note))
    raise DataError(f"No figures of zero or more satisfy all of: {'; '.join(one.text for one in linear.statements)}.")


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


@dataclass(frozen=True)
class _Possible:
    """All cubes without negative figures in which the sums between series hold: cells = mean + width × z."""

    mean: np.ndarray
    width: np.ndarray
    sums: np.ndarray
    below: np.ndarray
    floor: np.ndarray

    @classmethod
    def of(cls, forecast: Forecast, parts: np.ndarray, bounded: np.ndarray, linear: Linear) -> _Possible:
        h, n = forecast.paths.shape[1:]
        cells = forecast.paths.reshape(len(forecast.paths), -1)
        mean, width = cells.mean(axis=0), cells.std(axis=0)
        base = linear.base.reshape(len(linear.base), -1)
        divided = (base * width).any(axis=1)
        below = np.vstack([np.kron(np.eye(h), parts)[bounded], base[divided]])
        size = np.linalg.norm(below * width, axis=1)
        # A share of nothing is no share: what a statement divides by keeps a little of its mean.
        least = np.concatenate(
            [np.zeros(int(bounded.sum())), (LEFT * (base @ mean) - (1 - LEFT) * linear.base_known)[divided]]
        )
        sums = np.kron(np.eye(h), _identities((cells - mean).reshape(-1, n)))
        return cls(mean, width, sums * width, -below * width / size[:, None], (below @ mean - least) / size)

    def reach(self, aim: np.ndarray, a: np.ndarray, b: np.ndarray) -> float | None:
        """The least of aim · cells where A · cells = b; minus infinity without a least, nothing where none exists."""
        size = np.linalg.norm(a * self.width, axis=1)
        weight = float(np.linalg.norm(aim * self.width)) or 1.0
        made = linprog(
            aim * self.width / weight,
            A_ub=self.below,
            b_ub=self.floor,
            A_eq=np.vstack([self.sums, a * self.width / size[:, None]]),
            b_eq=np.concatenate([np.zeros(len(self.sums)), (b - a @ self.mean) / size]),
            bounds=[(None, None) if one else (0.0, 0.0) for one in self.width > 0],
        )
        if made.status == 2:
            return None
        return float(made.fun * weight + aim @ self.mean) if made.status == 0 else -np.inf


def _identities(spread: np.ndarray) -> np.ndarray:
    """Sums between series that are the same on every path: rows (r × n) with rows · deviations (… × n) = 0."""
    size = spread.std(axis=0)
    moving = size > 0
    root = np.linalg.qr(spread[:, moving] / size[moving], mode="r")
    _, values, vectors = np.linalg.svd(root)
    made = np.zeros((int((values < NOTHING * values[0]).sum()), len(size)))
    made[:, moving] = vectors[values < NOTHING * values[0]] / size[moving]
    return made

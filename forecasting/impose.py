"""Assumptions imposed on the paths of a forecast: what is assumed of a part goes exactly into all that holds it.

An assumption changes its target path by path. The target's parts, and the value that belongs to a quantity (or the
quantity to a value), move in the same proportion, so that unit prices stay as they were forecast; every whole gets the
difference added. A unit price moves values only. Nothing else is touched, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.forecast import Forecast
from forecasting.observations import with_derived
from forecasting.relations import Relations
from forecasting.scenario import Assumption, PassThrough, Scenario, Size
from forecasting.units import conversion

NORMAL_MONTHS = 24
"""Months before a break whose seasonal level counts as normal."""
FEWEST_NORMAL = 3
SPILL_MOST = 2.5
"""Standard deviations of an imposed change beyond which past errors say nothing about what others would do."""


@dataclass(frozen=True)
class Response:
    """What the models make of a covariate: factors (k × h) on a series at ``sizes`` (k), between them linearly."""

    sizes: np.ndarray
    factors: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Ground:
    """What an assumption is imposed upon besides the paths.

    ``history`` (T × n) holds published values; ``covariates`` (months × k) the levels that a changed covariate starts
    from; ``responses`` what the models make of one, by the label of the assumption. ``spillover`` lets series move that
    are no part of a target, as their past forecast errors went with its own.
    """

    catalogue: Catalogue
    history: pd.DataFrame
    seed: int = 0
    covariates: pd.DataFrame = field(default_factory=pd.DataFrame)
    responses: Mapping[str, Response] = field(default_factory=dict)
    spillover: bool = False


def impose(forecast: Forecast, scenario: Scenario, ground: Ground) -> Forecast:
    """The forecast under a scenario, on the same random numbers; without assumptions the same paths, bit for bit."""
    desk = _Desk(forecast, ground)
    for one in scenario.assumptions:
        desk.act(one)
    if ground.spillover:
        desk.spill_over()
    return replace(desk.forecast(), scenario=scenario.name)


def targets(assumption: Assumption, forecast: Forecast, catalogue: Catalogue) -> tuple[str, ...]:
    """The series that an assumption acts on; parts of another target follow it and are not named."""
    if assumption.covariate:
        named = [one.target for one in assumption.pass_through]
        return tuple(dict.fromkeys(one for pattern in named for one in _matching(pattern, forecast, catalogue)))
    return _matching(assumption.target, forecast, catalogue)


def _matching(pattern: str, forecast: Forecast, catalogue: Catalogue) -> tuple[str, ...]:
    found = catalogue.select([pattern])
    there = tuple(one for one in found if _reachable(one, forecast, catalogue))
    if not there:
        raise DataError(f"{found[0]} is not in this forecast: it cannot be assumed about.")
    return Relations(catalogue, (*forecast.series, *(one for one in there if catalogue[one].derived))).topmost(there)


def _reachable(series: str, forecast: Forecast, catalogue: Catalogue) -> bool:
    return series in forecast.series or (
        catalogue[series].derived and all(_reachable(one, forecast, catalogue) for one in catalogue[series].terms)
    )


class _Desk:
    """Paths by series (each P × h) while assumptions act on them one after another."""

    def __init__(self, forecast: Forecast, ground: Ground) -> None:
        self.base, self.ground = forecast, ground
        self.relations = Relations(ground.catalogue, forecast.series)
        self.old = {one: forecast.column(one) for one in forecast.series}
        self.cells = dict(self.old)
        self.struck: dict[str, None] = {}

    def forecast(self) -> Forecast:
        if all(self.cells[one] is before for one, before in self.old.items()):
            return self.base
        return self.base.with_paths(np.stack([self.cells[one] for one in self.base.series], axis=2))

    def act(self, one: Assumption) -> None:
        if one.covariate and not one.pass_through:
            self._respond(one)
            return
        if one.covariate:
            moves = [
                (target, self._passed(one, through))
                for through in one.pass_through
                for target in _matching(through.target, self.base, self.ground.catalogue)
            ]
            for target, factor in moves:
                self._set(target, self._values(target) * factor)
            return
        for target in targets(one, self.base, self.ground.catalogue):
            before = self._values(target)
            self._set(target, self._open(target, before, self._assumed(one, target, before)))
            after = self._values(target)
            for at, way in enumerate(one.reroute):
                self._send(one, at, target, before - after, way.to)

    # --- What the target becomes

    def _assumed(self, one: Assumption, target: str, before: np.ndarray) -> np.ndarray:
        strength = one.intensity(self.base.months)
        size = self._drawn(one, "size", one.size)
        if one.kind == "ban":
            return before * (1.0 - strength * size * (1.0 - self._drawn(one, "residual", one.residual)))
        if one.kind == "scale":
            return before * (1.0 + strength * size)
        if one.kind == "growth":
            return self._grown(target, before, strength, size)
        goal = {
            "shift": lambda: np.maximum(before + size, 0.0) if (before >= 0).all() else before + size,
            "cap": lambda: np.minimum(before, size),
            "floor": lambda: np.maximum(before, size),
            "path": lambda: self._levels(one) * (1.0 + size),
            "lift": lambda: before + size * (self._normal(one, target) - before),
        }[one.kind]()
        return _towards(before, goal, strength)

    def _grown(self, target: str, before: np.ndarray, strength: np.ndarray, size: np.ndarray) -> np.ndarray:
        known = self._history(target)
        after = before.copy()
        for row, month in enumerate(self.base.months):
            if strength[row] > 0:
                ago = after[:, row - 12] if row >= 12 else np.full(len(after), known.get(month - 12, np.nan))
                if np.isnan(ago).any():
                    raise DataError(f"growth of {target} in {month} needs {month - 12}, which is not known.")
                goal = (ago * (1.0 + size[:, 0]))[:, None]
                after[:, [row]] = _towards(before[:, [row]], goal, strength[[row]])
        return after

    def _levels(self, one: Assumption) -> np.ndarray:
        since = np.clip(self.base.months.asi8 - one.start.ordinal, 0, len(one.levels) - 1)
        return np.array(one.levels)[since]

    def _normal(self, one: Assumption, target: str) -> np.ndarray:
        """Mean of the same calendar months in the two years before the break (h); of all where there is none."""
        assert one.since is not None
        known = self._history(target).loc[one.since - NORMAL_MONTHS : one.since - 1].dropna()
        if len(known) < FEWEST_NORMAL:
            raise DataError(
                f"{one.label}: {len(known)} months of {target} are known before {one.since}; to say what was normal,"
                f" {FEWEST_NORMAL} are needed: name a later break, or use kind path."
            )
        by_month = known.groupby([month.month for month in known.index]).mean()
        return np.array([by_month.get(month.month, known.mean()) for month in self.base.months])

    def _passed(self, one: Assumption, through: PassThrough) -> np.ndarray:
        """Factor (P × h) on the targets of a pass-through."""
        change = self._covariate_factor(one)
        late = np.ones_like(change)
        late[:, through.lag :] = change[:, : change.shape[1] - through.lag]
        return np.asarray(late ** self._drawn(one, f"elasticity {through.target}", through.elasticity))

    def _covariate_factor(self, one: Assumption) -> np.ndarray:
        strength, size = one.intensity(self.base.months), self._drawn(one, "size", one.size)
        if one.kind == "scale":
            return np.asarray(1.0 + strength * size)
        base = self.ground.covariates[one.target].reindex(self.base.months).to_numpy(dtype=float)
        goal = base + size if one.kind == "shift" else self._levels(one) * (1.0 + size)
        return np.asarray(_towards(np.broadcast_to(base, goal.shape), goal, strength) / base)

    def _respond(self, one: Assumption) -> None:
        response = self.ground.responses[one.label]
        drawn = self._drawn(one, "size", one.size)[:, 0]
        for series, factors in response.factors.items():
            at = np.stack([np.interp(drawn, response.sizes, column) for column in factors.T], axis=1)
            whole, rest, _ = series.partition("|")
            if rest:
                held = self.base.column(series) * (at - 1.0)
                self._add(whole, held)
            elif series in self.cells:
                self._put({series: self.cells[series] * at})

    # --- How others follow

    def _set(self, target: str, after: np.ndarray) -> None:
        """Give a target its new values (P × h), and everything that belongs to it its share of the change."""
        before = self._values(target)
        if np.array_equal(after, before, equal_nan=True):
            return
        self.struck[target] = None
        entry = self.ground.catalogue[target]
        factor = np.divide(after, before, out=np.ones_like(before), where=(before != 0) & ~np.isnan(before))
        if entry.formula == "ratio":
            value = entry.terms[0]
            if value in self.cells:
                self._put({one: self.cells[one] * factor for one in (value, *self.relations.below(value))})
            else:  # of other countries: their value is what the world's holds besides
                whole = self.ground.catalogue[value].terms[0]
                self._put({whole: self.cells[whole] + self._values(value) * (factor - 1.0)})
        elif entry.formula == "sum":
            shares = np.stack([self.cells[one].mean(axis=0) for one in entry.terms])
            shares = np.divide(shares, shares.sum(axis=0), out=np.full_like(shares, 1 / len(shares)), where=shares > 0)
            for one, share in zip(entry.terms, shares, strict=True):
                self._set(one, np.where(before != 0, self.cells[one] * factor, share * after))
        elif entry.formula:
            self._add(entry.terms[0], after - before)
        else:
            moved = {one: self.cells[one] * factor for one in self.relations.family(target) if one in self.cells}
            moved[target] = after
            if (partner := self.relations.partner(target)) and (begun := (before == 0) & (after != 0)).any():
                moved[partner] = np.where(begun, after * self._per_unit(partner, target), moved[partner])
            self._put(moved)

    def _add(self, series: str, change: np.ndarray) -> None:
        """Add to a series itself, not to its parts; it never falls below them. Its partner moves at its unit price."""
        parts = self.relations.parts(series)
        factors = [self.relations.above(one)[series] for one in parts]
        inside = sum((self.cells[one] * by for one, by in zip(parts, factors, strict=True)), np.zeros_like(change))
        after = np.maximum(self.cells[series] + change, np.minimum(inside, self.cells[series]))
        moved = {series: after}
        if partner := self.relations.partner(series):
            worth = (after - self.cells[series]) * self._per_unit(partner, series)
            moved[partner] = np.maximum(self.cells[partner] + worth, 0.0)
        self._put(moved)

    def _put(self, moved: Mapping[str, np.ndarray]) -> None:
        """Take new values, and add the changes to every whole that was not given a value itself."""
        moved = {one: after for one, after in moved.items() if not np.array_equal(after, self.cells[one])}
        above = {one: self.relations.above(one) for one in moved}
        for whole in dict.fromkeys(upper for one in moved for upper in above[one] if upper not in moved):
            inside = [one for one in moved if whole in above[one]]
            # Of a part of another of them the change is counted there.
            top = [one for one in inside if not any(other in above[one] for other in inside)]
            self.cells[whole] = self.cells[whole] + sum(
                (moved[one] - self.cells[one]) * above[one][whole] for one in top
            )
        self.cells.update(moved)

    def _send(self, one: Assumption, at: int, target: str, lost: np.ndarray, to: str) -> None:
        """Re-route a share of what a target lost (P × h) to another series."""
        way = one.reroute[at]
        entry, catalogue = self.ground.catalogue[to], self.ground.catalogue
        goes = np.zeros_like(lost)
        goes[:, way.lag :] = lost[:, : lost.shape[1] - way.lag]
        goes *= self._drawn(one, f"reroute {to}", way.share) * conversion(catalogue[target].unit, entry.unit)
        if goes.any():
            self._add(entry.terms[0] if entry.formula == "difference" else to, goes)

    def spill_over(self) -> None:
        """Move what no assumption reached, by regression on the targets' changes over the paths of the baseline."""
        old, now = self.old, self.cells
        roots = [one for one in self.struck if one in old and not np.array_equal(now[one], old[one])]
        still = [one for one in old if now[one] is old[one] and not self.relations.parts(one) and "|" not in one]
        moved: dict[str, np.ndarray] = {one: old[one].copy() for one in still}
        for row in range(len(self.base.months)):
            cells = np.stack([old[one][:, row] for one in roots + still], axis=1) if roots else np.empty((0, 0))
            if not cells.size or (cells.std(axis=0) == 0).any():
                continue
            change = np.array([(now[one][:, row] - old[one][:, row]).mean() for one in roots])
            size = np.clip(change / cells[:, : len(roots)].std(axis=0), -SPILL_MOST, SPILL_MOST)
            related = np.corrcoef(cells.T)
            k = len(roots)
            pull = related[k:, :k] @ np.linalg.pinv(related[:k, :k] + 0.01 * np.eye(k)) @ size
            for one, by in zip(still, pull, strict=True):
                moved[one][:, row] = np.maximum(old[one][:, row] + by * old[one][:, row].std(), 0.0)
        for one, after in moved.items():
            self._put({one: after})

    # --- What is there

    def _values(self, series: str, cells: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """Paths of a stored or derived series (P × h), as they are now; the mean price where nothing is traded."""
        cells = self.cells if cells is None else cells
        if series in cells:
            return cells[series]
        entry = self.ground.catalogue[series]
        if entry.formula == "ratio":
            value, quantity = (self._values(one, cells) for one in entry.terms)
            price = self._per_unit(*entry.terms)
            return np.divide(value, quantity, out=np.broadcast_to(price, value.shape).copy(), where=quantity > 0)
        first = self._values(entry.terms[0], cells)
        if entry.formula == "rest":
            parts = self.relations.parts(entry.terms[0])
            return np.asarray(np.maximum(first - sum(cells[one] for one in parts), 0.0))
        second = self._values(entry.terms[1], cells)
        by = conversion(self.ground.catalogue[entry.terms[1]].unit, entry.unit)
        return first - second * by if entry.formula == "difference" else first + second

    def _per_unit(self, value: str, quantity: str) -> np.ndarray:
        """Mean of one per mean of the other (h)."""
        before, now = (
            [self._values(one, of).mean(axis=0) for one in (value, quantity)] for of in (self.old, self.cells)
        )
        price = np.divide(before[0], before[1], out=np.zeros_like(before[0]), where=before[1] > 0)
        return np.divide(now[0], now[1], out=price, where=now[1] > 0)

    def _history(self, target: str) -> pd.Series:
        return with_derived(self.ground.history, self.ground.catalogue, [target])[target]

    def _open(self, target: str, before: np.ndarray, after: np.ndarray) -> np.ndarray:
        """Published months stay as they were published."""
        if target not in self.base.series:
            return after
        ahead = self.base.steps()[:, self.base.series.index(target)] >= 1
        return after if ahead.all() else np.where(ahead, after, before)

    def _drawn(self, one: Assumption, what: str, size: Size) -> np.ndarray:
        return one.draws(what, size, len(self.base.paths), self.ground.seed)[:, None]


def _towards(before: np.ndarray, goal: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Part of the way from one to the other (P × h); all of it, and none of it, without rounding."""
    return np.where(strength >= 1.0, goal, before + strength * (goal - before))

"""Assumptions imposed on the paths of a forecast: what is assumed of a part goes exactly into all that holds it.

An assumption changes its target path by path. The target's parts, and the value that belongs to a quantity (or the
quantity to a value), move in the same proportion, so that unit prices stay as they were forecast; every whole gets the
difference added. A unit price moves values only. Nothing else is touched, bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

import numpy as np
import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.forecast import Forecast
from forecasting.observations import with_derived
from forecasting.relations import Relations
from forecasting.scenario import SPANS, Assumption, PassThrough, Reroute, Scenario, Size
from forecasting.units import conversion

NORMAL_MONTHS = 24
"""Months before a break whose seasonal level counts as normal."""
FEWEST_NORMAL = 3
SPILL_MOST = 2.5
"""Standard deviations of an imposed change beyond which past errors say nothing about what others would do."""
RIDGE = 0.01
"""Added to the targets' correlations, of which some may follow from others."""
DUST = 1e-9
"""Share of a series' mean below which a path holds nothing but rounding."""


@dataclass(frozen=True)
class Response:
    """What the models make of a covariate: factors (k × h) on a series at ``sizes`` (k), between them linearly."""

    sizes: np.ndarray
    factors: Mapping[str, np.ndarray]


@dataclass(frozen=True)
class Ground:
    """What an assumption is imposed upon besides the paths.

    ``history`` (T × n) holds published values; ``covariates`` (months × k) the levels that a changed covariate starts
    from; ``responses`` what the models make of one, by the assumption. ``spillover`` lets series move that
    are no part of a target, as their past forecast errors went with its own.
    """

    catalogue: Catalogue
    history: pd.DataFrame
    seed: int = 0
    covariates: pd.DataFrame = field(default_factory=pd.DataFrame)
    responses: Mapping[Assumption, Response] = field(default_factory=dict)
    spillover: bool = False


def impose(forecast: Forecast, scenario: Scenario, ground: Ground) -> Forecast:
    """The forecast under a scenario, on the same random numbers; without assumptions the same paths, bit for bit."""
    desk = _Desk(forecast, ground)
    for one in scenario.assumptions:
        desk.act(one)
    if ground.spillover:
        desk.spill_over()
    return replace(desk.forecast(), scenario=scenario.name)


class _Desk:
    """Paths by series (each P × h) while assumptions act on them one after another."""

    def __init__(self, forecast: Forecast, ground: Ground) -> None:
        self.base, self.ground = forecast, ground
        self.relations = Relations(ground.catalogue, forecast.series)
        self.old = {one: forecast.column(one) for one in forecast.series}
        self.there = Relations(ground.catalogue, tuple(dict.fromkeys((*self.old, *self._computable()))))
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
                for target in self._matching(through.target)
            ]
            for target, factor in moves:
                self._set(target, self._values(target) * factor)
            return
        for target in self._matching(one.target):
            before = self._values(target)
            self._set(target, self._assumed(one, target, before))
            lost = before - self._values(target)
            for way in one.reroute:
                self._send(one, way, target, lost)

    # --- What the target becomes

    def _assumed(self, one: Assumption, target: str, before: np.ndarray) -> np.ndarray:
        strength = one.intensity(self.base.months) * self._ahead(target)
        size = self._drawn(one, "size", one.size)
        if one.kind == "ban":
            return before * (1.0 - strength * size * (1.0 - self._drawn(one, "residual", one.residual)))
        if one.kind == "scale":
            return before * (1.0 + strength * size)
        if one.kind == "shift":
            return _not_below_zero(before, before + strength * size)
        if one.kind == "growth":
            return self._grown(target, before, strength, size)
        goal = {
            "cap": lambda: np.minimum(before, size if one.per == "month" else self._left(one, before, strength, size)),
            "floor": lambda: np.maximum(before, size),
            "path": lambda: one.given(self.base.months) * (1.0 + size),
            "lift": lambda: _not_below_zero(before, before + size * _one_way(self._normal(one, target) - before)),
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

    def _left(self, one: Assumption, before: np.ndarray, strength: np.ndarray, quota: np.ndarray) -> np.ndarray:
        """What is left of a quota in each month (P × h), first come first served; months without it use nothing."""
        spans = self.base.months.asfreq(SPANS[one.per])
        left = np.full_like(before, np.inf)
        used = np.zeros_like(quota)
        for row in range(len(spans)):
            if row and spans[row] != spans[row - 1]:
                used = np.zeros_like(quota)
            if strength[row] > 0:
                left[:, [row]] = np.maximum(quota - used, 0.0)
                used = used + np.minimum(before[:, [row]], left[:, [row]])
        return left

    def _normal(self, one: Assumption, target: str) -> np.ndarray:
        """What is normal of the target (h)."""
        assert one.since is not None
        return normal_levels(self._history(target), one, self.base.months)

    def _passed(self, one: Assumption, through: PassThrough) -> np.ndarray:
        """Factor (P × h) on the targets of a pass-through."""
        late = _later(self._covariate_factor(one), through.lag, 1.0)
        return np.asarray(late ** self._drawn(one, f"elasticity {through.target}", through.elasticity))

    def _covariate_factor(self, one: Assumption) -> np.ndarray:
        strength, size = one.intensity(self.base.months), self._drawn(one, "size", one.size)
        if one.kind == "scale":
            return np.asarray(1.0 + strength * size)
        base = self.ground.covariates[one.target].reindex(self.base.months).to_numpy(dtype=float)
        goal = one.goal(base, self.base.months, size)
        level = _towards(np.broadcast_to(base, goal.shape), goal, strength)
        if not (np.minimum(level, base) > 0).all():
            raise DataError(
                f"{one.label}: {one.target} is not above zero in every month to {self.base.months[-1]}, and percents"
                " of it are passed through: extend the covariates, or change the size."
            )
        return np.asarray(level / base)

    def _respond(self, one: Assumption) -> None:
        response = self.ground.responses[one]
        drawn = self._drawn(one, "size", one.size)[:, 0]
        for series, factors in response.factors.items():
            at = np.stack([np.interp(drawn, response.sizes, column) for column in factors.T], axis=1)
            whole, rest, _ = series.partition("|")
            if rest:
                self._put({whole: self._raised(whole, self.base.column(series) * (at - 1.0))})
            elif series in self.cells:
                self._put({series: self.cells[series] * at})

    # --- How others follow

    def _set(self, target: str, after: np.ndarray) -> None:
        """Give a target its new values (P × h), and everything that belongs to it its share of the change."""
        before = self._values(target)
        if np.array_equal(after, before, equal_nan=True):
            return
        there = self._is_there(target, before)
        factor = np.divide(after, before, out=np.ones_like(before), where=there)
        formula = self.ground.catalogue[target].formula
        if formula == "ratio":
            self._reprice(target, factor)
        elif formula == "sum":
            self._share_out(target, after, factor, there)
        elif formula:
            self._add(target, after - before)
        else:
            family = sorted(self.relations.family(target))  # a set has another order in every process
            moved = {one: self.cells[one] * factor for one in family if one in self.cells}
            moved[target] = after
            if (partner := self.relations.partner(target)) and not there.all():
                begun = np.where(after != before, after * self._per_unit(partner, target), moved[partner])
                moved[partner] = np.where(there, moved[partner], begun)
            self._strike(target, moved)

    def _is_there(self, target: str, before: np.ndarray) -> np.ndarray:
        """Where there is more of it (P × h) than what rounding leaves of nothing."""
        return np.asarray(np.abs(before) > DUST * np.abs(self._values(target, self.old)).mean(axis=0))

    def _reprice(self, price: str, factor: np.ndarray) -> None:
        value = self.ground.catalogue[price].terms[0]
        if value in self.cells:
            self._strike(value, {one: self.cells[one] * factor for one in (value, *self.relations.below(value))})
        else:  # of other countries: their value is what the world's holds besides
            whole = self.ground.catalogue[value].terms[0]
            self._strike(whole, {whole: self._raised(whole, self._values(value) * (factor - 1.0))})

    def _share_out(self, total: str, after: np.ndarray, factor: np.ndarray, there: np.ndarray) -> None:
        """Terms of a sum move in proportion; where there was nothing, by their usual shares."""
        terms = self.ground.catalogue[total].terms
        shares = np.stack([self._values(one, self.old).mean(axis=0) for one in terms])
        shares = np.divide(shares, shares.sum(axis=0), out=np.full_like(shares, 1 / len(shares)), where=shares > 0)
        # Of what the terms sum to, which rounding may have moved a little away from the total.
        now = sum((self._values(one) for one in terms), np.zeros_like(after))
        factor = np.divide(after, now, out=factor.copy(), where=now > 0)
        for one, share in zip(terms, shares, strict=True):
            self._set(one, np.where(there, self._values(one) * factor, share * after))
        if total in self.cells:
            self.cells[total] = self._published(total, after)

    def _add(self, series: str, change: np.ndarray, worth: np.ndarray | None = None) -> None:
        """Add (P × h) to a series itself, not to its parts; its partner moves by ``worth``, or at their unit price."""
        root = self._root(series)
        moved = {root: self._raised(root, change)}
        if partner := self.relations.partner(series):
            held = self._root(partner)
            by = (moved[root] - self.cells[root]) * self._rate(partner, series) if worth is None else worth
            moved[held] = self._raised(held, by)
        self._strike(root, moved)

    def _root(self, series: str) -> str:
        """What is stored of a series that is left of another: that other."""
        return series if series in self.cells else self.ground.catalogue[series].terms[0]

    def _raised(self, series: str, change: np.ndarray) -> np.ndarray:
        """A series with this added (P × h); it does not fall below its parts by it."""
        now = self.cells[series]
        least = np.maximum.reduce(
            [
                sum((self.cells[one] * by for one, by in parts.items()), np.zeros_like(now))
                for parts in self.relations.fillings(series)
            ]
        )
        return np.asarray(np.maximum(now + change, np.minimum(least, now)))

    def _strike(self, target: str, moved: Mapping[str, np.ndarray]) -> None:
        self.struck[target] = None
        self._put(moved)

    def _put(self, moved: Mapping[str, np.ndarray]) -> None:
        """Take new values, and add the changes to every whole that was not given a value itself."""
        moved = {one: self._published(one, after) for one, after in moved.items()}
        moved = {one: after for one, after in moved.items() if not np.array_equal(after, self.cells[one])}
        above = {one: self.relations.above(one) for one in moved}
        for whole in dict.fromkeys(upper for one in moved for upper in above[one] if upper not in moved):
            inside = [one for one in moved if whole in above[one]]
            # Of a part of another of them the change is counted there.
            top = [one for one in inside if not any(other in above[one] for other in inside)]
            before = self.cells[whole]
            after = before + sum((moved[one] - self.cells[one]) * above[one][whole] for one in top)
            # Rounding leaves a whole that lost all its parts a little above or below nothing.
            self.cells[whole] = self._published(whole, np.where((after < 0) & (before >= 0), 0.0, after))
        self.cells.update(moved)

    def _send(self, one: Assumption, way: Reroute, target: str, lost: np.ndarray) -> None:
        """Re-route a share of what a target lost (P × h) to another series."""
        catalogue = self.ground.catalogue
        if not self._reachable(way.to):
            raise DataError(f"{one.label}: {way.to} is not in this forecast: nothing can be re-routed to it.")
        share = self._drawn(one, f"reroute {way.to}", way.share)
        goes = _later(lost, way.lag, 0.0) * share * conversion(catalogue[target].unit, catalogue[way.to].unit)
        if goes.any():
            worth = _later(lost * self._price_here(target), way.lag, 0.0) * share if way.at_origin else None
            self._add(way.to, goes, worth)

    def _price_here(self, target: str) -> np.ndarray:
        """Value of one of the target in the baseline, or its quantity for one of a value (P × h)."""
        partner = self.relations.partner(target)
        return self._rate(partner, target, self.old) if partner else np.zeros(self.base.paths.shape[:2])

    def spill_over(self) -> None:
        """Move what no assumption reached, by regression on the targets' changes over the paths of the baseline."""
        old, now = self.old, self.cells
        roots = [one for one in self.struck if not np.array_equal(now[one], old[one])]
        still = [one for one in old if now[one] is old[one] and not self.relations.below(one) and "|" not in one]
        moved = {one: old[one].copy() for one in still}
        for row in range(len(self.base.months)):
            varies = {one: spread for one in roots + still if (spread := old[one][:, row].std()) > 0}
            causes = [one for one in roots if one in varies]
            others = [one for one in still if one in varies]
            if not causes or not others:
                continue
            change = np.stack([(now[one][:, row] - old[one][:, row]) / varies[one] for one in causes])
            related = np.corrcoef([old[one][:, row] for one in causes + others])
            k = len(causes)
            pull = related[k:, :k] @ np.linalg.pinv(related[:k, :k] + RIDGE * np.eye(k))
            for one, by in zip(others, pull @ np.clip(change, -SPILL_MOST, SPILL_MOST), strict=True):
                after = old[one][:, row] + by * varies[one]
                moved[one][:, row] = np.where(old[one][:, row] >= 0, np.maximum(after, 0.0), after)
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
            parts = [cells[one] for one in self.ground.catalogue.children(entry.terms[0]) if one in cells]
            return np.asarray(np.maximum(first - sum(parts, np.zeros_like(first)), 0.0))
        others = [self._values(one, cells) for one in entry.terms[1:]]
        if entry.formula == "sum":
            return np.asarray(sum(others, first))
        return first - others[0] * conversion(self.ground.catalogue[entry.terms[1]].unit, entry.unit)

    def _rate(self, partner: str, series: str, cells: Mapping[str, np.ndarray] | None = None) -> np.ndarray:
        """One by the other on every path (P × h); the mean rate where one of them is nothing."""
        top, base = self._values(partner, cells), self._values(series, cells)
        usual = np.broadcast_to(self._per_unit(partner, series), base.shape)
        return np.divide(top, base, out=usual.copy(), where=(top > 0) & (base > 0))

    def _per_unit(self, value: str, quantity: str) -> np.ndarray:
        """Mean of one per mean of the other (h)."""
        before, now = (
            [self._values(one, of).mean(axis=0) for one in (value, quantity)] for of in (self.old, self.cells)
        )
        price = np.divide(before[0], before[1], out=np.zeros_like(before[0]), where=before[1] > 0)
        return np.divide(now[0], now[1], out=price, where=now[1] > 0)

    def _history(self, target: str) -> pd.Series:
        return with_derived(self.ground.history, self.ground.catalogue, [target])[target]

    def _matching(self, pattern: str) -> tuple[str, ...]:
        """The series that an assumption acts on; parts of another target follow it and are not named."""
        found = self.ground.catalogue.select([pattern])
        there = tuple(one for one in found if self._reachable(one))
        if not there:
            raise DataError(f"{found[0]} is not in this forecast: it cannot be assumed about.")
        return self.there.topmost(there)

    def _reachable(self, series: str) -> bool:
        entry = self.ground.catalogue.get(series)
        return series in self.old or bool(entry and entry.derived and all(self._reachable(one) for one in entry.terms))

    def _computable(self) -> list[str]:
        return [one for one in self.ground.catalogue if self._reachable(one)]

    def _ahead(self, series: str) -> np.ndarray:
        """Months that are not published (h); of a derived series, in none of its terms."""
        if series in self.base.series:
            return np.asarray(self._steps[:, self.base.series.index(series)] >= 1)
        return np.all([self._ahead(one) for one in self.ground.catalogue[series].terms], axis=0)

    def _published(self, series: str, after: np.ndarray) -> np.ndarray:
        """These values (P × h), but what was published in the months in which it was."""
        ahead = self._ahead(series)
        return after if ahead.all() else np.where(ahead, after, self.cells[series])

    @cached_property
    def _steps(self) -> np.ndarray:
        return self.base.steps()

    def _drawn(self, one: Assumption, what: str, size: Size) -> np.ndarray:
        return one.draws(what, size, len(self.base.paths), self.ground.seed)[:, None]


def normal_months(history: pd.Series, since: pd.Period) -> pd.Series:
    """The published months before a break whose level counts as normal."""
    return history.loc[since - NORMAL_MONTHS : since - 1].dropna()


def normal_levels(history: pd.Series, one: Assumption, months: pd.PeriodIndex) -> np.ndarray:
    """Mean of the same calendar months in the two years before the break (h); of all if less than one is known."""
    assert one.since is not None
    known = normal_months(history, one.since)
    if len(known) < FEWEST_NORMAL:
        raise DataError(
            f"{one.label}: {len(known)} months of {history.name} are known before {one.since}; to say what was normal,"
            f" {FEWEST_NORMAL} are needed: name a later break, or use kind path."
        )
    by_month = known.groupby([month.month for month in known.index]).mean()
    if len(by_month) < 12:  # one spring says nothing about a season
        return np.full(len(months), known.mean())
    return np.array([by_month[month.month] for month in months])


def _not_below_zero(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """What was never negative stays so (P × h)."""
    return np.maximum(after, 0.0) if (before >= 0).all() else after


def _later(values: np.ndarray, lag: int, before: float) -> np.ndarray:
    """The same (P × h) some months later; ``before`` it arrives."""
    late = np.full_like(values, before)
    late[:, lag:] = values[:, : max(values.shape[1] - lag, 0)]
    return late


def _one_way(gap: np.ndarray) -> np.ndarray:
    """Gaps (P × h) with the sign that they have on average, else none: what is undone pulls no path the other way."""
    return np.asarray(np.where(gap * gap.mean(axis=0) > 0, gap, 0.0))


def _towards(before: np.ndarray, goal: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Part of the way from one to the other (P × h); all of it, and none of it, without rounding."""
    return np.where(strength >= 1.0, goal, before + strength * (goal - before))

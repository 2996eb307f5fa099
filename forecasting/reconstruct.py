"""Months estimated from what was printed about them: levels, growth, running totals and shares.

Every fact is a linear equation in the months, exact but for the rounding of its last digit and for what was
revised after its source had read the figure. The months are a generalised least-squares fit to all facts at once
and to a weak random walk, which keeps months that no fact determines from being free. A fact is judged by what the
others predict of it (leave-one-out residual, as in Baarda's data snooping, 1968); the worst is set aside first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import pandas as pd
from scipy.linalg import solve_triangular
from scipy.optimize import nnls

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.observations import OBSERVATION_COLUMNS
from forecasting.published_facts import GROWTH, Fact

MONTH_COLUMNS = (*OBSERVATION_COLUMNS, "prior", "facts")
JUDGED_COLUMNS = (
    "period", "series", "measure", "printed", "unit", "fitted", "z", "checked", "verdict", "against", "source",
)  # fmt: skip
VERDICTS = ("agrees", "alone", "undecided", "set aside")
ESTIMATED = ("reconstructed", "published_in_press")

# Between first release and today; what the embedded months were fitted with.
REVISION = 0.003
# Standard deviation of a month's change, as a share of its level, where nothing is printed.
WANDER = 0.5
# 1 in 1,000 of correct facts lies beyond (Baarda's choice).
CRITICAL = 3.29
# Two facts that would each explain a conflict are told apart at odds of 20 to 1: twice their logarithm.
TOLD_APART = 6.0
# A month is left out when more of its estimate than this comes from the random walk.
MOST_PRIOR = 0.25
# So many facts with the largest residuals are left out one by one to see which is wrong.
SUSPECTS = 4
# An implied month rests on growth printed to 0.1 points; no other figure is believed beyond a hundred-thousandth.
IMPLIED_ERROR, LEAST_ERROR = 0.0003, 1e-5
UNCHECKED = 1e-3
# The first month of a random walk lies within so many times the typical level of the series.
FIRST = 3.0
ITERATIONS, SETTLED = 100, 1e-8
# Errors that are shares of a level see no less than this share of the typical one.
LEAST_LEVEL = 0.1


@dataclass(frozen=True)
class Reconstruction:
    """Estimated months and those left out (MONTH_COLUMNS both), facts with verdicts (JUDGED_COLUMNS), assumptions.

    ``prior`` is the share of a month's variance that the random walk leaves, ``facts`` how many speak of it.
    ``scatter`` is the weighted sum of squares of the facts' residuals by its expectation: 1 where facts are as exact
    as stated, less where more so.
    """

    months: pd.DataFrame
    facts: pd.DataFrame
    left_out: pd.DataFrame
    scatter: float
    remarks: tuple[str, ...] = ()

    def only(self, series: Iterable[str]) -> Reconstruction:
        """The months of these series, and all facts: any of them may have been needed."""
        wanted = set(series)
        tables = {name: getattr(self, name) for name in ("months", "left_out")}
        return replace(
            self, **{name: table[table["series"].isin(wanted)].reset_index(drop=True) for name, table in tables.items()}
        )

    @property
    def observations(self) -> pd.DataFrame:
        """The estimated months as rows of OBSERVATION_COLUMNS."""
        return self.months[list(OBSERVATION_COLUMNS)]


# --- Fitting


@dataclass(frozen=True)
class _System:
    """Facts that hang together through their series, and what is known of those series.

    Unknowns are the months of the series, one after another (N); ``known`` (N) is NaN where nothing is.
    """

    facts: tuple[Fact, ...]
    series: tuple[str, ...]
    months: pd.PeriodIndex
    known: np.ndarray
    known_error: np.ndarray
    revision: float
    wander: float

    @cached_property
    def scales(self) -> np.ndarray:
        """A typical month of each series, repeated for its months (N)."""
        return np.repeat([self._scale(at, one) for at, one in enumerate(self.series)], len(self.months))

    def _scale(self, at: int, series: str) -> float:
        known = self.known.reshape(len(self.series), -1)[at]
        own = [one.monthly for one in self.facts if one.terms == ((series, 1.0),) and one.target > 0]
        # Only growth, or only as a part of a sum: as large as what it is a part of.
        wider = [one.monthly / len(self.series) for one in self.facts if one.target > 0]
        typical = [float(np.median(of)) for of in (known[known > 0], own) if len(of)]
        return max(typical, default=float(np.median(wider)) if wider else 1.0)

    @cached_property
    def spans(self) -> _Spans:
        """What the facts add up, in numbers."""
        listed = [(at, span) for at, fact in enumerate(self.facts) for span in fact.spans]
        sums = np.zeros((len(listed), self.known.size))
        for number, (_, (terms, start, end, _)) in enumerate(listed):
            for series, sign in terms:
                first = self.series.index(series) * len(self.months) + (start - self.months[0]).n
                sums[number, first : first + (end - start).n + 1] += sign
        seen = [(self.facts[at].source, terms, start, end) for at, (terms, start, end, _) in listed]
        return _Spans(
            sums,
            np.array([factor for _, (*_, factor) in listed]),
            np.eye(len(self.facts))[[at for at, _ in listed]].T,
            np.array(pd.factorize(np.array([str(one) for one in seen], dtype=object))[0]),
        )

    @cached_property
    def targets(self) -> np.ndarray:
        """The right-hand sides of the equations (F)."""
        return np.array([fact.target for fact in self.facts])

    @cached_property
    def rows(self) -> np.ndarray:
        """The equations of the facts (F × N)."""
        of = self.spans
        return np.asarray(of.owner @ (of.factor[:, None] * of.sums))

    def errors(self, x: np.ndarray) -> np.ndarray:
        """Covariance of the equations (F × F): rounding of each, and revisions that facts of one source share.

        What a source read of a series over a span differs from today's by one relative revision.
        """
        of = self.spans
        added = of.sums @ x
        step = np.array([fact.step for fact in self.facts])
        base = np.array(
            [added[of.owner[at] > 0][-1] if len(one.spans) > 1 else 1.0 for at, one in enumerate(self.facts)]
        )
        least = LEAST_ERROR * np.abs(self.rows) @ x
        rounding = np.maximum(step * np.abs(base) / np.sqrt(12.0), least)
        shared = self.revision * (of.owner * (of.factor * added)) @ np.eye(of.seen.max() + 1)[of.seen]
        return np.diag(rounding**2) + shared @ shared.T


@dataclass(frozen=True)
class _Spans:
    """Spans of months that facts speak of (K): what each adds up (K × N) and its factor in the equation (K), whose it
    is (F × K, 0 or 1), and a number for what one source read of one span (K)."""

    sums: np.ndarray
    factor: np.ndarray
    owner: np.ndarray
    seen: np.ndarray


@dataclass(frozen=True)
class _Fit:
    """Months (N) with their covariance (N × N) and the share of their variance that the random walk leaves (N); for
    each fact its residual against what all others say in standard errors, ``z``, and ``checked``, how far the others
    check it (0 to 1, Baarda's redundancy number); and the sum of squares of the residuals with its expectation."""

    x: np.ndarray
    covariance: np.ndarray
    prior: np.ndarray
    misfit: float
    z: np.ndarray
    checked: np.ndarray
    scatter: tuple[float, float]


def _fit(system: _System, widened: np.ndarray, first: np.ndarray | None = None) -> _Fit:
    """Solve with the error of every fact times ``widened`` (F; infinite: set aside) from a first guess (N).

    Iterated, because errors of growth rates and of the random walk are shares of what is estimated.
    """
    scales = system.scales
    x = scales if first is None else first
    for _ in range(ITERATIONS):
        levels = np.maximum(x, LEAST_LEVEL * scales)
        solved, covariance, misfit = _solved(system, levels, widened)
        moved = (np.abs(solved - x) / scales).max()
        x = solved
        if moved < SETTLED:
            break
    walk, _ = _walk(system, levels)
    prior = ((walk @ covariance) ** 2).sum(axis=0) / np.diag(covariance)
    return _Fit(x, covariance, prior, misfit, *_judged_by_others(system, levels, x, covariance, widened))


def _solved(system: _System, levels: np.ndarray, widened: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Months (N), none below zero, their covariance (N × N) and the sum of squares, for errors as at these levels."""
    used, errors = np.isfinite(widened), system.errors(levels)
    whiten = np.linalg.inv(np.linalg.cholesky(_widened(errors, widened)))
    walk, start = _walk(system, levels)
    held = np.flatnonzero(np.isfinite(system.known))
    pinned = np.eye(len(levels))[held] / system.known_error[held, None]
    # Columns in shares of the levels: a price and a total are alike.
    rows = np.vstack([whiten @ system.rows[used], walk, pinned]) * levels
    right = np.concatenate([whiten @ system.targets[used], start, system.known[held] / system.known_error[held]])
    q, r = np.linalg.qr(rows)
    inverse = solve_triangular(r, np.eye(len(levels)))
    x = inverse @ (q.T @ right)
    if (x < -SETTLED).any():
        x, _ = nnls(rows, right)
    scaled = levels[:, None] * inverse
    return levels * x, scaled @ scaled.T, float(np.sum((rows @ x - right) ** 2))


def _widened(errors: np.ndarray, widened: np.ndarray) -> np.ndarray:
    used = np.isfinite(widened)
    return np.asarray(errors[np.ix_(used, used)] * np.outer(widened[used], widened[used]))


def _walk(system: _System, levels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Rows of the random walk (N × N, whitened) and their right-hand sides: each month is like the one before."""
    firsts = np.arange(0, len(levels), len(system.months))
    # Never tighter than at the typical level: a month that other facts push towards nothing stays free.
    deviation = system.wander * np.maximum(np.maximum(levels, np.roll(levels, 1)), system.scales)
    deviation[firsts] = FIRST * system.scales[firsts]
    rows = np.eye(len(levels)) - np.eye(len(levels), k=-1)
    rows[firsts, firsts - 1] = 0.0
    right = np.zeros(len(levels))
    right[firsts] = 1.0 / FIRST
    return rows / deviation[:, None], right


def _judged_by_others(
    system: _System, levels: np.ndarray, x: np.ndarray, covariance: np.ndarray, widened: np.ndarray
) -> tuple[np.ndarray, np.ndarray, tuple[float, float]]:
    """``z``, ``checked`` (F each) and the sum of squares with its expectation: leave-one-out in closed form.

    With K the covariance of all equations, the residual of one against the others is [K⁻¹ r] / [K⁻¹]_ii, with
    variance 1 / [K⁻¹]_ii (Dubrule 1983); K⁻¹ r is the weighted residual of the fit.
    """
    errors, used = system.errors(levels), np.isfinite(widened)
    rows, left = system.rows, system.targets - system.rows @ x
    weight = np.linalg.inv(_widened(errors, widened))
    residual = weight @ left[used]
    precision = np.diag(weight) - np.einsum("ij,jk,ki->i", weight, rows[used] @ covariance @ rows[used].T, weight)
    share = np.clip(precision / np.diag(weight), 0.0, 1.0)
    safe = share > UNCHECKED
    z, checked = np.zeros(len(left)), np.ones(len(left))
    z[used] = np.where(safe, residual / np.sqrt(np.where(safe, precision, 1.0)), 0.0)
    checked[used] = share
    for at in np.flatnonzero(~used):
        # What is set aside is held against all that was kept; a revision it shares with them is known from them.
        shared = errors[at, used] @ weight
        row = rows[at] - shared @ rows[used]
        variance = errors[at, at] - shared @ errors[used, at] + row @ covariance @ row
        z[at] = (left[at] - shared @ left[used]) / np.sqrt(variance)
    return z, checked, (float(residual @ left[used]), float(share.sum()))


def _judged(system: _System) -> tuple[_Fit, np.ndarray, list[str]]:
    """Set facts aside, worst first, until the rest agree; facts that cannot be told apart have their errors widened.

    Returns the fit, the factors on the errors (F) and for every fact the ones it fought with.
    """
    widened, fit = np.ones(len(system.facts)), _fit(system, np.ones(len(system.facts)))
    against = [""] * len(system.facts)
    while True:
        size = np.abs(fit.z) * np.isfinite(widened)
        if size.max() <= CRITICAL:
            return _readmitted(system, fit, widened, against)
        # Residuals are told at a fit that the wrong fact has bent: what is left without a fact says more.
        suspects = [
            int(at) for at in np.argsort(-size, kind="stable")[:SUSPECTS] if size[at] > max(CRITICAL, 0.5 * size.max())
        ]
        without = {at: _fit(system, _with(widened, [at], np.inf), fit.x) for at in suspects}
        worst = min(suspects, key=lambda at: without[at].misfit)
        after = without[worst]
        freed = (size > CRITICAL) & (np.abs(after.z) <= CRITICAL)
        tied = [at for at in suspects if at == worst or (freed[at] and without[at].misfit < after.misfit + TOLD_APART)]
        if len(tied) > 1:
            widened = _with(widened, tied, widened[tied] * size[tied].max())
            after = _fit(system, widened, fit.x)
        else:
            widened = _with(widened, [worst], np.inf)
        for at in tied:
            others = sorted(str(system.facts[one]) for one in {*tied, *map(int, np.flatnonzero(freed))} - {at})
            against[at] = against[at] or "; ".join(others)
        fit = after


def _readmitted(
    system: _System, fit: _Fit, widened: np.ndarray, against: list[str]
) -> tuple[_Fit, np.ndarray, list[str]]:
    """Facts that were set aside only because of a worse one come back."""
    for at in sorted(map(int, np.flatnonzero(np.isinf(widened))), key=lambda one: float(abs(fit.z[one]))):
        if abs(fit.z[at]) <= CRITICAL:
            back = _with(widened, [at], 1.0)
            tried = _fit(system, back, fit.x)
            if np.abs(tried.z[np.isfinite(back)]).max() <= CRITICAL:
                fit, widened = tried, back
                against = ["" if one == at else words for one, words in enumerate(against)]
    return fit, widened, against


def _with(values: np.ndarray, at: list[int], new: np.ndarray | float) -> np.ndarray:
    made = values.copy()
    made[at] = new
    return made


def reconstruct(
    facts: Iterable[Fact],
    observations: pd.DataFrame,
    catalogue: Catalogue,
    revision: float = REVISION,
    wander: float = WANDER,
    source: str = "press figures",
) -> Reconstruction:
    """Months that facts determine and observations (OBSERVATION_COLUMNS; own estimates are not looked at) lack.

    ``revision`` is the relative standard deviation of what is revised after a source has read a figure, ``wander``
    that of a month's change where nothing is printed. Neither the order of facts nor the unit of a series matters.
    """
    known = observations[~observations["stage"].isin(ESTIMATED)]
    facts = tuple(sorted(set(facts), key=lambda one: one.order))
    made = [_one(system, catalogue, source) for system in _systems(facts, known, revision, wander)]
    if not made:
        raise DataError("No fact speaks of a series of the catalogue: data/published_facts.csv shows the form.")
    square, free = (sum(one.scatter[at] for one in made) for at in range(2))
    said = (
        f"Sources read figures that have since been revised by {100 * revision:g} % (standard deviation); where nothing"
        f" is printed a month is the one before or after, ± {100 * wander:g} % of the larger. Months that owe more than"
        f" {100 * MOST_PRIOR:.0f} % of their variance to that are left out.",
    )
    return Reconstruction(
        pd.concat([one.months for one in made], ignore_index=True),
        pd.concat([one.facts for one in made], ignore_index=True),
        pd.concat([one.left_out for one in made], ignore_index=True),
        square / free if free > 0 else float("nan"),
        said,
    )


def _systems(facts: tuple[Fact, ...], known: pd.DataFrame, revision: float, wander: float) -> Iterator[_System]:
    groups: list[set[str]] = []
    for fact in facts:
        own = {series for terms, *_ in fact.spans for series, _ in terms}
        touching = [one for one in groups if one & own]
        groups = [one for one in groups if not one & own] + [own.union(*touching)]
    for group in sorted(map(sorted, groups)):
        mine = tuple(one for one in facts if one.terms[0][0] in group)
        first = min(start for fact in mine for _, start, _, _ in fact.spans)
        last = max(end for fact in mine for _, _, end, _ in fact.spans)
        months = pd.period_range(first, last, freq="M")
        table = known[known["series"].isin(group)].set_index(["series", "month"])
        wanted = pd.MultiIndex.from_product([group, months])
        table = table.reindex(wanted)
        value = table["value"].to_numpy(dtype=float)
        error = np.where(table["stage"].eq("implied"), IMPLIED_ERROR, LEAST_ERROR) * np.abs(value)
        stated = table["std_error"].to_numpy(dtype=float)
        error = np.where(np.isfinite(stated), stated, error)
        system = _System(mine, tuple(group), months, value, error, revision, wander)
        yield replace(system, known_error=np.maximum(error, LEAST_ERROR * system.scales))


@dataclass(frozen=True)
class _Part:
    """What comes of one system; ``scatter`` is a sum of squares and its expectation."""

    months: pd.DataFrame
    facts: pd.DataFrame
    left_out: pd.DataFrame
    scatter: tuple[float, float]


def _one(system: _System, catalogue: Catalogue, source: str) -> _Part:
    fit, widened, against = _judged(system)
    kept = [fact for fact, factor in zip(system.facts, widened, strict=True) if np.isfinite(factor)]
    printed = {(fact.terms[0][0], fact.start) for fact in kept if fact.gives_a_month}
    cells = [(series, month) for series in system.series for month in system.months]
    table = pd.DataFrame(
        {
            "series": [series for series, _ in cells],
            "month": pd.PeriodIndex([month for _, month in cells], freq="M"),
            "value": fit.x,
            "unit": [catalogue[series].unit for series, _ in cells],
            "stage": ["published_in_press" if cell in printed else "reconstructed" for cell in cells],
            "std_error": np.sqrt(np.diag(fit.covariance)),
            "source": source,
            "prior": np.clip(fit.prior, 0.0, 1.0),
            "facts": (system.rows[np.isfinite(widened)] != 0).sum(axis=0),
        }
    )
    asked = ~np.isfinite(system.known) & (table["facts"] > 0)
    sure = table["prior"] <= MOST_PRIOR
    judged = pd.DataFrame(_judgements(system, fit, widened, against), columns=list(JUDGED_COLUMNS))
    return _Part(table[asked & sure], judged, table[asked & ~sure], fit.scatter)


def _judgements(system: _System, fit: _Fit, widened: np.ndarray, against: list[str]) -> Iterator[tuple]:
    for at, fact in enumerate(system.facts):
        sums = system.spans.sums[system.spans.owner[at] > 0] @ fit.x
        if len(sums) == 1:
            fitted = sums[0] / fact.factor
        else:
            fitted = (sums[0] / sums[1] - (fact.measure in GROWTH)) / fact.factor if sums[1] else np.nan
        verdict = (
            "set aside" if np.isinf(widened[at])
            else "undecided" if widened[at] > 1.0
            else "alone" if fit.checked[at] <= UNCHECKED
            else "agrees"
        )  # fmt: skip
        yield (
            fact.period, fact.series, fact.measure, fact.text, fact.unit, fitted, fit.z[at], fit.checked[at], verdict,
            against[at], fact.source,
        )  # fmt: skip


# --- Into the forecast


def stated_spread(observations: pd.DataFrame, y: pd.DataFrame) -> dict[tuple[str, pd.Period], float]:
    """By series and month of ``y`` (T × n): the standard error of an estimated month, in logarithms.

    What ``vintages.drawn`` takes, so that forecasts may be made from figures as they may have been. Months are drawn
    apart from one another, while errors of months that are known best by their sum cancel in it: sums vary too much.
    """
    rows = observations[observations["stage"].isin(ESTIMATED) & (observations["value"] > 0)]
    rows = rows[(rows["std_error"] > 0) & rows["series"].isin(y.columns) & rows["month"].isin(y.index)]
    share = np.sqrt(np.log1p((rows["std_error"] / rows["value"]) ** 2))
    return dict(zip(zip(rows["series"], rows["month"], strict=True), share.astype(float), strict=True))

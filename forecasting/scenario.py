"""A sourced what-if: dated assumptions on series or covariates, and the set of them that a scenario is."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from scipy import stats

from forecasting.seeds import stream

BASELINE = "baseline"
RELATIVE = ("ban", "scale", "growth", "lift")
"""Kinds whose size is a share: -0.5 or "-50 %"."""
ABSOLUTE = ("shift", "cap", "floor", "path")
"""Kinds whose size is in the unit of the target."""
AS_LISTED = "as listed"
"""What a file says where the order of its assumptions matters."""
SERIES_KINDS = ("ban", "scale", "shift", "cap", "floor", "path", "growth", "lift")
COVARIATE_KINDS = ("path", "scale", "shift")
SPANS = {"month": "M", "quarter": "Q-DEC", "fiscal_year": "Y-MAR", "year": "Y-DEC"}
"""What a cap may be set for, by pandas' name of it."""
FACTORS = ("ban", "scale")
"""Kinds that multiply, so that their order does not matter."""
DISTRIBUTIONS = ("triangular", "normal", "uniform")


@dataclass(frozen=True)
class Size:
    """A number or a distribution: ``values`` are (value), (low, mode, high), (mean, sd) or (low, high).

    A normal one is cut at ±4 sd, so that bounds can be checked.
    """

    values: tuple[float, ...]
    distribution: str = ""

    @property
    def least(self) -> float:
        mean, *spread = self.values
        return mean - 4 * spread[0] if self.distribution == "normal" else mean

    @property
    def most(self) -> float:
        return self.values[0] + 4 * self.values[1] if self.distribution == "normal" else self.values[-1]

    @property
    def mean(self) -> float:
        return self.values[0] if self.distribution == "normal" else float(np.mean(self.values))

    def words(self, relative: bool) -> str:
        """``-50 %``, ``60 % (30 % to 90 %)`` around the mode, ``-13 % (sd 2 %)``; without % if not ``relative``."""
        numbers = [f"{100 * one:g} %" if relative else f"{one:g}" for one in self.values]
        if self.distribution == "triangular":
            return f"{numbers[1]} ({numbers[0]} to {numbers[2]})"
        if self.distribution == "normal":
            return f"{numbers[0]} (sd {numbers[1]})"
        return " to ".join(numbers)

    def at(self, u: np.ndarray) -> np.ndarray:
        """Quantiles of the distribution at ``u`` in 0…1 (any shape)."""
        if self.least == self.most:
            return np.full_like(u, self.values[0])
        low, high = self.least, self.most
        if self.distribution == "triangular":
            return np.asarray(stats.triang.ppf(u, (self.values[1] - low) / (high - low), low, high - low))
        if self.distribution == "normal":
            return np.clip(self.values[0] + self.values[1] * stats.norm.ppf(u), low, high)
        return np.asarray(low + (high - low) * u)


NOTHING = Size((0.0,))
EVERYTHING = Size((1.0,))


def months_in_words(many: int) -> str:
    """``1 month``, ``3 months``; none: nothing."""
    return f"{many} month{'s' * (many > 1)}" if many else ""


def _later(lag: int) -> str:
    return f", {months_in_words(lag)} later" if lag else ""


@dataclass(frozen=True)
class Reroute:
    """A share of what the targets lose goes to the series ``to``, ``lag`` months later.

    Its value there is at the unit price of the destination, or (``at_origin``) at the one that it was forecast at here.
    """

    to: str
    share: Size
    lag: int = 0
    at_origin: bool = False

    @property
    def way(self) -> str:
        """Where to, when and at what price, in words."""
        return f"{self.to}{_later(self.lag)}{', at the price it has here' * self.at_origin}"


@dataclass(frozen=True)
class PassThrough:
    """Targets change by ``elasticity`` percent for each percent of the covariate, ``lag`` months later."""

    target: str
    elasticity: Size
    lag: int = 0

    @property
    def way(self) -> str:
        """What follows and when, in words."""
        return f"{self.target}{_later(self.lag)}"


@dataclass(frozen=True)
class Assumption:
    """What is assumed of one series, a pattern of series, or a covariate.

    ``size`` is a share for ``ban`` (how much of the series is covered), ``scale``, ``growth`` (on a year earlier) and
    ``lift`` (how much of the gap to the level before ``since`` comes back); in the target's unit a month for ``shift``,
    ``cap`` and ``floor``; for ``path`` it is a relative error of ``levels``. ``residual`` is what a ban leaves of its
    share. It works up over ``ramp`` months from ``start`` and fades over ``recovery`` months after ``end``, the last
    month before it fades (none: it stays); what a ramp has not reached by then it never reaches. A cap ``per`` quarter
    or year is a quota: once it is used up, nothing comes until the next.
    """

    target: str
    kind: str
    start: pd.Period
    source: str
    name: str = ""
    end: pd.Period | None = None
    size: Size = NOTHING
    residual: Size = NOTHING
    levels: tuple[float, ...] = ()
    since: pd.Period | None = None
    ramp: int = 0
    recovery: int = 0
    measure: str = ""
    reroute: tuple[Reroute, ...] = ()
    pass_through: tuple[PassThrough, ...] = ()
    covariate: bool = False
    per: str = "month"

    @property
    def label(self) -> str:
        return self.name or f"{self.kind} {self.target}"

    @property
    def full_from(self) -> pd.Period:
        """The first month of full effect, lags included."""
        lags = [*(one.lag for one in self.reroute), *(one.lag for one in self.pass_through)]
        return self.start + self.ramp + max(lags, default=0)

    def intensity(self, months: pd.PeriodIndex) -> np.ndarray:
        """How far it works in each month (h): 0 before the start, 1 at full effect."""
        reached = months.asi8 if self.end is None else np.minimum(months.asi8, self.end.ordinal)
        since = reached - self.start.ordinal
        strength = np.clip((since + 1) / (self.ramp + 1), 0.0, 1.0)
        if self.end is not None:
            after = np.maximum(months.asi8 - self.end.ordinal, 0)
            strength = strength * np.clip(1.0 - after / (self.recovery + 1), 0.0, 1.0)
        return np.asarray(strength)

    def given(self, months: pd.PeriodIndex) -> np.ndarray:
        """The level of each month (h); before the first and after the last that is given, that one."""
        since = np.clip(months.asi8 - self.start.ordinal, 0, max(len(self.levels) - 1, 0))
        return np.array(self.levels)[since]

    def goal(self, now: np.ndarray, months: pd.PeriodIndex, size: np.ndarray | float) -> np.ndarray:
        """What levels of a covariate (h, or P × h) become at full effect, for a size (or P × 1)."""
        goals = {
            "scale": lambda: now * (1.0 + size),
            "shift": lambda: now + size,
            "path": lambda: self.given(months) * (1.0 + size),
        }
        return np.asarray(goals[self.kind]())

    def draws(self, what: str, size: Size, paths: int, seed: int) -> np.ndarray:
        """One size a path (P), evenly spread over the distribution; the same in every scenario that assumes it."""
        if size.least == size.most:
            return np.full(paths, size.values[0])
        grid = (np.arange(paths) + 0.5) / paths
        named = ("size", self.target, self.kind, str(self.start), self.name, what)
        return size.at(stream(seed, *named).permutation(grid))


@dataclass(frozen=True)
class Scenario:
    """A named set of assumptions; ``ordered`` says that they act one after another as listed.

    ``text`` keeps the file itself.
    """

    name: str
    assumptions: tuple[Assumption, ...] = ()
    description: str = ""
    probability: float | None = None
    ordered: bool = False
    text: str = field(default="", repr=False, compare=False)

    @property
    def targets(self) -> tuple[str, ...]:
        """Every pattern of series that it names."""
        named: dict[str, None] = {}
        for one in self.assumptions:
            if not one.covariate:
                named[one.target] = None
            named.update(dict.fromkeys(other.to for other in one.reroute))
            named.update(dict.fromkeys(other.target for other in one.pass_through))
        return tuple(named)


def described(one: Assumption) -> dict[str, str]:
    """An assumption as readable values by name; what it does not have is left out."""
    relative = one.kind in (*RELATIVE, "path")
    told = {
        "name": one.name,
        "target": one.target,
        "kind": one.kind,
        "size": "" if one.size in (NOTHING, EVERYTHING) and one.kind in ("ban", "path") else one.size.words(relative),
        "per": one.per.replace("_", " ") if one.kind == "cap" and one.per != "month" else "",
        "residual": "" if one.residual == NOTHING else one.residual.words(relative=True),
        "levels": ", ".join(f"{level:g}" for level in one.levels),
        "since": str(one.since or ""),
        "start": str(one.start),
        "end": str(one.end or ""),
        "ramp": months_in_words(one.ramp),
        "recovery": months_in_words(one.recovery),
        "reroute": "; ".join(f"{to.share.words(relative=True)} to {to.way}" for to in one.reroute),
        "pass_through": "; ".join(f"{to.elasticity.words(relative=False)} to {to.way}" for to in one.pass_through),
        "measure": one.measure,
        "source": one.source,
    }
    return {name: value for name, value in told.items() if value}

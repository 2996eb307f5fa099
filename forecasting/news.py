"""What moved a forecast: revised figures and new months, put in one after another, so that the parts add up.

The figures of before become those of now in steps: first whatever was revised, then the new months, oldest first. A
stand is the figures after some of the steps; a step is credited with the change of the forecast between the stands
around it. Where all orders are few, a step's credit is its mean over them (Shapley 1953).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pandas as pd

from forecasting.periods import quarter_words
from forecasting.units import Scale, scale_of

MOST_STANDS = 4
# Standard errors of sampling within which a change is no news.
SURE = 2.0
NEWS_COLUMNS = ("series", "unit", "target", "kind", "months", "before", "after", "percentile", "moved", "noise")
KINDS = ("was", "revised", "landed", "revisions", "new months", "remainder", "is")
REVISIONS, MONTHS = "revisions", "new months"

Stand = tuple[bool, int]
"""Whether the revisions are in, and how many groups of new months."""


@dataclass(frozen=True)
class Changes:
    """Two states of the figures (T × n, T' × n') and what lies between them.

    ``groups`` are the new months, oldest first, in groups that enter together; ``revised`` says whether anything else
    differs: another value, a hole filled, a value or a series that came or went.
    """

    before: pd.DataFrame
    after: pd.DataFrame
    groups: tuple[tuple[pd.Period, ...], ...]
    revised: bool

    @property
    def nothing(self) -> bool:
        """The figures are the same, cell by cell."""
        return not (self.groups or self.revised)

    @property
    def averaged(self) -> bool:
        """Whether every order is looked at: the revisions may come at any place among the new months."""
        return self.revised and 0 < 2 * (len(self.groups) + 1) <= MOST_STANDS

    @property
    def orders(self) -> tuple[tuple[Stand, ...], ...]:
        """Ways through the stands, from before to now."""
        months = len(self.groups)
        if not self.revised:
            return (tuple((False, at) for at in range(months + 1)),)
        places = range(months + 1) if self.averaged else (0,)
        return tuple(
            (*((False, at) for at in range(place + 1)), *((True, at) for at in range(place, months + 1)))
            for place in places
        )

    @property
    def stands(self) -> tuple[Stand, ...]:
        """Every stand that a forecast is needed from, before first and now last."""
        return tuple(dict.fromkeys(stand for order in self.orders for stand in order))

    @property
    def last(self) -> Stand:
        """The stand of now."""
        return self.orders[0][-1]

    def figures(self, stand: Stand) -> pd.DataFrame:
        """The figures with these steps made; the first and the last are those that were given, untouched."""
        if stand == self.orders[0][0]:
            return self.before
        if stand == self.last:
            return self.after
        revised, months = stand
        base = self.after if revised else self.before
        added = pd.PeriodIndex([month for group in self.groups[:months] for month in group], freq="M")
        index = base.index.union(self.after.index)
        fresh = new_cells(self.before, self.after).reindex(index=index, columns=base.columns, fill_value=False)
        now = self.after.reindex(index=index, columns=base.columns)
        wanted = fresh.to_numpy() & index.isin(added)[:, None]
        y = base.reindex(index).where(~fresh).mask(wanted, now)
        known = y.notna()
        return y.loc[: known.any(axis=1)[::-1].idxmax(), known.any()]


def changes(before: pd.DataFrame, after: pd.DataFrame) -> Changes:
    """What lies between two states of the figures (months × series each), in so few steps that they can be paid for."""
    fresh = new_cells(before, after)
    months = [month for month in fresh.index if fresh.loc[month].any()]
    old = after.where(~fresh).dropna(how="all").dropna(how="all", axis=1)
    revised = not _same(before.dropna(how="all"), old)
    most = MOST_STANDS - 1 - revised
    alone = months[len(months) - most + 1 :] if len(months) > most else months
    together = tuple(months[: len(months) - len(alone)])
    groups = (*([together] if together else []), *((month,) for month in alone))
    return Changes(before, after, groups, revised)


def new_cells(before: pd.DataFrame, after: pd.DataFrame) -> pd.DataFrame:
    """Which cells of ``after`` are new months of a series that was known before (T' × n', true or false)."""
    last = before.apply(lambda column: column.last_valid_index()).reindex(after.columns)
    ordinals = np.array([np.inf if pd.isna(one) else one.ordinal for one in last], dtype=float)
    later = pd.PeriodIndex(after.index).asi8[:, None] > ordinals[None, :]
    return after.notna() & later


def _same(one: pd.DataFrame, other: pd.DataFrame) -> bool:
    if set(one.columns) != set(other.columns):
        return False
    index = one.index.union(other.index)
    a, b = (table.reindex(index=index, columns=one.columns).to_numpy(dtype=float) for table in (one, other))
    return bool(np.array_equal(a, b, equal_nan=True))


def revised_months(before: pd.Series, after: pd.Series) -> pd.DataFrame:
    """Months of one series known before and now with different values: months × (before, after)."""
    both = pd.DataFrame({"before": before, "after": after}).dropna()
    return both[both["before"] != both["after"]]


def credits(of: Changes, value: Callable[[Stand], float]) -> dict[tuple[str, int], float]:
    """Credit of each step, by its kind and its place among those of its kind; they sum to now less before."""
    given: dict[tuple[str, int], float] = {}
    for order in of.orders:
        for one, two in pairwise(order):
            step = (REVISIONS, 0) if two[0] != one[0] else (MONTHS, one[1])
            given[step] = given.get(step, 0.0) + (value(two) - value(one)) / len(of.orders)
    return given


def percentile(paths: np.ndarray, value: float) -> float:
    """Share of paths (P) below a value, half of those equal to it, in percent; NaN where nothing was forecast."""
    known = paths[np.isfinite(paths)]
    if not len(known) or not np.isfinite(value):
        return float("nan")
    return float(100.0 * ((known < value).mean() + 0.5 * (known == value).mean()))


def median_noise(paths: np.ndarray) -> float:
    """Standard error of the median of paths (P), from the order statistics around it."""
    known = paths[np.isfinite(paths)]
    reach = 0.5 / np.sqrt(max(len(known), 1))
    low, high = np.quantile(known, [0.5 - reach, 0.5 + reach]) if len(known) > 1 else (0.0, 0.0)
    return float(high - low) / 2.0


@dataclass(frozen=True)
class Landed:
    """A month that has come in: what was forecast (median), what came, and where that lies in the forecast."""

    month: pd.Period
    forecast: float
    actual: float
    percentile: float


@dataclass(frozen=True)
class Story:
    """One series: the forecast of ``target`` before and now, and what lies between; all in the series' unit.

    ``steps`` name kind, months and credit; with ``remainder`` they sum to ``now`` less ``before``. ``noise`` is the
    standard error of a step that comes from drawing paths.
    """

    series: str
    title: str
    unit: str
    target: str
    before: float
    now: float
    steps: tuple[tuple[str, tuple[pd.Period, ...], float], ...]
    landed: tuple[Landed, ...]
    revised: pd.DataFrame
    remainder: float
    noise: float

    @property
    def change(self) -> float:
        return self.now - self.before


def story(
    series: tuple[str, str, str],
    target: str,
    of: Changes,
    medians: Mapping[Stand, float],
    noises: Mapping[Stand, float],
    landed: Sequence[Landed],
    revised: pd.DataFrame,
    previous: float | None = None,
) -> Story:
    """The story of one series (id, title, unit) from the medians of its target at every stand.

    ``previous`` is the number that was printed then, where that is known: what the forecast from the figures of before
    differs from it is the remainder (another model, other code, another seed).
    """
    first, last = of.orders[0][0], of.last
    given = credits(of, lambda stand: medians[stand])
    steps = [
        (kind, () if kind == REVISIONS else of.groups[at], credit)
        for (kind, at), credit in sorted(given.items(), key=lambda one: (one[0][0] != REVISIONS, one[0][1]))
    ]
    before, now = medians[first] if previous is None else previous, medians[last]
    remainder = medians[first] - before
    noise = float(np.hypot(noises[first], noises[last])) if len(medians) > 1 else 0.0
    return Story(*series, target, before, now, tuple(steps), tuple(landed), revised, remainder, noise)


def table(stories: Sequence[Story]) -> pd.DataFrame:
    """NEWS_COLUMNS: per series the forecast that was, what was revised, what landed, each step, remainder, what is."""
    rows = [row for one in stories for row in _rows(one)]
    return pd.DataFrame(rows, columns=list(NEWS_COLUMNS))


def _rows(one: Story) -> list[tuple]:
    none = float("nan")
    head = (one.series, one.unit, one.target)
    return [
        (*head, "was", "", none, one.before, none, none, none),
        *((*head, "revised", str(month), was, now, none, none, none) for month, was, now in one.revised.itertuples()),
        *((*head, "landed", str(of.month), of.forecast, of.actual, of.percentile, none, none) for of in one.landed),
        *((*head, kind, span(months), none, none, none, moved, one.noise) for kind, months, moved in one.steps),
        (*head, "remainder", "", none, none, none, one.remainder, none),
        (*head, "is", "", one.before, one.now, none, one.change, one.noise),
    ]


def span(months: Sequence[pd.Period]) -> str:
    """``2026-08``, or ``2026-06 to 2026-08``."""
    return " to ".join(dict.fromkeys(str(one) for one in (months[0], months[-1]))) if months else ""


# --- In words


def sentence(one: Story) -> str:
    """What an analyst could paste: the change, the months that came in, the revisions, and what each moved."""
    scale = scale_of(one.unit, [one.before, one.now])
    head = f"The {quarter_words(one.target)} forecast of {one.title}"
    if one.change == 0.0 and not one.steps:
        return f"{head} is unchanged at {scale.text(one.now)}."
    parts = [*_month_words(one, scale), *_revision_words(one, scale)]
    if abs(one.remainder) > 0:
        parts.append(f"another {_signed(scale, one.remainder)} is not from the figures (model, settings or code)")
    comma = "," if "," in one.title else ""
    return f"{head}{comma} {_change_words(one, scale)}{': ' if parts else ''}{'; '.join(parts)}."


def _change_words(one: Story, scale: Scale) -> str:
    if abs(one.change) <= SURE * one.noise or scale.number(one.change) == scale.number(0.0):
        return f"hardly moved ({_signed(scale, one.change)} to {scale.text(one.now)}, within the noise of sampling)"
    return f"{'rose' if one.change > 0 else 'fell'} by {scale.number(abs(one.change))} to {scale.text(one.now)}"


def _month_words(one: Story, scale: Scale) -> list[str]:
    alone = len(one.steps) == 1 and not one.remainder
    said = []
    for kind, months, credit in one.steps:
        if kind != MONTHS:
            continue
        own = [of for of in one.landed if of.month in months]
        came = [f"{month_words(of.month)} came in at {scale.number(of.actual)}{_place(of.percentile)}" for of in own]
        others = " to ".join(dict.fromkeys(map(month_words, (months[0], months[-1]))))
        moved = f", which moved it by {_signed(scale, credit)}"
        said.append((" and ".join(came) or f"{others} of other series came in") + ("" if alone else moved))
    return said


def _revision_words(one: Story, scale: Scale) -> list[str]:
    largest = (one.revised["after"] - one.revised["before"]).sort_values(key=abs, ascending=False)
    others = len(largest) - 1
    more = f" (and {others} more month{'s' if others > 1 else ''})" if others > 0 else ""
    said = [
        f"{month_words(month)}{more} was revised by {_signed(scale, change)}"
        for month, change in largest.iloc[:1].items()
    ]
    moved = [credit for kind, _, credit in one.steps if kind == REVISIONS]
    return [*said, *(f"revisions of all series moved it by {_signed(scale, credit)}" for credit in moved)]


def _place(percent: float) -> str:
    return f" ({ordinal(percent)} percentile of the forecast)" if np.isfinite(percent) else ""


def _signed(scale: Scale, value: float) -> str:
    text = scale.number(abs(value))
    return f"{'+' if value > 0 else '−'}{text}" if text != scale.number(0.0) else text


def ordinal(percent: float) -> str:
    """92nd; below 1 and above 99 they say so."""
    if percent < 1 or percent > 99:
        return "under the 1st" if percent < 1 else "over the 99th"
    number = round(percent)
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return f"{number}{ending}"


def month_words(month: object) -> str:
    """Aug 2026."""
    return pd.Period(str(month), "M").strftime("%b %Y")

"""The journey of the news: the figures of before and of now, a forecast from each stand between, and the stories."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from forecasting import clock, news, store, vintage_store, vintages, workflow
from forecasting.compute import Progress, silent
from forecasting.errors import DataError
from forecasting.forecast import FORECAST_COLUMNS
from forecasting.news import Changes, Landed, Stand, Story
from forecasting.observations import with_derived
from forecasting.panel import Panel
from forecasting.periods import label, next_full_quarter_end
from forecasting.workflow import Dataset, Outlook, Request

Forecasting = Callable[[Request, Progress, Dataset | None], Outlook]


@dataclass(frozen=True)
class Since:
    """From when on: a day (figures as they stood then), a month (today's figures until then), or a forecast table.

    None of them: the day before the first figure of the latest month came out.
    """

    day: str | None = None
    month: str | None = None
    previous: Path | None = None

    def __post_init__(self) -> None:
        if self.month is not None and (self.day is not None or self.previous is not None):
            raise DataError("--as-of is one way to say since when, --since-day and --previous are others: give one.")


@dataclass(frozen=True)
class News:
    """Stories of the series, in the catalogue's order; ``told`` says since when and what was computed."""

    stories: tuple[Story, ...]
    told: tuple[str, ...]
    nothing: bool
    dataset: Dataset
    outlook: Outlook

    @property
    def table(self) -> pd.DataFrame:
        """The stories as rows of NEWS_COLUMNS."""
        return news.table(self.stories)


def tell(request: Request, since: Since, forecasting: Forecasting, progress: Progress = silent) -> News:
    """What changed since then, and how much each part of it moved the forecast of the next full quarter.

    ``forecasting`` is ``workflow.forecast`` or ``champion_forecast.forecast``; each stand is forecast with the same
    settings and seed up to the same month.
    """
    now = workflow.load(request.data)
    before, said = _before(now, since, request)
    return between(before, now, request, forecasting, since.previous, said, progress)


def between(
    before: Dataset,
    now: Dataset,
    request: Request,
    forecasting: Forecasting,
    previous: Path | None = None,
    said: Sequence[str] = (),
    progress: Progress = silent,
) -> News:
    """The same between two states of the figures; ``previous`` is the table of the forecast made then."""
    changes = news.changes(before.panel.y, now.panel.y)
    end = next_full_quarter_end(now.panel.cutoff)
    target = label(pd.Period(end, freq="Q-DEC"), "quarter")
    printed = _printed(previous, target) if previous else None
    made = {}
    for stand in changes.stands:
        dataset = _stand(changes, stand, before, now)
        asked = replace(request, horizon=(end - dataset.panel.cutoff).n)
        made[stand] = forecasting(asked, progress, dataset)
    stories, missing = _stories(changes, made, target, printed)
    told = (*said, *_told(changes, made), *missing)
    return News(tuple(stories), told, changes.nothing, now, made[changes.last])


def _before(now: Dataset, since: Since, request: Request) -> tuple[Dataset, list[str]]:
    """The figures of before, and in words which they are."""
    if since.month is not None:
        if pd.Period(workflow.as_of(now.panel, since.month).cutoff, "M") == now.panel.cutoff:
            raise DataError(f"--as-of {since.month} hides nothing: the figures end there.")
        panel = workflow.as_of(now.panel, since.month)
        return replace(now, panel=panel), [f"Since the figures until {panel.cutoff}, as they stand today."]
    if request.data is not None:
        raise DataError("A file of your own knows no days: say with --as-of MONTH from when on.")
    day, why = _day(now, since)
    return workflow.load(None, day), [f"Since the figures as they stood on {day}{why}."]


def _day(now: Dataset, since: Since) -> tuple[str, str]:
    if since.day is not None:
        workflow.day_of(since.day, "--since-day")
        return since.day, ""
    if since.previous is not None:
        cutoff = pd.Period(max(_read(since.previous)["cutoff"]), "M")
        day = min(vintages.month_after(cutoff), clock.today())
        return day.isoformat(), f", when {since.previous.name} could know {cutoff}"
    official = workflow.official()
    kept = vintage_store.history(official.folder, now.panel.series)
    records = pd.concat([official.carried, kept], ignore_index=True)
    latest = records[(records["month"] == now.panel.cutoff) & records["series"].isin(now.panel.series)]
    day = vintages.known_day(latest).min() - pd.Timedelta(days=1)
    return day.date().isoformat(), f", before the first figure of {now.panel.cutoff} came out"


def _stand(changes: Changes, stand: Stand, before: Dataset, now: Dataset) -> Dataset:
    """The figures of a stand; of the last one those of now, bit for bit, of the first those of before."""
    if stand == changes.last:
        return now
    if stand == changes.orders[0][0]:
        return before
    return replace(now, panel=Panel(changes.figures(stand), now.panel.x))


def _stories(
    changes: Changes, made: dict[Stand, Outlook], target: str, printed: dict[str, float] | None
) -> tuple[list[Story], list[str]]:
    first, last = made[changes.orders[0][0]], made[changes.last]
    catalogue = last.dataset.catalogue
    stories, missing = [], []
    for series in dict.fromkeys(last.series):
        paths = {stand: _paths(one, "quarter", series, target) for stand, one in made.items()}
        previous = printed.get(series) if printed is not None else None
        if any(not np.isfinite(of).any() for of in paths.values()) or (printed is not None and previous is None):
            missing.append(f"No news of {series}: it was not forecast for {target} from the figures of before.")
            continue
        entry = catalogue[series]
        known = with_derived(changes.after, catalogue, [series])[series]
        stories.append(
            news.story(
                (series, entry.title, entry.unit),
                target,
                changes,
                {stand: float(np.nanquantile(of, 0.5)) for stand, of in paths.items()},
                {stand: news.median_noise(of) for stand, of in paths.items()},
                _landed(first, series, known, changes),
                news.revised_months(_history(changes.before, first, series), known),
                previous,
            )
        )
    return stories, missing


def _history(y: pd.DataFrame, outlook: Outlook, series: str) -> pd.Series:
    return with_derived(y, outlook.dataset.catalogue, [series])[series]


def _landed(first: Outlook, series: str, known: pd.Series, changes: Changes) -> list[Landed]:
    before = _history(changes.before, first, series).last_valid_index()
    months = [month for month in known.dropna().index if before is not None and month > before]
    landed = []
    for month in months:
        paths = _paths(first, "month", series, str(month))
        actual = float(known[month])
        middle = float(np.nanquantile(paths, 0.5)) if np.isfinite(paths).any() else float("nan")
        landed.append(Landed(month, middle, actual, news.percentile(paths, actual)))
    return landed


def _paths(outlook: Outlook, kind: str, series: str, period: str) -> np.ndarray:
    """Paths (P) of one series in one period; NaN where that was not forecast."""
    of = outlook.totals[kind]
    if series not in of.series or period not in of.labels:
        return np.full(1, np.nan)
    return of.paths[:, of.labels.index(period), of.series.index(series)]


def _told(changes: Changes, made: dict[Stand, Outlook]) -> list[str]:
    if changes.nothing:
        return ["Nothing has changed: the figures are the same in every cell."]
    kept = sum(one.cached for one in made.values())
    steps = [*(["all revisions"] if changes.revised else []), *(news.span(of) for of in changes.groups)]
    how = "in any order, averaged" if changes.averaged else "one after another"
    order = f"{', '.join(steps)} put in{f' {how}' if len(steps) > 1 else ''}"
    return [
        f"{len(made)} forecasts, {kept} of them from the cache: {order}.",
        "A step holds what all series brought, and the models fitted anew to it.",
    ]


def _printed(path: Path, target: str) -> dict[str, float]:
    """Medians that an earlier forecast table holds for the target, by series."""
    table = _read(path)
    rows = table[(table["period"] == target) & (table["kind"] == "quarter") & (table["unit"] != "pct_yoy")]
    if rows.empty:
        held = ", ".join(dict.fromkeys(table.loc[table["kind"] == "quarter", "period"])) or "none"
        raise DataError(
            f"{path} holds no forecast of {target} (its quarters: {held}): forecast further, or leave it out."
        )
    return dict(zip(rows["series"], rows["q50"].astype(float), strict=True))


def _read(path: Path) -> pd.DataFrame:
    table = store.read_forecast_table(path)
    if missing := [one for one in FORECAST_COLUMNS if one not in table.columns]:
        raise DataError(f"{path} lacks the column {missing[0]}: give a table that `tradecast forecast --out` wrote.")
    if table.empty:
        raise DataError(f"{path} holds no row: give a table that `tradecast forecast --out` wrote.")
    return table[table["scenario"] == table["scenario"].iloc[0]]

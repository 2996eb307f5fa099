"""The journey of a report: the forecast, scenarios, a backtest, the news and the sources, gathered for one page."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from forecasting import (
    backtest_files,
    champion_file,
    champion_forecast,
    leaderboard,
    news_journey,
    scenarios,
    store,
    workflow,
)
from forecasting.backtest_files import Result
from forecasting.catalogue import Catalogue, Series
from forecasting.champion_file import Champion, group_in
from forecasting.compute import Progress, silent
from forecasting.errors import DataError, ForecastingError
from forecasting.leaderboard import Board
from forecasting.news_journey import News, Since
from forecasting.periods import label, next_full_quarter_end
from forecasting.scenarios import Study, Worlds
from forecasting.scores import coverage_table, pit_table, score_table, skill
from forecasting.tables import closure
from forecasting.workflow import Checked, Dataset, Outlook, Request

LAST_FORECASTS = 12
"""Forecasts of the past shown beside what came, of one series."""
HEADLINE_COLUMNS = (
    "series", "title", "unit", "period", "q50", "q10", "q90", "q025", "q975", "year_ago", "change", "change_q10",
    "change_q90", "probability_of_fall",
)  # fmt: skip
SOURCE_COLUMNS = ("source", "files", "series", "first", "last", "figures", "stages", "attribution")
GROWTH = "pct_yoy"
CHANGES = {"change": "50", "change_q10": "10", "change_q90": "90"}
DATED = re.compile(r"\d{5,}")
"""What differs between the names of monthly files of one kind."""
CACHED = re.compile(r", \d+ of them from the cache")
"""What of the news depends on the machine, not on the forecast."""


@dataclass(frozen=True)
class Card:
    """One series as it is shown.

    ``history`` and ``stages`` (T) are what was published and how final it is; ``forecast`` holds rows of a forecast
    table in the unit of the series, ``growth`` the same in percent on a year earlier. ``past`` (columns period, cutoff,
    step, q50, q10, q90, actual) and ``covered`` (coverage, covered, low, high, cells) come from a backtest and are
    empty without one; ``judged`` names the model whose they are.
    """

    entry: Series
    history: pd.Series
    stages: pd.Series
    forecast: pd.DataFrame
    growth: pd.DataFrame
    model: str
    note: str
    past: pd.DataFrame
    covered: pd.DataFrame
    judged: str
    attributions: tuple[str, ...]


@dataclass(frozen=True)
class Judged:
    """A backtest as it is shown: the leaderboard, skill by model and step, coverage, PIT, and sentences."""

    result: Result
    board: Board
    by_step: pd.DataFrame
    coverage: pd.DataFrame
    pit: pd.DataFrame
    words: tuple[str, ...]


@dataclass(frozen=True)
class Content:
    """Everything that a report says, before anything is written.

    ``headline`` has HEADLINE_COLUMNS, one row a shown series, of the first quarter that lies wholly ahead;
    ``sources`` SOURCE_COLUMNS. ``study`` and ``worlds`` are None without scenarios, ``backtest`` without one; ``news``
    may be missing, and ``no_news`` says why.
    """

    outlook: Outlook
    headline: pd.DataFrame
    cards: tuple[Card, ...]
    sources: pd.DataFrame
    champions: tuple[Champion, ...]
    why: tuple[str, ...]
    checked: Checked | None = None
    study: Study | None = None
    worlds: Worlds | None = None
    backtest: Judged | None = None
    news: News | None = None
    no_news: str = ""
    settings: Mapping[str, object] = field(default_factory=dict)

    @property
    def dataset(self) -> Dataset:
        return self.outlook.dataset

    @property
    def models(self) -> str:
        """The models of the shown series, by name."""
        return ", ".join(dict.fromkeys(one.model for one in self.cards))

    @property
    def remarks(self) -> tuple[str, ...]:
        """What to know of the forecast and of the scenarios, every line once."""
        return tuple(dict.fromkeys((*self.why, *(self.study.remarks if self.study else ()))))


def gather(
    request: Request,
    model: str | None = None,
    names: Sequence[str] = (),
    backtest: str | None = None,
    news: bool = True,
    progress: Progress = silent,
    explain: bool = True,
    language: str = "",
) -> Content:
    """Forecast, run scenarios (by name or file), read a backtest, compare with the figures of before.

    ``explain`` adds to the study what each assumption contributes, which takes seconds and which the page leaves out.
    ``language`` takes titles from that column of catalogue.csv: ``ja`` from ``title_ja``.

    DataError where a scenario, a backtest or a series is not there.
    """
    result = backtest_files.read(backtest_files.named(backtest)) if backtest else None
    chosen = scenarios.read(names)
    dataset = titled(workflow.load(request.data, request.as_of_day), language)
    request = replace(request, growth=True)
    made = scenarios.worlds(chosen, request, model, progress=progress, dataset=dataset)
    study = scenarios.study(made, growth=True, explain=explain)
    outlook = study.baseline
    told, no_news = _news(request, model, dataset.catalogue, progress) if news else (None, "It was not asked for.")
    judged = _judged(result, outlook) if result else None
    return Content(
        outlook,
        headline(outlook),
        tuple(_card(one, outlook, judged) for one in outlook.series),
        sources(outlook),
        _champions(outlook),
        outlook.remarks,
        _checked(request),
        study if chosen else None,
        made if chosen else None,
        judged,
        told,
        no_news,
        {**made.settings, "as_of": request.as_of, "as_of_day": request.as_of_day},
    )


def titled(dataset: Dataset, language: str) -> Dataset:
    """The same with titles in another language, where the catalogue has them; DataError where it has none."""
    if not language:
        return dataset
    file = store.data_folder() / "catalogue.csv"
    table = pd.read_csv(file, encoding="utf-8-sig", dtype=str, keep_default_na=False)
    column = f"title_{language}"
    if column not in table:
        raise DataError(f"{file.name} has no titles in {language!r}: add a column {column}, or leave --language out.")
    titles = {one: title.strip() for one, title in zip(table["id"], table[column], strict=True) if title.strip()}
    entries = tuple(replace(one, title=titles.get(one.id, one.title)) for one in dataset.catalogue.values())
    return replace(dataset, catalogue=Catalogue(entries))


# --- The forecast ----------------------------------------------------------------------------------------


def headline(outlook: Outlook) -> pd.DataFrame:
    """HEADLINE_COLUMNS of the first quarter that lies wholly after the last published month."""
    end = next_full_quarter_end(max(outlook.forecast.cutoff))
    wanted = label(pd.Period(end, freq="Q-DEC"), "quarter")
    totals = outlook.totals["quarter"]
    if wanted not in totals.labels:
        return pd.DataFrame(columns=list(HEADLINE_COLUMNS))
    row = totals.labels.index(wanted)
    falls = totals.probability_of_fall()[row]
    ago = np.median(totals.year_ago[:, row], axis=0)
    quarter = outlook.table[(outlook.table["kind"] == "quarter") & (outlook.table["period"] == wanted)]
    levels = quarter[quarter["unit"] != GROWTH].set_index("series")
    growth = quarter[quarter["unit"] == GROWTH].set_index("series")
    rows = []
    for at, one in enumerate(totals.series):
        if one not in levels.index:
            continue
        entry = outlook.dataset.catalogue[one]
        rows.append(
            {
                "series": one, "title": entry.title, "unit": entry.unit, "period": wanted,
                **{name: float(levels[name].get(one, np.nan)) for name in ("q50", "q10", "q90", "q025", "q975")},
                "year_ago": float(ago[at]), "probability_of_fall": float(falls[at]),
                **{ours: float(growth["q" + theirs].get(one, np.nan)) for ours, theirs in CHANGES.items()},
            }
        )  # fmt: skip
    return pd.DataFrame(rows, columns=list(HEADLINE_COLUMNS))


def _card(series: str, outlook: Outlook, judged: Judged | None) -> Card:
    rows = outlook.table[outlook.table["series"] == series]
    levels = rows[rows["unit"] != GROWTH].reset_index(drop=True)
    history = outlook.history[series].dropna()
    past, covered, name = _record(series, judged)
    return Card(
        outlook.dataset.catalogue[series],
        history,
        _stages(series, outlook).reindex(history.index).fillna(""),
        levels,
        rows[rows["unit"] == GROWTH].reset_index(drop=True),
        str(levels["model"].iloc[0]) if len(levels) else outlook.forecast.model,
        outlook.forecast.notes.get(series, ""),
        past,
        covered,
        name,
        tuple(dict.fromkeys(line for one in closure([series], outlook.dataset.catalogue)
                            for line in outlook.dataset.attributions.get(one, ()))),
    )  # fmt: skip


def _stages(series: str, outlook: Outlook) -> pd.Series:
    """How final each published month of a series is (T); of a computed one, the least final of its terms."""
    stages = outlook.stages
    if series in stages:
        return stages[series]
    rows = workflow.rows_of(outlook.dataset, series)
    return pd.Series(rows["stage"].to_numpy(), index=pd.PeriodIndex(rows["month"], freq="M"), dtype=object)


def sources(outlook: Outlook) -> pd.DataFrame:
    """SOURCE_COLUMNS: what each source gave of the series that are shown or that these rest on."""
    used = outlook.dataset.observations
    used = used[used["series"].isin(outlook.resting) & (used["month"] <= outlook.history.index[-1])]
    kinds = used["source"].map(lambda name: DATED.sub("…", name))
    found = []
    for name, rows in used.groupby(kinds, sort=True):
        stages = rows["stage"].value_counts().sort_index()
        found.append(
            {
                "source": name, "files": rows["source"].nunique(), "series": rows["series"].nunique(),
                "first": rows["month"].min(), "last": rows["month"].max(), "figures": len(rows),
                "stages": ", ".join(f"{many:,} {words_of_stage(stage)}" for stage, many in stages.items() if stage),
                "attribution": outlook.dataset.source_line_of(rows["series"].unique()),
            }
        )  # fmt: skip
    return pd.DataFrame(found, columns=list(SOURCE_COLUMNS))


def words_of_stage(stage: str) -> str:
    """A stage as people read it."""
    return stage.replace("_", " ")


def _champions(outlook: Outlook) -> tuple[Champion, ...]:
    groups = dict.fromkeys(group_in(one, outlook.dataset.catalogue) for one in outlook.resting)
    held = champion_file.read()
    return tuple(held[one] for one in groups if one in held)


def _checked(request: Request) -> Checked | None:
    """Findings on today's figures; of those of an earlier day nothing is said."""
    return None if request.as_of_day else workflow.check(request.data)


# --- The news --------------------------------------------------------------------------------------------


def _news(request: Request, model: str | None, catalogue: Catalogue, progress: Progress) -> tuple[News | None, str]:
    """What changed since the figures of before; where that cannot be said, why."""
    if request.as_of or request.as_of_day:
        return None, "News compare with today's figures, and this report is about an earlier state of them."
    asked = replace(request, growth=False, model=model or request.model)
    forecasting = workflow.forecast if model else champion_forecast.forecast
    since = Since(month=_month_before(request)) if request.data else Since()
    try:
        told = news_journey.tell(asked, since, forecasting, progress)
    except ForecastingError as error:
        return None, str(error)
    stories = tuple(replace(one, title=catalogue[one.series].title) for one in told.stories)
    return replace(told, stories=stories, told=tuple(CACHED.sub("", line) for line in told.told)), ""


def _month_before(request: Request) -> str:
    return str(workflow.load(request.data).panel.cutoff - 1)


# --- The backtest ----------------------------------------------------------------------------------------


def _judged(result: Result, outlook: Outlook) -> Judged:
    rows = result.rows[result.rows["kind"] == "month"]
    if rows.empty:
        raise DataError(f"{result.name} holds no months, which a report shows: name a backtest of monthly forecasts.")
    board = leaderboard.board(result)
    scored = score_table(board.rows, ["model", "step"])
    base = leaderboard.base_of(result)
    by_step = skill(scored, base) if base in set(scored["model"]) else scored.assign(skill=np.nan)
    words = (
        leaderboard.what_was_run(result, board), leaderboard.who_wins(board), leaderboard.do_intervals_cover(board)
    )  # fmt: skip
    return Judged(result, board, by_step, coverage_table(board.rows), pit_table(board.rows), words)


def _record(series: str, judged: Judged | None) -> tuple[pd.DataFrame, pd.DataFrame, str]:
    """Last forecasts of a series one month ahead beside what came, and how often its intervals held it."""
    columns = ["period", "cutoff", "step", "q50", "q10", "q90", "actual"]
    nothing = pd.DataFrame(columns=columns), pd.DataFrame(columns=["coverage", "covered", "low", "high", "cells"]), ""
    if judged is None:
        return nothing
    rows = judged.result.rows
    rows = rows[(rows["series"] == series) & (rows["kind"] == "month") & rows["actual"].notna()]
    if rows.empty:
        return nothing
    model = next(one for one in judged.board.table["model"] if one in set(rows["model"]))
    mine = rows[rows["model"] == model]
    nearest = mine[mine["step"] == mine["step"].min()].sort_values("period").tail(LAST_FORECASTS)
    covered = coverage_table(mine)[["coverage", "covered", "low", "high", "cells"]]
    return nearest[columns].reset_index(drop=True), covered, str(model)

"""The forecast when no model is named: each series by the champion of its group, else by the ensemble, and why."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from forecasting import champion_file, workflow
from forecasting.champion_file import Champion, group_of
from forecasting.compute import Progress, silent
from forecasting.forecast import Forecast
from forecasting.periods import Totals
from forecasting.plan import chosen
from forecasting.workflow import DEFAULT_MODEL, USES_COVARIATES, Cube, Dataset, Outlook, Request


@dataclass(frozen=True)
class Share:
    """Series that one model forecasts, and the words that say why."""

    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    series: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


def forecast(request: Request, progress: Progress = silent, dataset: Dataset | None = None) -> Outlook:
    """The forecast of what was asked for; its numbers are those of ``--model NAME`` for the same series."""
    dataset = dataset or workflow.load(request.data, request.as_of_day)
    made = []
    for share in shares(request, dataset):
        asked = replace(request, model=share.model, settings=share.settings, only=frozenset(share.series))
        outlook = workflow.forecast(asked, progress, dataset)
        made.append(replace(outlook, remarks=(*share.why, *outlook.remarks)))
    return made[0] if len(made) == 1 else side_by_side(made)


def cube(request: Request, progress: Progress = silent) -> Cube:
    """The paths behind ``forecast``: every group of series by the model in force for it."""
    dataset = workflow.load(request.data, request.as_of_day)
    parts = shares(request, dataset)
    made = [
        workflow.cube(
            replace(request, model=one.model, settings=one.settings, only=frozenset(one.series)), progress, dataset
        )
        for one in parts
    ]
    if len(made) == 1:
        return replace(made[0], remarks=(*parts[0].why, *made[0].remarks))
    by_group = {group_of(one): part for share, part in zip(parts, made, strict=True) for one in share.series}
    held = {
        series: by_group[group_of(series)]
        for one in made
        for series in one.forecast.series
        if group_of(series) in by_group
    }
    held = {series: one for series, one in held.items() if series in one.forecast.series}
    asked = {series for one in made for series in one.shown}
    return replace(
        made[0],
        forecast=_paths([(series, one.forecast) for series, one in held.items()]),
        y=pd.concat([one.y for one in made], axis=1).loc[:, lambda y: ~y.columns.duplicated()],
        shown=tuple(one for one in dataset.catalogue if one in asked),
        runs=tuple((run, tuple(s for s in of if held.get(s) is one)) for one in made for run, of in one.runs),
        pieces=tuple(piece for one in made for piece in one.pieces),
        remarks=tuple(
            dict.fromkeys(line for share, one in zip(parts, made, strict=True) for line in (*share.why, *one.remarks))
        ),
    )


def shares(request: Request, dataset: Dataset) -> list[Share]:
    """The series asked for by the model in force for them, in the order in which models come."""
    asked, _ = chosen(workflow.as_of(dataset.panel, request.as_of), dataset.catalogue, request.series)
    asked = tuple(dict.fromkeys((*asked, *request.besides)))
    champions = champion_file.read()
    groups = champion_file.groups(asked, dataset.catalogue)
    by_group: dict[str, list[str]] = {}
    for one in asked:
        by_group.setdefault(groups.get(one, ""), []).append(one)
    found: list[Share] = []
    for group, series in by_group.items():
        share = _share(group, champions.get(group), request)
        at = next((i for i, one in enumerate(found) if _same(one, share)), None)
        if at is None:
            found.append(replace(share, series=tuple(series)))
        else:
            found[at] = replace(found[at], series=(*found[at].series, *series), why=_and(found[at].why, share.why))
    return found


def _same(one: Share, two: Share) -> bool:
    return (one.model, one.settings) == (two.model, two.settings)


def _and(one: tuple[str, ...], two: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(dict.fromkeys((*one, *two)))


def _share(group: str, champion: Champion | None, request: Request) -> Share:
    if not group:
        return Share(DEFAULT_MODEL)  # a user's own series: nobody has judged models on them
    if champion is None:
        return Share(
            DEFAULT_MODEL,
            why=(f"No champion yet for {group}, so the {DEFAULT_MODEL}: run tradecast backtest and"
                 " tradecast champion promote.",),
        )  # fmt: skip
    if (request.covariates or request.working_days) and champion.model not in USES_COVARIATES:
        return Share(
            DEFAULT_MODEL, why=(f"{champion.model}, the champion of {group}, uses no covariates: the {DEFAULT_MODEL}.",)
        )
    return Share(champion.model, champion_file.as_settings(champion.settings), why=(say(champion),))


def say(champion: Champion) -> str:
    """Which model and why, in one line."""
    why = f"by force: {champion.forced}" if champion.forced else champion.why
    return (
        f"{champion.group} by {champion.model}, champion since {champion.day} (version {champion.version}, backtest"
        f" {champion.backtest}): {why.rstrip('.')}."
    )


# --- Several models --------------------------------------------------------------------------------------


def side_by_side(outlooks: Sequence[Outlook]) -> Outlook:
    """Outlooks of different series from the same data as one, series in the catalogue's order."""
    first = outlooks[0]
    shown = {series: one for one in outlooks for series in one.series}
    order = [one for one in first.dataset.catalogue if one in shown]
    tables = [shown[one].table.loc[shown[one].table["series"] == one] for one in order]
    described = [one.described[one.described["series"].isin(one.resting)] for one in outlooks]
    return replace(
        first,
        table=pd.concat(tables, ignore_index=True),
        forecast=_paths([(one, shown[one].forecast) for one in order if one in shown[one].forecast.series]),
        totals={kind: _totals([(one, shown[one].totals[kind]) for one in order]) for kind in first.totals},
        history=pd.concat([shown[one].history[[one]] for one in order], axis=1),
        series=tuple(order),
        described=pd.concat(described, ignore_index=True),
        remarks=tuple(_remarks(outlooks)),
        cached=all(one.cached for one in outlooks),
    )


def _remarks(outlooks: Sequence[Outlook]) -> Iterator[str]:
    """Each once; what is said of the models first, in the order of the models."""
    yield from dict.fromkeys(line for one in outlooks for line in one.remarks)


def _paths(pieces: Sequence[tuple[str, Forecast]]) -> Forecast:
    """Paths of each series from its own forecast; models that need more months may begin later, all end together."""
    months = min((one.months for _, one in pieces), key=len)
    return Forecast(
        np.stack([one.column(series)[:, -len(months) :] for series, one in pieces], axis=2),
        months,
        tuple(series for series, _ in pieces),
        tuple(one.cutoff[one.series.index(series)] for series, one in pieces),
        ", ".join(dict.fromkeys(one.model for _, one in pieces)),
        notes={series: one.notes.get(series, "") for series, one in pieces},
    )


def _totals(pieces: Sequence[tuple[str, Totals]]) -> Totals:
    labels = min((one.labels for _, one in pieces), key=len)
    last = slice(-len(labels), None) if labels else slice(0, 0)
    at = [(one, one.series.index(series)) for series, one in pieces]
    return Totals(
        kind=pieces[0][1].kind,
        labels=labels,
        series=tuple(series for series, _ in pieces),
        paths=np.stack([one.paths[:, last, i] for one, i in at], axis=2),
        year_ago=_stacked([one.year_ago[:, last, i] for one, i in at]),
        observed=np.stack([one.observed[last, i] for one, i in at], axis=1),
        step=np.stack([one.step[last, i] for one, i in at], axis=1),
    )


def _stacked(columns: Sequence[np.ndarray]) -> np.ndarray:
    """Values a year earlier (P or 1 × m × n): known ones stand for every path."""
    paths = max(len(one) for one in columns)
    return np.stack([np.broadcast_to(one, (paths, one.shape[1])) for one in columns], axis=2)

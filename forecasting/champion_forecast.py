"""The forecast when no model is named: each series by the champion of its group, else by the ensemble, and why."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from forecasting import champion_file, workflow
from forecasting.champion_file import Champion, group_in, groups_beneath
from forecasting.compute import Progress, silent
from forecasting.forecast import Forecast
from forecasting.models.base import known_cells
from forecasting.plan import chosen
from forecasting.transform import choose_transform
from forecasting.workflow import DEFAULT_MODEL, USES_COVARIATES, Cube, Dataset, Outlook, Request


@dataclass(frozen=True)
class Share:
    """Groups that one model forecasts, the series that rest on them, and the words that say why."""

    model: str
    settings: dict[str, Any] = field(default_factory=dict)
    groups: tuple[str, ...] = ()
    series: tuple[str, ...] = ()
    why: tuple[str, ...] = ()


def forecast(request: Request, progress: Progress = silent, dataset: Dataset | None = None) -> Outlook:
    """The forecast of what was asked for; its numbers are those of ``--model NAME`` for the same series."""
    made = cube(request, progress, dataset)
    return workflow.outlook(made, made.forecast, request.growth)


def cube(request: Request, progress: Progress = silent, dataset: Dataset | None = None) -> Cube:
    """The paths behind ``forecast``: every group of series by the model in force for it."""
    dataset = dataset or workflow.load(request.data, request.as_of_day)
    parts = shares(request, dataset)
    made = []
    for share in parts:
        asked = replace(request, model=share.model, settings=share.settings, only=frozenset(share.series))
        one = workflow.cube(asked, progress, dataset)
        made.append(replace(one, remarks=(*share.why, *one.remarks)))
    return made[0] if len(made) == 1 else _side_by_side(parts, made)


def shares(request: Request, dataset: Dataset) -> list[Share]:
    """The series asked for by the model in force for them, in the order in which models come.

    A series that rests on several groups is in the shares of all of them.
    """
    asked, _ = chosen(workflow.as_of(dataset.panel, request.as_of), dataset.catalogue, request.series)
    champions = champion_file.read()
    by_group: dict[str, list[str]] = {}
    for one in dict.fromkeys((*asked, *request.besides)):
        for group in groups_beneath(one, dataset.catalogue):
            by_group.setdefault(group, []).append(one)
    found: list[Share] = []
    for group, series in by_group.items():
        share = replace(_share(group, champions.get(group), request), groups=(group,), series=tuple(series))
        at = next((i for i, one in enumerate(found) if _same(one, share)), None)
        if at is None:
            found.append(share)
        else:
            found[at] = _with(found[at], share)
    return found


def _same(one: Share, two: Share) -> bool:
    return (one.model, one.settings) == (two.model, two.settings)


def _with(one: Share, other: Share) -> Share:
    def both(name: str) -> tuple[str, ...]:
        return tuple(dict.fromkeys((*getattr(one, name), *getattr(other, name))))

    return replace(one, groups=both("groups"), series=both("series"), why=both("why"))


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


def _side_by_side(parts: Sequence[Share], made: Sequence[Cube]) -> Cube:
    """Cubes of the same data as one: each series from the cube of its group, what rests on several in all of them."""
    catalogue = made[0].dataset.catalogue
    by_group = {group: one for share, one in zip(parts, made, strict=True) for group in share.groups}

    def own(of: Iterable[str], cube: Cube) -> tuple[str, ...]:
        return tuple(one for one in of if by_group.get(group_in(one, catalogue)) is cube)

    held = {series: one for one in made for series in own(one.forecast.series, one)}
    shown = {series for one in made for series in one.shown}
    for share, one in zip(parts, made, strict=True):
        shown -= set(share.series) - set(one.shown)
    published = pd.concat([one.y for one in made], axis=1).loc[:, lambda y: ~y.columns.duplicated()]
    return replace(
        made[0],
        forecast=_paths(held),
        y=published.assign(**{series: one.y[series] for series, one in held.items()}),
        shown=tuple(one for one in catalogue if one in shown),
        runs=tuple((run, mine) for one in made for run, of in one.runs if (mine := own(of, one))),
        pieces=tuple(piece.only(own(piece.forecast.series, one)) for one in made for piece in one.pieces),
        remarks=tuple(dict.fromkeys(line for one in made for line in one.remarks)),
    )


def _paths(held: Mapping[str, Cube]) -> Forecast:
    """Paths of each series from its own cube, from the first month that any of them does not know."""
    longest = max((one.forecast.months for one in held.values()), key=len)
    models = {series: one.forecast.model for series, one in held.items()}
    return Forecast(
        np.stack([_column(one, series, longest) for series, one in held.items()], axis=2),
        longest,
        tuple(held),
        tuple(one.forecast.cutoff[one.forecast.series.index(series)] for series, one in held.items()),
        ", ".join(dict.fromkeys(models.values())),
        notes={series: one.forecast.notes.get(series, "") for series, one in held.items()},
        models=models,
    )


def _column(cube: Cube, series: str, months: pd.PeriodIndex) -> np.ndarray:
    """Paths of a series (P × h) over these months, which may begin before the cube's: those are published."""
    paths, y = cube.forecast.column(series), cube.y[series]
    if paths.shape[1] == len(months):
        return paths
    before = known_cells(y, months[: len(months) - paths.shape[1]], choose_transform(y.to_numpy(dtype=float)))
    return np.concatenate([np.broadcast_to(before, (len(paths), len(before))), paths], axis=1)

"""What the page needs to impose assumptions itself: packed sample paths, who is part of whom, draws of sizes."""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from forecasting import scenarios, seeds
from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.forecast import KINDS, Forecast
from forecasting.impose import normal_levels
from forecasting.observations import with_derived
from forecasting.periods import label
from forecasting.relations import Relations
from forecasting.report import Content
from forecasting.report_page.words import assumption_words, period_words
from forecasting.scenario import SPANS, Assumption, Scenario, Size
from forecasting.scenarios import Worlds
from forecasting.tables import closure
from forecasting.units import conversion, scale_of
from forecasting.workflow import Request

PATH_BYTES = 2_300_000
"""Of packed paths; where there are more, every second (third …) path is carried."""
PAST = 36
MOST_RAMP = 24
CODES = 65535
STRONGER = 4.0
"""How many times its size in the file an assumption can be made at most."""


def payload(content: Content, request: Request) -> dict[str, Any]:
    """Everything that impose.js reads, ready for JSON; empty without scenarios."""
    if content.worlds is None:
        return {}
    return _Packer(content, content.worlds, request).packed()


class _Packer:
    """Collects what the assumptions of all scenarios touch."""

    def __init__(self, content: Content, worlds: Worlds, request: Request) -> None:
        self.content, self.worlds, self.request = content, worlds, request
        self.forecast: Forecast = worlds.cube.forecast
        self.catalogue: Catalogue = worlds.cube.dataset.catalogue
        self.relations = Relations(self.catalogue, self.forecast.series)
        computable = [one for one in self.catalogue if self._reachable(one)]
        self.there = Relations(self.catalogue, tuple(dict.fromkeys((*self.forecast.series, *computable))))
        self.every = 1
        self.tables: dict[str, str] = {}
        self.rank_names: dict[tuple[str, ...], str] = {}
        self.table_names: dict[tuple[Any, ...], str] = {}
        self.touched: dict[str, None] = {}

    def packed(self) -> dict[str, Any]:
        told = [self._scenario(one) for one in self.worlds.scenarios]
        shown = self.content.outlook.series
        needed = self._needed((*self.touched, *closure(shown, self.catalogue), *shown))
        held = [one for one in self.forecast.series if one in needed]
        every = self.every = max(1, math.ceil(self.forecast.paths[:, :, 0].size * len(held) * 2 / PATH_BYTES))
        months = self.forecast.months
        return {
            "paths": len(range(0, len(self.forecast.paths), every)),
            "of_paths": len(self.forecast.paths),
            "months": len(months),
            "past_months": PAST,
            "ordinals": [int(one) for one in months.asi8],
            "cells": {one: _cells(self.forecast.column(one)[::every]) for one in held},
            "cutoff": {
                one: int(last.ordinal)
                for one, last in zip(self.forecast.series, self.forecast.cutoff, strict=True)
                if one in needed
            },
            "past": {one: self._past(one) for one in closure(shown, self.catalogue) if one in self.forecast.series},
            "relations": {one: self._relation(one, set(held)) for one in needed},
            "catalogue": {one: self._entry(one) for one in needed if one in self.catalogue},
            "shown": [self._shown(one) for one in shown],
            "spans": self._spans(),
            "ranks": {name: self._ranks(key) for key, name in self.rank_names.items()},
            "tables": self.tables,
            "scenarios": told,
        }

    # --- Series

    def _reachable(self, series: str) -> bool:
        if series in self.forecast.series:
            return True
        entry = self.catalogue[series]
        return entry.derived and all(self._reachable(one) for one in entry.terms)

    def _needed(self, touched: Iterable[str]) -> dict[str, None]:
        """Whatever is read or moved when these are: terms, families, parts, partners, and wholes above them all."""
        found: dict[str, None] = {}
        waiting = list(dict.fromkeys(touched))
        while waiting:
            one = waiting.pop(0)
            if one in found:
                continue
            found[one] = None
            entry = self.catalogue.get(one)
            more = [*self.relations.family(one), *self.relations.below(one), self.relations.partner(one)]
            if entry and entry.derived:
                more += [*entry.terms, *(self.catalogue.children(entry.terms[0]) if entry.formula == "rest" else ())]
            waiting += sorted(other for other in more if other and self._reachable_or_part(other))
        for one in list(found):
            found.update(dict.fromkeys(self.relations.above(one)))
        return found

    def _reachable_or_part(self, series: str) -> bool:
        return series in self.forecast.series or (series in self.catalogue and self._reachable(series))

    def _relation(self, series: str, held: set[str]) -> dict[str, Any]:
        def kept(of: Mapping[str, float]) -> dict[str, float]:
            return {one: float(by) for one, by in of.items()}

        below = self.relations.below(series)
        whole = set(below) <= held
        return {
            "above": kept(self.relations.above(series)),
            "below": list(below) if whole else [],
            "partner": self.relations.partner(series),
            "family": sorted(self.relations.family(series)),
            "fillings": [kept(of) for of in self.relations.fillings(series)] if whole else [],
        }

    def _entry(self, series: str) -> dict[str, Any]:
        entry = self.catalogue[series]
        told: dict[str, Any] = {"formula": entry.formula, "terms": list(entry.terms)}
        if entry.formula == "difference":
            told["second"] = conversion(self.catalogue[entry.terms[1]].unit, entry.unit)
        if entry.formula == "rest":
            parts = self.catalogue.children(entry.terms[0])
            told["children"] = [one for one in parts if one in self.forecast.series]
        return told

    def _shown(self, series: str) -> dict[str, Any]:
        entry, table = self.catalogue[series], self.content.outlook.table
        rows = table[(table["series"] == series) & (table["unit"] == entry.unit)]
        scales = {}
        for kind in KINDS:
            scale = scale_of(entry.unit, rows.loc[rows["kind"] == kind, "q50"])
            scales[kind] = [scale.factor, scale.label, scale.decimals]
        return {
            "id": series,
            "title": entry.title,
            "scales": scales,
            "periods": {kind: list(rows.loc[rows["kind"] == kind, "period"]) for kind in KINDS},
        }

    def _past(self, series: str) -> list[float | None]:
        start = self.forecast.months[0]
        index = pd.period_range(start - PAST, start - 1, freq="M")
        return [None if math.isnan(one) else float(one) for one in self.worlds.cube.y[series].reindex(index)]

    def _spans(self) -> list[dict[str, Any]]:
        """Every period within the horizon, as places in the months that are known and those that are forecast."""
        first = self.forecast.months[0] - PAST
        months = pd.period_range(first, self.forecast.months[-1], freq="M")
        found: list[dict[str, Any]] = []
        for kind in KINDS:
            periods = months.asfreq(SPANS[kind])
            for period in periods.unique():
                at = np.flatnonzero(periods == period)
                whole = (period.asfreq("M", "end") - period.asfreq("M", "start")).n + 1
                if len(at) == whole and at[-1] >= PAST:
                    found.append(
                        {
                            "kind": kind,
                            "label": label(period, kind),
                            "words": period_words(label(period, kind)),
                            "start": int(at[0]),
                            "stop": int(at[-1]) + 1,
                        }
                    )
        return found

    # --- Assumptions

    def _scenario(self, scenario: Scenario) -> dict[str, Any]:
        told = {"name": scenario.name, "description": scenario.description, "why_not": self._why_not(scenario)}
        acting = [] if told["why_not"] else [self._assumption(one) for one in scenario.assumptions]
        return {**told, "assumptions": acting}

    def _why_not(self, scenario: Scenario) -> str:
        """Why the page cannot compute it; empty if it can."""
        if any(one.covariate and not one.pass_through for one in scenario.assumptions):
            return "It changes a covariate whose effect the models themselves compute, so that it has no live controls."
        return ""

    def _assumption(self, one: Assumption) -> dict[str, Any]:
        patterns = [of.target for of in one.pass_through] or [one.target]
        targets = {pattern: self._matching(pattern) for pattern in patterns}
        own = () if one.pass_through else targets[one.target]
        self.touched |= dict.fromkeys([*(t for of in targets.values() for t in of), *(way.to for way in one.reroute)])
        starts = self._starts(one, own)
        low, high = (
            (one.size.values[0], one.size.values[-1])
            if one.size.distribution != "normal"
            else (one.size.values[0] - 2 * one.size.values[1], one.size.values[0] + 2 * one.size.values[1])
        )
        sizes = {"size": one.size, "residual": one.residual}
        sizes |= {f"reroute {way.to}": way.share for way in one.reroute}
        sizes |= {f"elasticity {way.target}": way.elasticity for way in one.pass_through}
        return {
            "label": one.label,
            "kind": one.kind,
            "target": one.target,
            "source": one.source,
            "start": one.start.ordinal,
            "end": None if one.end is None else one.end.ordinal,
            "ramp": one.ramp,
            "recovery": one.recovery,
            "per": one.per,
            "levels": list(one.levels),
            "scale": 1.0,
            "targets": list(own),
            "starts": [month.ordinal for month in starts],
            "most_ramp": max(MOST_RAMP, one.ramp),
            "most": strongest(one),
            "range": [low, middle(one.size), high],
            "relative": one.kind not in ("shift", "cap", "floor"),
            "unit": "" if one.pass_through else self.catalogue[own[0]].unit.replace("_", " "),
            "words": assumption_words(one, self.catalogue),
            "sizes": {what: self._size(one, what, size, starts) for what, size in sizes.items()},
            "normal": {t: self._normal(one, t) for t in own} if one.since is not None else {},
            "ago": {t: self._ago(t) for t in own} if one.kind == "growth" else {},
            "covariate": self._covariate(one),
            "reroute": [
                {
                    "to": way.to,
                    "lag": way.lag,
                    "at_origin": way.at_origin,
                    "conversion": {t: conversion(self.catalogue[t].unit, self.catalogue[way.to].unit) for t in own},
                }
                for way in one.reroute
            ],
            "pass_through": [
                {"target": way.target, "lag": way.lag, "targets": list(targets[way.target])} for way in one.pass_through
            ],
        }

    def _matching(self, pattern: str) -> tuple[str, ...]:
        return self.there.topmost(tuple(one for one in self.catalogue.select([pattern]) if self._reachable(one)))

    def _starts(self, one: Assumption, targets: tuple[str, ...]) -> list[pd.Period]:
        """Months of the horizon in which the command, too, lets it begin."""
        # What lets it begin in one month lets it in every later one: only published months are refused.
        months = [month for month in self.forecast.months if one.end is None or month <= one.end]
        first = next((at for at, month in enumerate(months) if self._accepted(one, month)), len(months))
        found = months[first:]
        if one.kind == "growth":
            known = [self._ago(target) for target in targets]
            gap = max((at for of in known for at, cell in enumerate(of) if cell is None), default=-1)
            found = [month for month in found if month > self.forecast.months[0] + gap]
        return sorted({*found, one.start})

    def _accepted(self, one: Assumption, start: pd.Period) -> bool:
        trial = Scenario("trial", (replace(one, start=start, covariate=bool(one.pass_through)),), ordered=True)
        try:
            scenarios.prepare([trial], self.request, self.worlds.cube.dataset)
        except DataError:
            return False
        return True

    def _ago(self, target: str) -> list[float | None]:
        """The published level a year before each of the first twelve months."""
        y = self._history(target)
        ago = [y.get(month - 12, np.nan) for month in self.forecast.months[:12]]
        return [None if math.isnan(one) else float(one) for one in ago]

    def _normal(self, one: Assumption, target: str) -> list[float]:
        return [float(cell) for cell in normal_levels(self._history(target), one, self.forecast.months)]

    def _history(self, target: str) -> pd.Series:
        return with_derived(self.worlds.cube.y, self.catalogue, [target])[target]

    def _covariate(self, one: Assumption) -> list[float]:
        if not one.pass_through or one.kind == "scale":
            return []
        levels = self.worlds.ground.covariates[one.target].reindex(self.forecast.months)
        return [float(cell) for cell in levels]

    # --- Draws

    def _size(self, one: Assumption, what: str, size: Size, starts: list[pd.Period]) -> dict[str, Any]:
        if size.least == size.most:
            return {"value": size.values[0]}
        paths = len(self.forecast.paths)
        names = {}
        for month in starts:
            key = ("size", one.target, one.kind, str(month), one.name, what)
            names[str(month.ordinal)] = self.rank_names.setdefault(key, f"r{len(self.rank_names)}")
        table = self.table_names.setdefault((size.values, size.distribution), f"t{len(self.table_names)}")
        if table not in self.tables:
            grid = (np.arange(paths) + 0.5) / paths
            self.tables[table] = _text(size.at(grid).astype("<f4"))
        return {"value": size.mean, "table": table, "ranks": names}

    def _ranks(self, key: tuple[str, ...]) -> str:
        """Which quantile of its size every carried path has."""
        order = seeds.stream(self.worlds.ground.seed, *key).permutation(np.arange(len(self.forecast.paths)))
        return _text(order[:: self.every].astype("<u2"))


def middle(size: Size) -> float:
    """What a size is around: its mode, mean or middle."""
    return size.values[1] if size.distribution == "triangular" else size.mean


def strongest(one: Assumption) -> float:
    """How many times its size in the file an assumption can be: what the file's own bounds allow; 0: not at all."""
    least, most = one.size.least, one.size.most
    if least == most == 0.0:
        return 0.0
    bounds = [STRONGER]
    if one.kind in ("ban", "lift"):
        bounds.append(1.0 / most)
    elif one.kind in ("scale", "growth", "path"):
        bounds += [(0.99 if one.pass_through else 1.0) / -least] if least < 0 else [2.0]
    else:
        bounds.append(2.0)
    return max(min(bounds), 1.0)


def _cells(paths: np.ndarray) -> dict[str, Any]:
    """Paths (P × h) in 16 bits between the least and the most of each month."""
    low, high = paths.min(axis=0), paths.max(axis=0)
    moving = high > low
    codes = np.round((paths - low)[:, moving] / (high - low)[moving] * CODES).astype("<u2")
    text = _text(np.ascontiguousarray(codes.T)) if moving.any() else ""
    return {"low": [float(one) for one in low], "high": [float(one) for one in high], "codes": text}


def _text(array: np.ndarray) -> str:
    return base64.b64encode(array.tobytes()).decode()

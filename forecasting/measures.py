"""The ledger of real measures: what governments and companies did, since when, and how sure the record is.

``data/measures.toml`` says it for people and for replays. A size that was computed from figures published later is
hindsight: only one with a day on which it was ``known`` may enter a forecast as it would have been made then.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting.toml_table import MONTH, TomlTable, read_toml

ACTORS = ("Japan", "Russia", "G7", "US", "EU", "companies")
RECORDS = ("seen", "secondary", "unsourced")
"""Read on a page of who acted; read in the press, at a law firm or an agency; not found written anywhere."""
KINDS = ("ban", "scale", "cap", "shift", "lift")
SHARES = {"ban": (0.0, 1.0), "scale": (-1.0, 10.0), "lift": (0.0, 1.0)}
"""Kinds whose size is a percent text, and its bounds; the others are numbers in the target's unit."""
ID = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*-\d{4}(-(0[1-9]|1[0-2]))?")
DAY = re.compile(rf"{MONTH.pattern}(-[0-9]{{2}})?")
PERCENT = re.compile(r"([+-]?\d+(?:\.\d+)?) ?%")
HS = re.compile(r"\d{2,9}")
MEASURE_KEYS = (
    "id", "by", "title", "announced", "effective", "ended", "scope", "hs", "source", "urls", "record", "note", "effect",
)  # fmt: skip
EFFECT_KEYS = ("target", "kind", "share", "ramp", "known", "total", "basis")
MAX_RAMP = 60


@dataclass(frozen=True)
class Effect:
    """What a measure does to a series or a pattern of series.

    ``share`` is a fraction: covered by a ``ban``, changed by a ``scale``, of the lost level that a ``lift`` gives back;
    of a ``cap`` and a ``shift`` it is an amount a month in the target's unit. ``known`` is the day (or month) on which
    ``basis`` could be read, none if it needs later figures. ``total`` says the same loss of a series that contains the
    other targets: for data without these, never together with them.
    """

    target: str
    kind: str
    share: float
    basis: str
    ramp: int = 0
    known: pd.Period | None = None
    total: bool = False


@dataclass(frozen=True)
class Measure:
    """One act; days are daily periods, or monthly ones where only the month is sure, or none where nothing is."""

    id: str
    by: str
    title: str
    record: str
    announced: pd.Period | None = None
    effective: pd.Period | None = None
    ended: pd.Period | None = None
    scope: str = ""
    hs: tuple[str, ...] = ()
    source: str = ""
    urls: tuple[str, ...] = ()
    note: str = ""
    effects: tuple[Effect, ...] = ()

    @property
    def start(self) -> pd.Period | None:
        """The month in which it takes effect; that of the announcement if nothing better is known."""
        first = self.effective if self.effective is not None else self.announced
        return None if first is None else first.asfreq("M")

    def announced_by(self, day: date) -> bool:
        """Public on that day; a month counts when it is over, a measure without both days never."""
        return _by(self.announced if self.announced is not None else self.effective, day)


def read_measures(path: Path) -> dict[str, Measure]:
    """The measures of a file by id, in its order; whatever is wrong is one line that names the record."""
    return parse_measures(read_toml(path)[0], path.name)


def parse_measures(parsed: Mapping[str, Any], file: str) -> dict[str, Measure]:
    """The measures of a parsed file by id, in its order."""
    table = TomlTable(file, "", parsed, ("measure",))
    found = table.cells.get("measure")
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        table.refuse("measure", "needs one block per measure: [[measure]]")
    measures: dict[str, Measure] = {}
    for at, cells in enumerate(found, start=1):
        one = _measure(file, at, cells)
        if one.id in measures:
            table.refuse("measure", f"has two called {one.id}: give each an id of its own")
        measures[one.id] = one
    return measures


def known_by(measures: Mapping[str, Measure], day: date) -> dict[str, Measure]:
    """Measures announced by that day, each with those effects only whose size was known by then."""
    return {
        name: replace(one, effects=tuple(effect for effect in one.effects if _by(effect.known, day)))
        for name, one in measures.items()
        if one.announced_by(day)
    }


def _by(when: pd.Period | None, day: date) -> bool:
    return when is not None and when.end_time.date() <= day


def _measure(file: str, at: int, cells: Mapping[str, Any]) -> Measure:
    named = TomlTable(file, f"measure {at}, ", {"id": cells.get("id", "")}, ("id",)).matching(
        "id", ID, "", "small letters, digits and dashes, and the year or month at the end, such as jp-car-ban-2023-08"
    )
    table = TomlTable(file, f"{named}: ", cells, MEASURE_KEYS)
    read = Measure(
        id=named,
        by=table.one_of("by", ACTORS),
        title=_needed(table, "title"),
        record=table.one_of("record", RECORDS),
        announced=_day(table, "announced"),
        effective=_day(table, "effective"),
        ended=_day(table, "ended"),
        scope=table.text("scope", ""),
        hs=table.texts("hs", ()),
        source=table.text("source", ""),
        urls=table.texts("urls", ()),
        note=table.text("note", ""),
        effects=_effects(table),
    )
    _check(table, read)
    return read


def _check(table: TomlTable, read: Measure) -> None:
    """What must hold between the keys of a record."""
    if read.record == "seen" and not read.urls:
        table.refuse("record", 'is "seen", but urls names no page: name it, or write "secondary"')
    if read.record == "secondary" and not read.source:
        table.refuse("record", 'is "secondary", but source is empty: say who reported it, or write "unsourced"')
    if wrong := next((one for one in read.hs if not HS.fullmatch(one)), ""):
        table.refuse("hs", f"holds {wrong!r}: write the 2 to 9 digits of a heading, such as 8703")
    if wrong := next((one for one in read.urls if not one.startswith(("http://", "https://"))), ""):
        table.refuse("urls", f"holds {wrong!r}: write a whole address, such as https://www.mofa.go.jp/")
    first = read.effective if read.effective is not None else read.announced
    if first is not None and read.ended is not None and read.ended.end_time < first.start_time:
        table.refuse("ended", f"{read.ended} lies before {first}: swap them")


def _effects(table: TomlTable) -> tuple[Effect, ...]:
    found = table.cells.get("effect", [])
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        table.refuse("effect", "is no list of blocks: write [[measure.effect]]")
    return tuple(_effect(table, at, cells) for at, cells in enumerate(found, start=1))


def _effect(measure: TomlTable, at: int, cells: Mapping[str, Any]) -> Effect:
    table = TomlTable(measure.file, f"{measure.where}effect {at}, ", cells, EFFECT_KEYS)
    kind = table.one_of("kind", KINDS)
    return Effect(
        target=_needed(table, "target"),
        kind=kind,
        share=_share(table, kind),
        basis=_needed(table, "basis"),
        ramp=table.whole("ramp", 0, 0, MAX_RAMP),
        known=_day(table, "known"),
        total=table.flag("total", False),
    )


def _share(table: TomlTable, kind: str) -> float:
    found = table.cells.get("share")
    if kind not in SHARES:
        if isinstance(found, bool) or not isinstance(found, (int, float)) or not math.isfinite(found):
            table.refuse("share", f"is {found!r}: a {kind} needs a number in the target's unit, such as 500")
        return float(found)
    matched = PERCENT.fullmatch(found) if isinstance(found, str) else None
    if matched is None:
        table.refuse("share", f'is {found!r}: write percent as a text, such as "60 %"')
    least, most = SHARES[kind]
    share = float(Decimal(matched[1]) / 100)
    if not least <= share <= most:
        table.refuse("share", f"is {found!r}: a {kind} lies between {least:.0%} and {most:.0%}")
    return share


def _needed(table: TomlTable, key: str) -> str:
    found = table.text(key, "").strip()
    if not found:
        table.refuse(key, "is missing: say it in a few words")
    return found


def _day(table: TomlTable, key: str) -> pd.Period | None:
    """A day or a month; an empty text is an unknown one."""
    found = table.text(key, "")
    if not found:
        return None
    wanted = f'is {found!r}: write a day or a month that exists, such as "2023-08-09", or "" if unknown'
    if not DAY.fullmatch(found):
        table.refuse(key, wanted)
    try:
        return pd.Period(found, freq="D" if len(found) == 10 else "M")
    except ValueError:
        table.refuse(key, wanted)

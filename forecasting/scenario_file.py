"""A scenario as a TOML file: what may stand in it, and one to start from."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting.scenario import (
    AS_LISTED,
    BASELINE,
    COVARIATE_KINDS,
    DISTRIBUTIONS,
    EVERYTHING,
    NOTHING,
    RELATIVE,
    SERIES_KINDS,
    SPANS,
    Assumption,
    PassThrough,
    Reroute,
    Scenario,
    Size,
)
from forecasting.toml_table import NAME, TomlTable, nearest, read_toml

PERCENT = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*%")
KEYS = ("name", "description", "probability", "order", "assumption")
ASSUMPTION_KEYS = (
    "name", "target", "kind", "size", "residual", "levels", "since", "start", "end", "ramp", "recovery", "source",
    "measure", "per", "reroute", "pass_through",
)  # fmt: skip
LONGEST = 120
LARGEST = 1000.0
"""A thousand times as much: more is a slip."""
BELONGS = {"residual": ("ban",), "levels": ("path",), "since": ("lift",), "per": ("cap",)}
"""Keys that only some kinds have."""


def read_scenario(path: Path, measures: Mapping[str, str]) -> Scenario:
    """The scenario of a file; ``measures`` gives the source of each record of the ledger by its id."""
    parsed, text = read_toml(path)
    return parse(parsed, path.name, measures, text)


def parse(parsed: Mapping[str, Any], file: str, measures: Mapping[str, str], text: str = "") -> Scenario:
    """The scenario of a parsed file; whatever is wrong with it is one line that names place and key."""
    table = TomlTable(file, "", parsed, KEYS)
    blocks = table.cells.get("assumption", [])
    if not isinstance(blocks, list) or not all(isinstance(one, Mapping) for one in blocks):
        table.refuse("assumption", "is no list of blocks: write [[assumption]] above each")
    name = table.matching("name", NAME, Path(file).stem, "letters, digits, - _ and .")
    if name == BASELINE:
        table.refuse("name", f"{BASELINE} is taken by the forecast that assumes nothing: choose another")
    made = tuple(_assumption(file, cells, at, measures) for at, cells in enumerate(blocks, start=1))
    labels = Counter(one.label for one in made)
    if twice := next((one for one, times in labels.items() if times > 1), ""):
        table.refuse("assumption", f"has two called {twice!r}: give each a name of its own")
    return Scenario(
        name,
        made,
        table.text("description", ""),
        _probability(table),
        table.one_of("order", ("", AS_LISTED), "") == AS_LISTED,
        text,
    )


def _probability(table: TomlTable) -> float | None:
    if "probability" not in table.cells:
        return None
    found = _share(table, "probability", table.cells["probability"])
    if not 0.0 <= found <= 1.0:
        table.refuse("probability", f'is {found:g}: give 0 to 1, or such as "15 %"')
    return found


def _assumption(file: str, cells: Mapping[str, Any], at: int, measures: Mapping[str, str]) -> Assumption:
    table = TomlTable(file, f"assumption {at}, ", cells, ASSUMPTION_KEYS)
    target = _line(table, "target")
    if not target:
        table.refuse("target", "is missing: name a series, a pattern or a covariate")
    passes = tuple(_pass_through(table, one, i) for i, one in enumerate(_blocks(table, "pass_through"), start=1))
    kind = table.one_of("kind", COVARIATE_KINDS if passes else SERIES_KINDS)
    for key, kinds in BELONGS.items():
        if key in cells and kind not in kinds:
            table.refuse(key, f"belongs to {' and '.join(kinds)}, not to {kind}: leave it out")
    start, end = _month(table, "start"), _month(table, "end")
    if start is None:
        table.refuse("start", 'is missing: name the first month in which it works, such as "2027-01"')
    if end is not None and end < start:
        table.refuse("end", f"{end} lies before start, {start}: swap them")
    recovery = table.whole("recovery", 0, 0, LONGEST)
    if recovery and end is None:
        table.refuse("recovery", "follows an end, and there is none: name the last month of full effect")
    since = _month(table, "since")
    if kind == "lift" and since is None:
        table.refuse("since", 'is missing: name the first month of the break that is undone, such as "2023-08"')
    if passes and "reroute" in cells:
        table.refuse("reroute", "belongs to series, and this is a covariate: leave it out")
    levels = _levels(table, kind)
    if end is not None and len(levels) > (months := (end - start).n + 1):
        table.refuse("levels", f"are {len(levels)}, and from {start} to {end} there are {months} months: give one each")
    size = _size_of(table, kind)
    if passes and (min(levels, default=1.0) <= 0 or (kind != "shift" and size.least <= -1)):
        table.refuse("levels" if levels else "size", "takes the covariate to zero, of which no percent passes on")
    return Assumption(
        target=target,
        kind=kind,
        start=start,
        source=_source(table, measures),
        name=_line(table, "name"),
        end=end,
        size=size,
        residual=_bounded(table, "residual", NOTHING, 0.0, 1.0),
        levels=levels,
        since=since,
        ramp=table.whole("ramp", 0, 0, LONGEST),
        recovery=recovery,
        per=_per(table),
        measure=table.text("measure", ""),
        reroute=_reroutes(table),
        pass_through=passes,
        covariate=bool(passes),
    )


def _per(table: TomlTable) -> str:
    per = table.one_of("per", tuple(SPANS), "month")
    if per != "month" and ("ramp" in table.cells or "recovery" in table.cells):
        table.refuse("per", f"{per} is a quota, which works at once and ends at once: leave ramp and recovery out")
    return per


def _source(table: TomlTable, measures: Mapping[str, str]) -> str:
    measure = table.text("measure", "")
    if measure and measure not in measures:
        near = nearest(measure, measures)
        table.refuse("measure", f"{measure!r} is no record of data/measures.toml{near}: see docs/measures.md")
    source = table.text("source", "").strip() or measures.get(measure, "")
    if not source:
        table.refuse("source", 'is missing: name a legal act or an official page, or write "judgement of ..."')
    return source


def _blocks(table: TomlTable, key: str) -> list[Mapping[str, Any]]:
    found = table.cells.get(key, [])
    if not isinstance(found, list) or not all(isinstance(one, Mapping) for one in found):
        table.refuse(key, f"is no list of blocks: write [[assumption.{key}]] above each")
    return found


def _reroutes(table: TomlTable) -> tuple[Reroute, ...]:
    found = tuple(_reroute(table, one, i) for i, one in enumerate(_blocks(table, "reroute"), start=1))
    if len({one.to for one in found}) < len(found):
        table.refuse("reroute", "names a series twice: keep one block for each")
    if (most := sum(one.share.most for one in found)) > 1 + 1e-9:
        table.refuse("reroute", f"sends up to {100 * most:g} % of what is lost: 100 % is all of it")
    return found


def _reroute(table: TomlTable, cells: Mapping[str, Any], at: int) -> Reroute:
    inner = TomlTable(table.file, f"{table.where}reroute {at}, ", cells, ("to", "share", "lag", "price"))
    to = _line(inner, "to")
    if not to:
        inner.refuse("to", "is missing: name the series that gets the share")
    if "share" not in cells:
        inner.refuse("share", 'is missing: such as "80 %"')
    price = inner.one_of("price", ("destination", "origin"), "destination")
    share = _bounded(inner, "share", NOTHING, 0.0, 1.0)
    return Reroute(to, share, inner.whole("lag", 0, 0, LONGEST), price == "origin")


def _pass_through(table: TomlTable, cells: Mapping[str, Any], at: int) -> PassThrough:
    inner = TomlTable(table.file, f"{table.where}pass_through {at}, ", cells, ("target", "elasticity", "lag"))
    target = _line(inner, "target")
    if not target:
        inner.refuse("target", "is missing: name a series or a pattern, such as jp_ru.imports.*.unit_price")
    if "elasticity" not in cells:
        inner.refuse("elasticity", "is missing: percent of the target for a percent of the covariate, such as 0.9")
    return PassThrough(target, _bounded(inner, "elasticity", NOTHING, -5.0, 5.0), inner.whole("lag", 0, 0, LONGEST))


def _month(table: TomlTable, key: str) -> pd.Period | None:
    return table.month(key, table.cells[key]) if key in table.cells else None


def _line(table: TomlTable, key: str) -> str:
    found = table.text(key, "").strip()
    if not found.isprintable():
        table.refuse(key, f"is {found!r}: write one line of plain text")
    return found


# --- Sizes -----------------------------------------------------------------------------------------------


def _size_of(table: TomlTable, kind: str) -> Size:
    if kind == "ban":
        return _bounded(table, "size", EVERYTHING, 0.0, 1.0)
    if kind == "path":
        return _bounded(table, "size", NOTHING, -1.0, LARGEST)
    if "size" not in table.cells:
        table.refuse("size", "is missing")
    if kind == "lift":
        return _bounded(table, "size", NOTHING, 0.0, 2.0)
    if kind in RELATIVE:
        return _bounded(table, "size", NOTHING, -1.0, LARGEST)
    size = _size(table, "size", relative=False)
    if kind in ("cap", "floor") and size.least < 0:
        table.refuse("size", f"goes down to {size.least:g}: a {kind} on trade is not negative")
    return size


def _levels(table: TomlTable, kind: str) -> tuple[float, ...]:
    found = table.cells.get("levels", [])
    if kind != "path":
        return ()
    numbers = isinstance(found, list) and all(_number(one) for one in found)
    if not numbers or not found or min(found) < 0:
        table.refuse(
            "levels", "are missing or no list of numbers from 0 on: one a month from start, such as [120, 130]"
        )
    return tuple(float(one) for one in found)


def _bounded(table: TomlTable, key: str, default: Size, least: float, most: float) -> Size:
    """A relative size within bounds."""
    if key not in table.cells:
        return default
    size = _size(table, key, relative=True)
    if size.least < least or size.most > most:
        beyond = size.least if size.least < least else size.most
        table.refuse(key, f"reaches {100 * beyond:g} %: give {100 * least:g} % to {100 * most:g} %")
    return size


def _size(table: TomlTable, key: str, relative: bool) -> Size:
    found = table.cells[key]
    if not isinstance(found, Mapping):
        return Size((_amount(table, key, found, relative),))
    form = "write one of { triangular = [low, mode, high] }, { normal = [mean, sd] }, { uniform = [low, high] }"
    if len(found) != 1 or next(iter(found)) not in DISTRIBUTIONS:
        table.refuse(key, f"is {dict(found)!r}: {form}")
    ((name, cells),) = found.items()
    if not isinstance(cells, list) or len(cells) != (3 if name == "triangular" else 2):
        table.refuse(key, f"{name} is {cells!r}: {form}")
    values = tuple(_amount(table, key, one, relative) for one in cells)
    rising = list(values) == sorted(values)
    if (name == "normal" and values[1] < 0) or (name != "normal" and not rising):
        table.refuse(key, f"{name} is {cells!r}: numbers go up, and a standard deviation is not negative")
    return Size(values, name)


def _amount(table: TomlTable, key: str, found: object, relative: bool) -> float:
    if relative:
        return _share(table, key, found)
    if not _number(found):
        table.refuse(key, f"is {found!r}: give a number in the unit of the target")
    return float(found)  # type: ignore[arg-type]


def _share(table: TomlTable, key: str, found: object) -> float:
    if isinstance(found, str) and (percent := PERCENT.fullmatch(found.strip().replace("−", "-"))):
        return float(percent[1]) / 100.0
    if not _number(found):
        table.refuse(key, f'is {found!r}: write a share such as "-50 %" or -0.5')
    if abs(float(found)) > 1 and key != "elasticity":  # type: ignore[arg-type]
        table.refuse(key, f'is {found:g}: if {found:g} percent are meant, write "{found:g} %"')
    return float(found)  # type: ignore[arg-type]


def _number(found: object) -> bool:
    return isinstance(found, (int, float)) and not isinstance(found, bool) and abs(found) < 1e15


# --- A file to start from ----------------------------------------------------------------------------------


def template(name: str, start: str) -> str:
    """A commented scenario file that is right as it stands."""
    return f'''\
name = "{name}"
description = "One sentence that says what happens."
probability = "5 %"         # optional; needed by `scenario mix` and `scenario weigh`
# order = "{AS_LISTED}"      # only where two assumptions act on one series and their order matters

[[assumption]]
name = "cars banned"        # shown where contributions are listed
# a series, a pattern such as jp_ru.exports.*.value, or a covariate such as usd_jpy
target = "jp_ru.exports.transport.motor_vehicles.cars.quantity"
# kind   size means
# ban    share that is covered (default "100 %"); residual = what of that goes on all the same
# scale  change: "-50 %"                            shift  units a month more (or fewer)
# growth on a year earlier: "-20 %"                 cap, floor  units a month at most, at least
#                                                         or a quota: per = "quarter", "fiscal_year" or "year"
# lift   share of the gap to the level before `since = "2023-08"` that comes back
# path   no size: levels = [120, 130], one a month from start (the last one stays)
kind = "ban"
# or a distribution: {{ triangular = ["60 %", "80 %", "90 %"] }}, {{ normal = ["80 %", "5 %"] }}, {{ uniform = [...] }}
size = "80 %"
residual = "10 %"
start = "{start}"           # the first month in which it works
# end = "2028-03"           # the last month of full effect; without it, it stays
ramp = 1                    # months until full effect: half in the first month, all of it in the next
# recovery = 3              # months in which it fades after the end
# measure = "jp-export-ban-cars-2023-08"  # a record of data/measures.toml, which then is the source
source = "judgement of the trade desk"    # a legal act, an official page, or whose judgement it is

[[assumption.reroute]]      # optional: what is lost here and found there
to = "jp_other.exports.transport.motor_vehicles.cars.quantity"
share = "50 %"
lag = 2
price = "origin"            # it is worth there what it was worth here; without this line: the unit price there
'''

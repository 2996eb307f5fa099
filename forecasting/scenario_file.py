"""A scenario as a TOML file: what may stand in it, and what makes sense on given data."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from pathlib import Path
from typing import Any

import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import CatalogueError, DataError
from forecasting.relations import Relations
from forecasting.scenario import (
    BASELINE,
    COVARIATE_KINDS,
    DISTRIBUTIONS,
    EVERYTHING,
    FACTORS,
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
from forecasting.toml_table import TomlTable, nearest, read_toml
from forecasting.units import conversion

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,59}")
PERCENT = re.compile(r"([+-]?\d+(?:\.\d+)?)\s*%")
KEYS = ("name", "description", "probability", "order", "assumption")
ASSUMPTION_KEYS = (
    "name", "target", "kind", "size", "residual", "levels", "since", "start", "end", "ramp", "recovery", "source",
    "measure", "per", "reroute", "pass_through",
)  # fmt: skip
ABSOLUTE = ("shift", "cap", "floor", "path")
"""Kinds whose size is in the unit of the target."""
ENDLESS = pd.Period("9999-12", freq="M")
LONGEST = 120
LARGEST = 1000.0
"""A thousand times as much: more is a slip."""
AS_LISTED = "as listed"
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
    if str(table.cells.get(key)).startswith("0000"):
        table.refuse(key, f"is {table.cells[key]!r}: there was no such year")
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


# --- What makes sense on these data ----------------------------------------------------------------------


@dataclass(frozen=True)
class Ready:
    """A scenario whose targets exist, and what there is to say of it."""

    scenario: Scenario
    series: tuple[str, ...]


def ready(
    scenario: Scenario, catalogue: Catalogue, last: Mapping[str, pd.Period], covariates: Collection[str] = ()
) -> Ready:
    """The scenario held against the catalogue, the last published month of each stored series, and covariate names."""
    relations = _relations(catalogue, last)
    made, series = [], dict[str, None]()
    acts: list[_Act] = []
    for at, one in enumerate(scenario.assumptions, start=1):
        where = f"{scenario.name}, assumption {at} ({one.label})"
        settled = _settled(one, catalogue, covariates, where)
        found = tuple(name for pattern in _patterns(settled) for name in _targets(pattern, settled, relations, where))
        _check_apart(settled, found, relations, where)
        _check_start(settled, found, relations, last, where)
        for way in settled.reroute:
            _check_reroute(way, settled, found, relations, last, where)
            series[way.to] = None
        made.append(settled)
        acts.append(_act(settled, found, relations))
        series.update(dict.fromkeys(found))
    if not scenario.ordered:
        _check_order(scenario.name, acts)
    return Ready(replace(scenario, assumptions=tuple(made)), tuple(series))


def _relations(catalogue: Catalogue, last: Mapping[str, pd.Period]) -> Relations:
    """Who is part of whom among all that is published or can be computed from it."""
    computed = (one for one in catalogue if one not in last and _leaves(one, catalogue) <= last.keys())
    return Relations(catalogue, (*last, *computed))


def _settled(one: Assumption, catalogue: Catalogue, covariates: Collection[str], where: str) -> Assumption:
    """The assumption with its target known as series or covariate."""
    if one.pass_through:
        if one.target in catalogue:
            raise DataError(f"{where}: {one.target} is a series, and pass_through belongs to covariates: use reroute.")
        if one.kind != "scale" and one.target not in covariates:
            raise DataError(
                f"{where}: {one.kind} of {one.target} starts from its own level: give --covariates with such a column,"
                " or use kind scale."
            )
        return one
    if one.target in covariates and one.target not in catalogue:
        if one.kind not in COVARIATE_KINDS or one.reroute:
            raise DataError(f"{where}: a covariate takes {', '.join(COVARIATE_KINDS)}, without reroute.")
        return replace(one, covariate=True)
    try:
        catalogue.select([one.target])
    except CatalogueError as error:
        near = nearest(one.target, covariates) if covariates else ""
        said = f" Covariates given: {', '.join(covariates)}{near}." if covariates else ""
        raise DataError(
            f"{where}: {error}{said} A covariate needs --covariates with such a column, or [[assumption.pass_through]]."
        ) from error
    return one


def _patterns(one: Assumption) -> tuple[str, ...]:
    return tuple(through.target for through in one.pass_through) if one.covariate else (one.target,)


def _targets(pattern: str, one: Assumption, relations: Relations, where: str) -> tuple[str, ...]:
    catalogue = relations.catalogue
    try:
        found = catalogue.select([pattern])
    except CatalogueError as error:
        raise DataError(f"{where}: {error}") from error
    there = tuple(name for name in found if relations.holds(name))
    if not there:
        raise DataError(f"{where}: {found[0]} is in the catalogue, but these data hold no value of it.")
    top = relations.topmost(there)
    if not top:
        raise DataError(f"{where}: {there[0]} is a difference: name {' or '.join(catalogue[there[0]].terms)}.")
    units = dict.fromkeys(catalogue[name].unit for name in there if relations.assumable(name))
    if one.kind in ABSOLUTE and not one.covariate and len(units) > 1:
        raise DataError(
            f"{where}: {one.kind} is in the unit of its target, and {pattern} names series in {', '.join(units)}:"
            " name one."
        )
    return top


def _leaves(series: str, catalogue: Catalogue) -> set[str]:
    entry = catalogue[series]
    return {leaf for one in entry.terms for leaf in _leaves(one, catalogue)} if entry.derived else {series}


def _check_apart(one: Assumption, targets: tuple[str, ...], relations: Relations, where: str) -> None:
    """Nothing is moved twice by one assumption."""
    owner: dict[str, int] = {}
    for at, target in enumerate(targets):
        for moved in sorted(relations.scaled(target)):
            if (other := owner.setdefault(moved, at)) != at:
                raise DataError(
                    f"{where}: {targets[other]} and {target} both move {moved}, so that it would move twice: name"
                    " series that share no part."
                )


def _check_start(
    one: Assumption, targets: tuple[str, ...], relations: Relations, last: Mapping[str, pd.Period], where: str
) -> None:
    moved = {name for target in targets for name in relations.moved(target)} if targets else set(last)
    leaves = [leaf for target in targets for leaf in _leaves(target, relations.catalogue)]
    _check_ahead(one.start, dict.fromkeys((*leaves, *sorted(moved))), last, f"{where}: start {one.start}")
    known = min((last[leaf] for leaf in leaves), default=one.start)
    if one.since is not None and one.since > known:
        raise DataError(f"{where}: since {one.since} is not published yet (figures reach {known}): name a past break.")


def _check_ahead(month: pd.Period, moved: Collection[str], last: Mapping[str, pd.Period], what: str) -> None:
    latest = max((name for name in moved if name in last), key=lambda name: last[name].ordinal)
    if month <= last[latest]:
        raise DataError(
            f"{what} is published already ({latest} reaches {last[latest]}): start later, or hide months with --as-of."
        )


def _check_reroute(
    way: Reroute,
    one: Assumption,
    targets: tuple[str, ...],
    relations: Relations,
    last: Mapping[str, pd.Period],
    where: str,
) -> None:
    catalogue = relations.catalogue
    here = f"{where}: reroute to {way.to}"
    if way.to not in catalogue:
        try:
            catalogue.select([way.to])
        except CatalogueError as error:
            raise DataError(f"{where}, reroute: {error}") from error
        raise DataError(f"{here} names a pattern: name one series.")
    entry = catalogue[way.to]
    if entry.formula not in ("", "difference") or not relations.holds(way.to) or not relations.assumable(way.to):
        raise DataError(f"{here} cannot be: name a series that is published, or other countries'.")
    for target in targets:
        if catalogue[target].formula == "ratio":
            raise DataError(f"{where}: a unit price loses nothing that could go elsewhere: leave reroute out.")
        if way.to in relations.scaled(target):
            raise DataError(f"{here} is to what {target} itself moves: name a series outside of it.")
        try:
            conversion(catalogue[target].unit, entry.unit)
        except DataError as error:
            raise DataError(f"{where}: reroute from {target} to {way.to}: {error}") from error
    arrives = one.start + way.lag
    _check_ahead(arrives, relations.moved(way.to, alone=True), last, f"{here} begins in {arrives}, which")


# --- Does the order matter -------------------------------------------------------------------------------

Span = tuple[pd.Period, pd.Period]


@dataclass(frozen=True)
class _Act:
    """An assumption by what it does: series it reads, multiplies, changes, and adds to, and in which months."""

    one: Assumption
    targets: tuple[str, ...]
    reads: frozenset[str]
    multiplies: frozenset[str]
    changes: frozenset[str]
    adds: frozenset[str]
    raises: frozenset[str]
    prices: frozenset[str]
    looks: tuple[Span, ...]
    works: Span
    arrives: Span


def _act(one: Assumption, targets: tuple[str, ...], relations: Relations) -> _Act:
    # A factor is the same whatever the level, unless the loss is sent elsewhere.
    factor = (one.kind in FACTORS or bool(one.pass_through)) and not one.reroute
    last = one.end + one.recovery if one.end is not None else ENDLESS
    lags = [through.lag for through in one.pass_through] or [0]
    adds = frozenset(way.to for way in one.reroute)
    delays = [way.lag for way in one.reroute] or [0]
    changes: frozenset[str] = frozenset().union(*(relations.moved(target) for target in targets))
    multiplies: frozenset[str] = frozenset().union(*(relations.scaled(target) for target in targets))
    if one.covariate and not one.pass_through:  # whatever the models make of it
        changes = multiplies = frozenset(relations.catalogue)
    own = frozenset({one.target} if one.covariate else ())
    reads = (own if one.kind != "scale" else frozenset()) if one.covariate else frozenset(() if factor else targets)
    return _Act(
        one=one,
        targets=targets,
        reads=reads,
        multiplies=multiplies,
        changes=changes | own,
        adds=adds,
        raises=frozenset().union(*(relations.moved(to, alone=True) for to in adds)),
        prices=frozenset(relations.partner(way.to) for way in one.reroute if not way.at_origin),
        looks=((one.start, last), *([(one.start - 12, last - 12)] if one.kind == "growth" else [])),
        works=(one.start + min(lags), last + max(lags)),
        arrives=(one.start + min(delays), last + max(delays)),
    )


def _check_order(name: str, acts: Sequence[_Act]) -> None:
    for one, two in permutations(acts, 2):
        if (both := sorted(_disturbed(one, two))) and not _both_shift(one, two):
            series = next((at for at in both if at in (*one.targets, *two.targets)), both[0])
            first, second = sorted((one.one, two.one), key=lambda of: of.start)
            raise DataError(
                f"{name}: {first.label} and {second.label} both act on {series} from {second.start}, and their order"
                f' matters: say order = "{AS_LISTED}" at the top of the file, or keep them apart.'
            )


def _disturbed(one: _Act, two: _Act) -> frozenset[str]:
    """Series by which it matters to the first whether the second was there before."""
    seen = frozenset[str]()
    if any(_meet(span, two.works) for span in one.looks):
        seen |= one.reads & two.changes
    if any(_meet(span, two.arrives) for span in one.looks):
        seen |= one.reads & two.raises
    if _meet(one.arrives, two.works):
        seen |= one.adds & two.multiplies
        # A part of the destination that gets dearer moves the price at which the rest arrives.
        seen |= one.prices & two.changes - two.multiplies
    if _meet(one.arrives, two.arrives) and not (_only_takes(one.one) and _only_takes(two.one)):
        seen |= one.adds & two.raises
    return seen


def _only_takes(one: Assumption) -> bool:
    """Whether it never raises its target, so that what it re-routes never leaves the series that gets it."""
    return one.kind in ("ban", "cap") or (one.kind in ("scale", "shift") and one.size.most <= 0)


def _meet(one: Span, two: Span) -> bool:
    return one[0] <= two[1] and two[0] <= one[1]


def _both_shift(one: _Act, two: _Act) -> bool:
    """Shifts of one series in one direction simply add up."""
    if not (one.one.kind == two.one.kind == "shift" and one.targets == two.targets) or one.adds or two.adds:
        return False
    sizes = (one.one.size, two.one.size)
    return not one.one.covariate and (all(of.least >= 0 for of in sizes) or all(of.most <= 0 for of in sizes))


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

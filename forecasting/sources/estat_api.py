"""Trade statistics of Japan through the API of e-Stat: principal commodities by country, with a free application id.

One table holds a few years of one direction. ``cat01`` is the commodity (its code padded with zeros to eight digits),
``area`` is 50 and the customs number of the country, ``time`` is the year, and ``cat02`` is the month and the measure:
100 the unit of the quantity, then from January 130 the quantity and 140 the value in thousand yen, in steps of twenty.
Months that are not published are written as 0. Each request therefore also asks for Japan's machinery trade with the
United States, which is never nothing: the last month in which anything was traded is the last one that is published.
"""

from __future__ import annotations

import datetime as dt
import itertools
import re
import unicodedata
from collections import defaultdict
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError, SourceError
from forecasting.sources import answers, japan_customs
from forecasting.sources.answers import Record
from forecasting.sources.base import FLOWS, Address, Ask, Raw, Reading
from forecasting.sources.japan_customs import Wanted
from forecasting.sources.wording import shown

_BASE = "https://api.e-stat.go.jp/rest/3.0/app/json/"
_STATISTICS, _TABLE = "00350300", "概況品別国別表"
_EXPECTED = "monthly trade by principal commodity and country from e-Stat as JSON"
# A new block begins every few years: later ones are looked up in e-Stat's list of tables.
_TABLES: tuple[tuple[int, int, str, str], ...] = (
    (1988, 1990, "0003258349", "0003258352"), (1991, 1995, "0003258350", "0003258353"),
    (1996, 2000, "0003258351", "0003258354"), (2001, 2005, "0003228190", "0003228197"),
    (2006, 2010, "0003228191", "0003228198"), (2011, 2015, "0003228192", "0003228199"),
    (2016, 2020, "0003313967", "0003313968"), (2021, 2025, "0003425295", "0003425296"),
    (2026, 2026, "0004049327", "0004049328"),
)  # fmt: skip
_MOST_CELLS = 100_000
_CELLS_A_YEAR = 27  # the unit, the year and twelve months, each in quantity and value
_SECTIONS = tuple("0123456789")
_REFERENCE_AREA, _REFERENCE_CODE = "50304", "70000000"
_UNIT = "100"
_MONTHS = {
    str(first + 20 * (month - 1)): (month, measure)
    for first, measure in ((130, "quantity"), (140, "value"))
    for month in range(1, 13)
}
_THOUSAND_YEN = {"千円", "1000円", "1000yen", "thousandyen"}
_WORDS = {"数量": "quantity", "quantity": "quantity", "金額": "value", "value": "value"}
_STAGES = {"確々報": "revised", "確報": "detailed", "9桁速報": "nine_digit", "速報": "provisional", "確定": "fixed"}
_YEARS = re.compile(r"(?<![0-9])((?:19|20)[0-9]{2})(?:[0-9]{2})?(?![0-9])")
_SPAN = re.compile(r"(?:(\d{1,2})(?:月?[-~](\d{1,2}))?月[^:、,]{0,3}:)?(?:輸[出入])?(確々報|確報|9桁速報|速報|確定)")

Block = tuple[int, int, str, str]  # first and last year, table of exports, table of imports
Place = tuple[str, str, int, int, str]  # commodity, area, year, month, measure


@dataclass(frozen=True)
class EstatApi:
    """Japan's trade by principal commodity and country through e-Stat's API."""

    name: str = "estat_api"
    title: str = "Trade statistics of Japan by principal commodity and country, through e-Stat's API"
    publisher: str = japan_customs.PUBLISHER
    licence: str = japan_customs.LICENCE
    attribution: str = f"{japan_customs.ATTRIBUTION} Through the API of e-Stat, which does not guarantee this service."
    key: str = "ESTAT_APP_ID"
    key_optional: bool = False
    hosts: tuple[str, ...] = ("api.e-stat.go.jp",)
    declares: tuple[Series, ...] = ()

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        return tuple(one.entry.id for one in _wanted(catalogue))

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        if not ask.key:
            raise DataError(
                "e-Stat's API asks for an application id (free, https://www.e-stat.go.jp/api/): set ESTAT_APP_ID,"
                " or use japan_customs_files, which needs none."
            )
        wanted = [one for one in _wanted(ask.catalogue) if one.entry.id in ask.series]
        tables = list(_TABLES)
        if wanted and ask.until.year > tables[-1][1]:
            query = {"appId": ask.key, "statsCode": _STATISTICS, "searchWord": _TABLE, "limit": 1000}
            listing = yield Address(f"{_BASE}getStatsList?{urlencode(query)}", "the list of e-Stat's tables as JSON")
            tables = _with_newer(tables, listing, ask.until.year)
        for at, flow in enumerate(FLOWS):
            mine = [one for one in wanted if one.flow.flow == flow]
            codes = sorted({_REFERENCE_CODE, *(code for one in mine for code in _codes(one))})
            areas = sorted({_area(one) for one in mine} - {_REFERENCE_AREA})
            for first, last, *ids in tables if mine else ():
                begin = max(first, ask.since.year if ask.since is not None else first)
                years = list(range(begin, min(last, ask.until.year) + 1))
                for some_areas, some_years in _parts(areas, years, len(codes)):
                    yield from _pages(ids[at], codes, some_areas, some_years, ask.key)

    def recognises(self, raw: Raw) -> bool:
        return answers.looks_like_json(raw, "GET_STATS_DATA")

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        table = _table(raw)
        if table is None:
            return answers.reading((), raw, self.name, ("e-Stat has no data for this request.",))
        remarks: list[str] = []
        records = [one for wanted in _wanted(catalogue) for one in _records(wanted, table, raw, remarks)]
        if not records:
            remarks.append("The answer holds no month of a series in the catalogue.")
        return answers.reading(records, raw, self.name, dict.fromkeys(remarks))


def _wanted(catalogue: Catalogue) -> Iterator[Wanted]:
    """Series of Japan's trade with one country whose commodities are known; the API has no world."""
    for one in japan_customs.wanted(catalogue):
        known = all(re.fullmatch(r"\d{1,8}", code) for code in one.pc) and (one.pc or one.flow.total)
        if (
            known
            and one.flow.partner in japan_customs.COUNTRIES
            and not (one.flow.total and one.flow.measure != "value")
        ):
            yield one


def _codes(one: Wanted) -> tuple[str, ...]:
    """The commodities that add up to the series, as e-Stat codes them."""
    return tuple(code.ljust(8, "0") for code in (_SECTIONS if one.flow.total else one.pc))


def _area(one: Wanted) -> str:
    return f"50{japan_customs.COUNTRIES[one.flow.partner]}"


# --- What is asked for -------------------------------------------------------------------------------------


def _parts(areas: list[str], years: list[int], codes: int) -> Iterator[tuple[list[str], list[int]]]:
    """Areas and years of one request each, so that none has more cells than one page holds."""
    most = max(1, _MOST_CELLS // (codes * _CELLS_A_YEAR))
    for some_areas in _batched(areas or [_REFERENCE_AREA], max(1, most - 1)):
        for some_years in _batched(years, max(1, most // (len(some_areas) + 1))):
            yield sorted({_REFERENCE_AREA, *some_areas}), some_years


def _batched(items: list[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch


def _pages(
    table: str, codes: list[str], areas: list[str], years: list[int], key: str
) -> Generator[Address, Raw | None, None]:
    """One request, and the rest of its cells where they do not fit one page."""
    query = {
        "appId": key, "lang": "J", "statsDataId": table, "cdCat01": ",".join(codes), "cdArea": ",".join(areas),
        "cdTime": ",".join(f"{year}000000" for year in years), "metaGetFlg": "Y", "limit": _MOST_CELLS,
    }  # fmt: skip
    start = 1
    while start:
        paged = {**query, "startPosition": start} if start > 1 else query
        raw = yield Address(f"{_BASE}getStatsData?{urlencode(paged, safe=',')}", _EXPECTED)
        data = _statistics(raw) if raw is not None else None
        following = _next(data, raw) if raw is not None and data is not None else 0
        if raw is not None and following and following <= start:
            raise answers.wrong(raw, f"the next page begins at {following}, this one at {start}")
        start = following


def _with_newer(tables: list[Block], listing: Raw | None, until: int) -> list[Block]:
    """The known blocks of years and those that e-Stat lists after them; the last block reaches as far as is asked."""
    known = tables[-1][1]
    found: dict[tuple[int, int], dict[str, str]] = defaultdict(dict)
    for one in _listed(listing) if listing is not None else ():
        title = f"{_text(one.get('STATISTICS_NAME'))} {_text(one.get('TITLE'))}"
        years = [int(year) for year in _YEARS.findall(f"{_text(one.get('SURVEY_DATE'))} {title}")]
        flow, number = _direction(title), str(one.get("@id"))
        if _TABLE in title and flow and years and max(years) > known and re.fullmatch(r"[0-9]{10}", number):
            found[max(min(years), known + 1), max(years)][flow] = number
    newer = [
        (first, last, ids["exports"], ids["imports"]) for (first, last), ids in sorted(found.items()) if len(ids) == 2
    ]
    blocks = [*tables, *newer]
    first, last, exports, imports = blocks[-1]
    return [*blocks[:-1], (first, max(last, until), exports, imports)]


def _listed(listing: Raw) -> list[dict[str, Any]]:
    answer = answers.json_of(listing, "the list of e-Stat's tables as JSON")
    _refuse(answer, "GET_STATS_LIST", listing)
    inside = answers.branch(answer, listing, "GET_STATS_LIST.DATALIST_INF")
    return answers.listed(inside.get("TABLE_INF") if isinstance(inside, dict) else None, listing, "TABLE_INF")


# --- What came ---------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    """Cells of one answer (value or quantity, None where a dash stands), and what it says of itself."""

    flow: str
    title: str
    updated: dt.date | None
    whole: bool
    asked: frozenset[str] | None  # commodities that the request named; None where it named none, so all came
    cells: dict[Place, float | None] = field(default_factory=dict)
    units: dict[tuple[str, int], set[str]] = field(default_factory=lambda: defaultdict(set))
    traded: set[tuple[str, str]] = field(default_factory=set)  # commodities and areas that are there
    covered: dict[int, int] = field(default_factory=dict)

    def complete(self, codes: tuple[str, ...]) -> bool:
        """Whether a commodity that is not there was not traded, rather than not asked for or on another page."""
        missing = set(codes) - (self.asked or set())
        return self.whole and (self.asked is None or missing <= {code for code, _ in self.traded})


def _refuse(answer: dict[str, Any], name: str, raw: Raw) -> None:
    status = answers.branch(answer, raw, f"{name}.RESULT.STATUS")
    if not isinstance(status, int | str) or not str(status).isdecimal():
        raise answers.wrong(raw, f"STATUS is {shown(status)}, expected a number")
    if int(status) > 2:
        said = shown(answer[name]["RESULT"].get("ERROR_MSG", ""))
        do = "check ESTAT_APP_ID" if int(status) == 100 else "see https://www.e-stat.go.jp/api/ for this status"
        raise SourceError(str(answers.wrong(raw, f"e-Stat refuses with status {int(status)}: {said}", do)))


def _statistics(raw: Raw) -> dict[str, Any] | None:
    """The body of the answer; None where e-Stat has nothing for the request; SourceError where it refuses."""
    answer = answers.json_of(raw, _EXPECTED)
    _refuse(answer, "GET_STATS_DATA", raw)
    if int(answer["GET_STATS_DATA"]["RESULT"]["STATUS"]) == 1 and "STATISTICAL_DATA" not in answer["GET_STATS_DATA"]:
        return None
    data = answers.branch(answer, raw, "GET_STATS_DATA.STATISTICAL_DATA")
    if not isinstance(data, dict):
        raise answers.wrong(raw, "STATISTICAL_DATA is no object")
    asked = answer["GET_STATS_DATA"].get("PARAMETER")
    return {**data, "PARAMETER": asked if isinstance(asked, dict) else {"NARROWING_COND": {"CAT01": "not said"}}}


def _next(data: dict[str, Any], raw: Raw) -> int:
    """Where the next page begins; 0 after the last."""
    inside = data.get("RESULT_INF")
    key = inside.get("NEXT_KEY") if isinstance(inside, dict) else None
    if key in (None, ""):
        return 0
    if isinstance(key, bool) or not re.fullmatch(r"\d{1,9}", str(key)):
        raise answers.wrong(raw, f"NEXT_KEY is {shown(key)}, expected a number")
    return int(str(key))


def _first(data: dict[str, Any]) -> bool:
    inside = data.get("RESULT_INF")
    return isinstance(inside, dict) and str(inside.get("FROM_NUMBER")) == "1"


def _table(raw: Raw) -> _Table | None:
    data = _statistics(raw)
    if data is None or "DATA_INF" not in data:
        return None
    about = data.get("TABLE_INF")
    about = about if isinstance(about, dict) else {}
    title = " ".join(_text(about.get(name)) for name in ("STATISTICS_NAME", "TITLE"))
    table = _Table(
        _flow(str(about.get("@id", data["PARAMETER"].get("STATS_DATA_ID"))), title, raw),
        title,
        answers.day_of(about.get("UPDATED_DATE")),
        _first(data) and not _next(data, raw),
        _asked(data["PARAMETER"]),
    )
    _check_classes(data.get("CLASS_INF"), raw)
    for at, one in enumerate(answers.listed(answers.branch(data, raw, "DATA_INF.VALUE"), raw, "VALUE"), start=1):
        _take(one, at, table, raw)
    return table


def _asked(parameter: dict[str, Any]) -> frozenset[str] | None:
    narrowed = parameter.get("NARROWING_COND")
    by = {name: text for name, text in narrowed.items() if "CAT01" in name} if isinstance(narrowed, dict) else {}
    if not by:
        return None
    return frozenset(re.findall(r"[0-9]{8}", str(by["CODE_CAT01_SELECT"])) if set(by) == {"CODE_CAT01_SELECT"} else ())


def _flow(table: str, title: str, raw: Raw) -> str:
    """Exports or imports, by the number of the table and its title, which may not contradict each other."""
    by_number = [flow for _, _, *ids in _TABLES for flow, one in zip(FLOWS, ids, strict=True) if one == table]
    by_title = _direction(title)
    if by_number and by_title in (by_number[0], ""):
        return by_number[0]
    if not by_number and by_title and _TABLE in title:
        return by_title
    raise answers.wrong(raw, f"table {shown(table)} {shown(title.strip())} is not known as {_TABLE} 輸出 or 輸入")


def _direction(title: str) -> str:
    exports, imports = "輸出" in title, "輸入" in title
    return "" if exports == imports else "exports" if exports else "imports"


def _text(node: object) -> str:
    """A text, which e-Stat writes plainly or as an object with ``$``."""
    inside = node.get("$", "") if isinstance(node, dict) else node
    return unicodedata.normalize("NFKC", str(inside or ""))


def _check_classes(node: object, raw: Raw) -> None:
    """DataError where the names of the months and measures are not those that this module reads them as."""
    objects = answers.listed(node.get("CLASS_OBJ") if isinstance(node, dict) else None, raw, "CLASS_OBJ")
    for one in itertools.chain.from_iterable(
        answers.listed(found.get("CLASS"), raw, "CLASS") for found in objects if found.get("@id") == "cat02"
    ):
        code, name = str(one.get("@code")), _text(one.get("@name")).casefold()
        month, measure = _MONTHS.get(code, (0, ""))
        said = {meaning for word, meaning in _WORDS.items() if word in name}
        written = re.search(r"(?<!\d)(\d{1,2})月", name)
        if month and (said - {measure} or (written and int(written[1]) != month)):
            raise answers.wrong(raw, f"cat02 {code} is called {shown(name)}, expected the {measure} of month {month}")


def _take(one: dict[str, Any], at: int, table: _Table, raw: Raw) -> None:
    """One VALUE into the table."""
    code, place, area, time = (str(one.get(name)) for name in ("@cat01", "@cat02", "@area", "@time"))
    if not re.fullmatch(r"\d{8}", code) or not re.fullmatch(r"\d{5}", area) or not re.fullmatch(r"\d{4}0{6}", time):
        raise answers.wrong(raw, f"VALUE {at} is of {shown((code, area, time))}, expected codes of 8, 5 and 10 digits")
    year = int(time[:4])
    if place == _UNIT:
        table.units[code, year].add(_text(one.get("$")).strip(" -"))
    if place not in _MONTHS:
        return
    month, measure = _MONTHS[place]
    value = answers.figure(one.get("$"), raw, f"VALUE {at}")
    unit = _text(one.get("@unit")).replace(" ", "").replace(",", "").casefold()
    if measure == "value" and unit and unit not in _THOUSAND_YEN:
        raise answers.wrong(raw, f"VALUE {at} is in {shown(one.get('@unit'))}, expected 千円")
    if measure == "quantity" and unit:
        table.units[code, year].add(_text(one.get("@unit")).strip(" -"))
    key = (code, area, year, month, measure)
    table.traded.add((code, area))
    if table.cells.setdefault(key, value) != value:
        raise answers.wrong(raw, f"VALUE {at} gives {shown(key)} a second time with another figure")
    if value:
        table.covered[year] = max(table.covered.get(year, 0), month)


# --- Records -----------------------------------------------------------------------------------------------


def _records(wanted: Wanted, table: _Table, raw: Raw, remarks: list[str]) -> Iterator[Record]:
    codes, area = _codes(wanted), _area(wanted)
    if wanted.flow.flow != table.flow or not any((code, area) in table.traded for code in codes):
        return
    if len(codes) > 1 and not table.complete(codes):
        remarks.append(f"{wanted.entry.id} is a sum of which a part may be missing in this answer: left out.")
        return
    for year, last in sorted(table.covered.items()):
        found = dict(_months(codes, area, year, last, wanted.flow.measure, table))
        factor, unit = _factor(wanted, codes, year, table, raw) if found else (1.0, "")
        if found and not factor:
            remarks.append(f"{wanted.entry.id} has no unit of quantity in {year} in this answer: left out.")
            continue
        for month, value in found.items():
            stage, day = _stage(table, month, last), table.updated
            yield Record(wanted.entry.id, month, value * factor, unit, stage, day, "printed" if day else "seen")


def _months(
    codes: tuple[str, ...], area: str, year: int, last: int, measure: str, table: _Table
) -> Iterator[tuple[pd.Period, float]]:
    """Sums over the commodities, of the months of a year that are published and in which no figure is withheld."""
    for number in range(1, last + 1):
        places = [(code, area, year, number, measure) for code in codes]
        found = [table.cells[place] for place in places if place in table.cells]
        known = [value for value in found if value is not None]
        month = answers.month_of(year, number)
        if month is not None and known and len(known) == len(found):
            yield month, sum(known)


def _factor(wanted: Wanted, codes: Iterable[str], year: int, table: _Table, raw: Raw) -> tuple[float, str]:
    """How many of the unit one published figure is, and the unit; 0 where the answer does not name the unit."""
    if wanted.flow.measure == "value":
        factor, unit = answers.money("jpy", wanted.entry)
        return 1000.0 * factor, unit
    given = {unit.upper() for code in codes for unit in table.units.get((code, year), ()) if unit}
    if len(given) > 1:
        raise answers.wrong(
            raw, f"{wanted.entry.id} is in {shown(sorted(given))}, expected one unit", "mend its pc_code"
        )
    if not given:
        return 0.0, ""
    return japan_customs.factor(given.pop(), wanted.entry, answers.place(raw)), wanted.entry.unit


def _stage(table: _Table, month: pd.Period, last: int) -> str:
    """What the title says of the month; otherwise by the calendar of the publisher.

    The tables are renewed with the detailed report, when imports of the newest month are still the nine-digit
    provisional ones; a year is fixed in the middle of March of the next.
    """
    for first, until, word in _SPAN.findall(table.title.replace("〜", "~")):
        newest = month.year == max(table.covered) and first and int(first) <= month.month <= int(until or first)
        if newest or not first:
            return _STAGES[word]
    if table.updated and table.updated > dt.date(month.year + 1, 3, 20):
        return "fixed"
    return "nine_digit" if table.flow == "imports" and month.month == last else "detailed"


SOURCE = EstatApi()

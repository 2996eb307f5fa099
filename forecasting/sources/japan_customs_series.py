"""Japan's customs time series: small CSV files at fixed addresses, one per area, monthly since 1979 or 1988."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.sources.base import Address, Ask, Raw, Reading
from forecasting.sources.japan_customs import (
    AREAS,
    ATTRIBUTION,
    COUNTRIES,
    LICENCE,
    PUBLISHER,
    TOTAL,
    Rows,
    Wanted,
    codes,
    factor,
    in_unit,
    number,
    refuse_page,
    shown,
    wanted,
)

NAME = "japan_customs_series"
HOST = "www.customs.go.jp"
INDEX = f"https://{HOST}/toukei/suii/html/time_e.htm"
DATA = f"https://{HOST}/toukei/suii/html/data"
FIRST_CELL = "Years/Months"
EXPECTED = f"a time-series CSV with a row that begins with {FIRST_CELL}"
# Only the beginning of a file was asked for, to read its title: it is not a file to parse.
HEAD = "head"
# Areas by the publisher's numbers of countries; those not named here by their first digit.
MIDDLE_EAST = frozenset(
    ("133", "134", "135", "137", "138", "140", "141", "143", "144", "145", "146", "147", "149", "158")
)
EAST_EUROPE = frozenset((
    "150", "151", "152", "153", "154", "155", "156", "157", "223", "224", "227", "229", "231", "232",
    "235", "236", "237", "238", "239", "240", "245", "246",
))  # fmt: skip
NORTH_AMERICA = frozenset(("301", "302", "303", "304"))
BY_DIGIT = {"1": "001", "2": "005", "3": "004", "4": "004", "5": "008", "6": "002"}
REGIONS = frozenset(("001", "002", "003", "004", "005", "006", "007", "008", "010"))


def region(partner: str) -> str:
    """Number of the area whose file d42maNNN has the columns of a country."""
    code = COUNTRIES[partner]
    named = (("007", MIDDLE_EAST), ("006", EAST_EUROPE), ("003", NORTH_AMERICA))
    return next((area for area, some in named if code in some), BY_DIGIT[code[0]])


@dataclass(frozen=True)
class _Source:
    name: str = NAME
    title: str = (
        "Japan's trade as monthly time series: totals by country, commodities for the world (thousand yen, from 1979)"
    )
    publisher: str = PUBLISHER
    licence: str = LICENCE
    attribution: str = ATTRIBUTION
    key: str = ""
    hosts: tuple[str, ...] = (HOST,)

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        return tuple(one.entry.id for one in wanted(catalogue) if one.flow.total or one.pc)

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        chosen = [one for one in wanted(ask.catalogue) if one.entry.id in ask.series]
        for file in _fixed(chosen):
            raw = yield Address(f"{DATA}/{file}.csv", EXPECTED)
            if raw is not None:
                refuse_page(raw, EXPECTED)
        partners = {one.flow.partner for one in chosen if one.pc} - {"world"}
        if partners:
            yield from _discovered(partners, {one.flow.flow for one in chosen if one.pc})

    def recognises(self, raw: Raw) -> bool:
        head = raw.content[: 1 << 16]
        lines = FIRST_CELL.encode() in head and ("《".encode("cp932") in head or "《".encode() in head)
        return lines and raw.address.partition("#")[2] != HEAD

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        refuse_page(raw, EXPECTED)
        try:
            table = _Table.of(_decoded(raw.content, raw.address), raw.address)
        except csv.Error as error:
            raise DataError(f"{raw.address}: expected {EXPECTED}, found {error}: fetch it again.") from None
        made, remarks = Rows(NAME, raw.digest), []
        mine = [(one, column) for one in wanted(catalogue) for column in table.columns if column.fits(one)]
        twice = next((id_ for id_, count in Counter(one.entry.id for one, _ in mine).items() if count > 1), "")
        if twice:
            raise DataError(f"{raw.address}: expected one column for {twice}, found two: the layout has changed.")
        for one, column in mine:
            for month, value in column.figures(table, one):
                made.add(one.entry, month, value, "latest", None, "seen")
        lagging = {(one.flow.partner, column.until) for one, column in mine if column.until < table.until}
        for partner, until in sorted(lagging):
            remarks.append(
                f"{raw.address}: {partner} ends at {until}, its area at {table.until}: zeros after it are not read."
            )
        if not mine:
            remarks.append(f"{raw.address}: {shown(table.title)} holds no series of the catalogue.")
        return Reading(made.table(), tuple(remarks))


SOURCE = _Source()


def _fixed(chosen: list[Wanted]) -> list[str]:
    """The files whose names are known without asking."""
    files = {}
    for one in chosen:
        if one.flow.total:
            files["d41ma" if one.flow.partner == "world" else f"d42ma{region(one.flow.partner)}"] = True
        elif one.pc and one.flow.partner == "world":
            files["d51ma" if one.flow.flow == "exports" else "d61ma"] = True
    return sorted(files)


def _discovered(partners: set[str], flows: set[str]) -> Generator[Address, Raw | None, None]:
    """Files of single countries: their numbers are on the index page, whose they are stands in their first line."""
    index = yield Address(INDEX, "the index of the time series", optional=True)
    page = index.content.decode("ascii", "ignore") if index is not None else ""
    for number_ in sorted(set(re.findall(r"data/d[56]2ma(\d{3})\.csv", page)) - REGIONS):
        kind = "5" if f"d52ma{number_}" in page else "6"
        url, first = f"{DATA}/d{kind}2ma{number_}.csv#{HEAD}", {"Range": "bytes=0-511"}
        head = yield Address(url, EXPECTED, first, optional=True)
        if head is not None and _area(head.content.decode("cp932", "ignore")) in partners:
            for flow, digit in (("exports", "5"), ("imports", "6")):
                if flow in flows:
                    yield Address(f"{DATA}/d{digit}2ma{number_}.csv", EXPECTED, optional=True)


def _area(title: str) -> str:
    """The partner that a heading is about, as in the ids of series; "" for a region."""
    found = re.search(r"《\s*([^》]*?)\s*》", title)
    return AREAS.get(found[1], "") if found else ""


def _decoded(content: bytes, where: str) -> str:
    # cp932, not shift_jis: the wide tilde of '0'～'9' is not in the latter. A copy saved again may be UTF-8.
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{where}: expected text in cp932, found other bytes: fetch the file again, it is damaged.")


@dataclass(frozen=True)
class _Column:
    """One measured column: whose, which goods, where its value and quantity stand, and the last month it holds."""

    partner: str
    flow: str
    goods: frozenset[str]
    value: int
    quantity: int | None
    unit: str
    until: pd.Period

    def fits(self, one: Wanted) -> bool:
        """Whether it measures this series."""
        goods = frozenset((TOTAL,)) if one.flow.total else frozenset(one.pc)
        same = (one.flow.partner, one.flow.flow, goods) == (self.partner, self.flow, self.goods)
        return same and bool(goods) and (one.flow.measure == "value" or bool(self.quantity and self.unit))

    def figures(self, table: _Table, one: Wanted) -> Iterator[tuple[pd.Period, float]]:
        """Months and figures in the unit of the series; dashes and months not yet published are left out."""
        of_value = one.flow.measure == "value"
        at = self.value if of_value or self.quantity is None else self.quantity
        where = f"{table.where}, column {at + 1}"
        rate = in_unit("thousand_jpy", one.entry, where) if of_value else factor(self.unit, one.entry, where)
        for month, cells in table.months.items():
            figure = cells[at]
            if figure is not None and month <= self.until:
                yield month, figure * rate


@dataclass(frozen=True)
class _Table:
    """A file as it stands: its title, months with their cells, measured columns, the last month published."""

    where: str
    title: str
    months: dict[pd.Period, tuple[float | None, ...]]
    columns: tuple[_Column, ...]
    until: pd.Period

    @classmethod
    def of(cls, text: str, where: str) -> _Table:
        rows = [[cell.strip() for cell in row] for row in csv.reader(io.StringIO(text))]
        at = next((at for at, row in enumerate(rows) if row and row[0] == FIRST_CELL), None)
        if at is None or at < 2 or not rows[0]:
            raise DataError(f"{where}: expected {EXPECTED}, found {shown(text)}: fetch the file again.")
        header, title = rows[: at + 1], " ".join(row[0] for row in rows[:2] if row)
        months = dict(_months(rows[at + 1 :], len(rows[at]), at + 2, where))
        held = [month for month, cells in months.items() if any(cells)]
        if not held:
            raise DataError(f"{where}: expected months with figures, found none: fetch the file again.")
        read = _by_commodity if any(row and row[0] == "概況品コード" for row in header) else _by_country
        return cls(where, title, months, tuple(read(header, title, months, max(held), where)), max(held))


def _months(
    rows: Iterable[list[str]], width: int, line: int, where: str
) -> Iterator[tuple[pd.Period, tuple[float | None, ...]]]:
    """Month and cells of every row below the header; months ascend."""
    last: pd.Period | None = None
    for at, row in enumerate(rows, start=line):
        if not any(row[1:]):
            continue
        found = re.fullmatch(r"((?:19|20)\d\d)/(0?[1-9]|1[0-2])", row[0])
        if not found or len(row) != width:
            raise DataError(
                f"{where}, line {at}: expected a month such as 2026/03 and {width - 1} figures, found"
                f" {shown(row[0])} and {len(row) - 1}: fetch the file again, it is damaged."
            )
        month = pd.Period(year=int(found[1]), month=int(found[2]), freq="M")
        if last is not None and month <= last:
            raise DataError(f"{where}, line {at}: expected a month after {last}, found {month}: fetch the file again.")
        last = month
        yield month, (None, *(number(cell, where, "line", at) for cell in row[1:]))


def _by_country(
    header: list[list[str]], title: str, months: dict[pd.Period, tuple[float | None, ...]], until: pd.Period, where: str
) -> Iterator[_Column]:
    """Columns Exp-Total, Imp-Total, Exp-ccc, Imp-ccc; in the current year a country may lag its area."""
    if "千円" not in title or re.search("百万|million", title, re.I):
        raise DataError(f"{where}: expected figures in thousand yen, found the title {shown(title)}: nothing was read.")
    names = {number_: partner for partner, number_ in COUNTRIES.items()}
    said = header[-1]
    for at, cell in enumerate(said[1:], start=1):
        found = re.fullmatch(r"(Exp|Imp)-(Total|\d{3})", cell)
        if not found or said.count(cell) > 1:
            raise DataError(
                f"{where}: expected columns such as Exp-Total or Imp-224, found {shown(cell)}: it has changed."
            )
        partner = _area(title) if found[2] == "Total" else names.get(found[2], "")
        if partner:
            both = [at for at, one in enumerate(said) if one[3:] == cell[3:]]
            held = [month for month, cells in months.items() if any(cells[one] for one in both)]
            flow = "exports" if found[1] == "Exp" else "imports"
            if held:
                yield _Column(partner, flow, frozenset((TOTAL,)), at, None, "", max(held))


def _by_commodity(
    header: list[list[str]], title: str, months: dict[pd.Period, tuple[float | None, ...]], until: pd.Period, where: str
) -> Iterator[_Column]:
    """A total, then a pair of columns for every commodity: quantity, under which code and unit stand, and value."""
    flows = {"exports": ("輸出", "(Export)"), "imports": ("輸入", "(Import)")}
    flow = [name for name, words in flows.items() if any(word in title for word in words)]
    coded = next(row for row in header if row and row[0] == "概況品コード")
    kinds = next((row for row in header if row and not row[0] and "金額" in row), [])
    units = header[-1]
    if len(flow) != 1 or not len(coded) == len(kinds) == len(units) or set(kinds[1:]) > {"金額", "数量"}:
        raise DataError(
            f"{where}: expected one direction and rows of codes, 金額 or 数量, and units of the same width, found"
            f" {shown(title)} and {len(coded)}, {len(kinds)}, {len(units)} cells: the layout has changed."
        )
    partner = _area(title)
    for at, code in enumerate(coded[1:], start=1):
        if not code or not partner:
            continue
        value = at if kinds[at] == "金額" else at + 1
        if value >= len(kinds) or kinds[value] != "金額" or (value > at and coded[value]) or "千円" not in units[value]:
            raise DataError(
                f"{where}, column {at + 1}: expected code {shown(code)} over 数量 with 金額 in 千円 beside it, found"
                f" {shown(' '.join((*kinds[at : at + 2], *units[at : at + 2])))}: the layout has changed."
            )
        unit = re.sub(r"[()（）：:\s]|単位", "", units[at]) if value > at else ""
        yield _Column(partner, flow[0], frozenset(codes(code)), value, at if value > at else None, unit, until)

"""World Bank commodity prices, the Pink Sheet: one workbook of monthly averages in US dollars since 1960.

The address of the workbook changes every year and is found on the page of the commodity markets. Sheet "Monthly
Prices": a line "Updated on …", names, units, then one row a month (``1960M01``); ``…`` where there is no price. Names
carry stray blanks and asterisks. The last two months of liquefied natural gas are the World Bank's own estimates.

The workbook comes out on the second working day of a month. A price is dated by that rule, an estimate of gas in the
month after and its final figure two months later; a figure that changes afterwards is dated by the day it was seen.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from urllib.parse import urljoin

import pandas as pd

from forecasting.catalogue import Catalogue, Series
from forecasting.sources import answers
from forecasting.sources.answers import Cell, Record
from forecasting.sources.base import Address, Ask, Raw, Reading
from forecasting.sources.wording import shown

_PAGE = "https://www.worldbank.org/en/research/commodity-markets"
_FILE = "CMO-Historical-Data-Monthly.xlsx"
_SHEET = re.compile("Monthly Prices")
_EXPECTED = "the World Bank's workbook of monthly prices"
_UNITS = {"$/mmbtu": "usd/mmbtu", "$/bbl": "usd/barrels", "$/mt": "usd/tonnes"}
_DAY = 2  # of the month: the earliest that the second working day can be
# series: (name in the sheet, unit in the sheet, title, months at the end that are estimates)
_SERIES = {
    "price.lng_japan": ("Liquefied natural gas, Japan", "$/mmbtu", "Price of liquefied natural gas, Japan", 2),
    "price.gas_europe": ("Natural gas, Europe", "$/mmbtu", "Price of natural gas, Europe", 0),
    "price.brent": ("Crude oil, Brent", "$/bbl", "Price of crude oil, Brent", 0),
    "price.coal_australia": ("Coal, Australian", "$/mt", "Price of coal, Australia", 0),
}


@dataclass(frozen=True)
class WorldBankPrices:
    """The Pink Sheet, without a key."""

    name: str = "world_bank_prices"
    title: str = "Commodity prices (Pink Sheet), monthly averages"
    publisher: str = "World Bank"
    licence: str = "CC BY 4.0"
    attribution: str = "Source: The World Bank, Commodity Price Data (The Pink Sheet)"
    key: str = ""
    hosts: tuple[str, ...] = ("www.worldbank.org", "thedocs.worldbank.org")
    declares: tuple[Series, ...] = tuple(
        Series(series, title, _UNITS[unit], publisher="World Bank", source="Pink Sheet")
        for series, (_, unit, title, _) in _SERIES.items()
    )

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        return tuple(_SERIES)

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        page = yield Address(_PAGE, f"the page that links to {_FILE}")
        if page is None:
            return
        files = {urljoin(_PAGE, href) for href, _ in answers.links(page, f"a link to {_FILE}") if _is_file(href)}
        if len(files) != 1:
            raise answers.wrong(page, f"found {len(files)} links to {_FILE}, expected one")
        raw = yield Address(files.pop(), _EXPECTED)
        answers.check_kind(self.recognises, raw, _EXPECTED)

    def recognises(self, raw: Raw) -> bool:
        return any(_SHEET.fullmatch(name.strip()) for name in answers.sheet_names(raw))

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        sheet = answers.workbook(raw, _SHEET, _EXPECTED)[0]
        top = _row_of_names(sheet.rows, raw)
        months = list(_months(sheet.rows[top + 2 :], top + 3, raw))
        records = [one for series in _SERIES for one in _records(series, sheet.rows, top, months, raw)]
        if not records:
            raise answers.wrong(raw, f"the sheet holds no price, expected {_EXPECTED}")
        for one in records:
            wanted = catalogue[one.series].unit if one.series in catalogue else one.unit
            if wanted != one.unit:
                raise answers.wrong(raw, f"{one.series} comes in {one.unit}, not in {wanted}", "mend the catalogue")
        remark = "The last two months of liquefied natural gas, Japan are estimates of the World Bank."
        return answers.reading(records, raw, self.name, (remark,))


def _is_file(href: str) -> bool:
    return href.split("?")[0].endswith(_FILE)


def _plain(cell: object) -> str:
    """A name without stray blanks and the asterisks of footnotes."""
    return " ".join(str(cell or "").split()).rstrip("* ").casefold()


def _row_of_names(rows: tuple[tuple[Cell, ...], ...], raw: Raw) -> int:
    for at, row in enumerate(rows[:20]):
        names = [_plain(cell.value) for cell in row]
        if "crude oil, brent" in names and at + 2 < len(rows):
            return at
    raise answers.wrong(raw, f"no row of the first 20 has the name 'Crude oil, Brent', expected {_EXPECTED}")


def _months(rows: tuple[tuple[Cell, ...], ...], first: int, raw: Raw) -> Iterator[tuple[int, pd.Period]]:
    """Row numbers (from 1) and months; rows without any figure may say anything."""
    for number, row in enumerate(rows, start=first):
        found = re.fullmatch(r"(\d{4})M(\d{2})", str(row[0].value or "").strip()) if row else None
        month = answers.month_of(int(found[1]), int(found[2])) if found else None
        if month is not None:
            yield number, month
        elif any(isinstance(cell.value, int | float) for cell in row[1:]):
            raise answers.wrong(raw, f"row {number} begins with {shown(row[0].value)}, expected a month as 1960M01")


def _records(
    series: str,
    rows: tuple[tuple[Cell, ...], ...],
    top: int,
    months: list[tuple[int, pd.Period]],
    raw: Raw,
) -> list[Record]:
    name, unit, _, estimates = _SERIES[series]
    columns = [at for at, cell in enumerate(rows[top]) if _plain(cell.value) == _plain(name)]
    if len(columns) != 1:
        raise answers.wrong(raw, f"{len(columns)} columns are named {name!r}, expected one")
    column = columns[0]
    given = str(rows[top + 1][column].value if column < len(rows[top + 1]) else "").strip().strip("()").strip()
    if given != unit:
        raise answers.wrong(
            raw, f"{name!r} is in {shown(given)}, expected {unit}", "nothing was read; tell the developers"
        )
    found = []
    for number, month in months:
        row = rows[number - 1]
        value = answers.figure(row[column].value if column < len(row) else None, raw, f"{name}, row {number},")
        if value == 0:
            raise answers.wrong(raw, f"{name}, row {number}, holds a price of zero")
        if value is not None:
            found.append((month, value))
    newest = {month for month, _ in sorted(found)[len(found) - estimates :]}
    return [_record(series, month, value, _UNITS[unit], month in newest) for month, value in found]


def _record(series: str, month: pd.Period, value: float, unit: str, estimate: bool) -> Record:
    after = 1 if estimate else 1 + _SERIES[series][3]
    day = (month + after).start_time.date() + dt.timedelta(days=_DAY - 1)
    return Record(series, month, value, unit, "provisional" if estimate else "latest", day, "rule")


SOURCE = WorldBankPrices()

"""Japan's trade by country and commodity: the yearly CSV files of e-Stat, with no key.

By principal commodity and country, by nine-digit code and country, or by nine-digit code for the world; as CSV or in
ZIPs; found through the portal's listing or given by hand. A file carries January to the latest month of its year.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass

import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.sources.archives import is_zip, members
from forecasting.sources.base import Address, Ask, Raw, Reading
from forecasting.sources.japan_customs import (
    ATTRIBUTION,
    COUNTRIES,
    LICENCE,
    PUBLISHER,
    Rows,
    Wanted,
    convertible,
    factor,
    in_unit,
    number,
    refuse_page,
    shown,
    wanted,
)
from forecasting.sources.japan_customs_listing import (
    BY_COUNTRY,
    BY_HS,
    CSV,
    EARLIEST,
    HOST,
    WORLD_HS,
    Table,
    Told,
    through_the_listing,
)

NAME = "japan_customs_files"
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FLOW = {"1": "exports", "2": "imports"}
KEYS = ("exp or imp", "year", "commodity", "hs", "country", "unit", "unit1", "unit2")
DIGITS = frozenset("0123456789")


@dataclass(frozen=True)
class _Source:
    name: str = NAME
    title: str = "Japan's trade by country and commodity, yearly files of e-Stat (thousand yen, quantities, from 1988)"
    publisher: str = PUBLISHER
    licence: str = LICENCE
    attribution: str = ATTRIBUTION
    key: str = ""
    hosts: tuple[str, ...] = (HOST,)

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        return tuple(one.entry.id for one in wanted(catalogue) if _tables(one))

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        chosen = [one for one in wanted(ask.catalogue) if one.entry.id in ask.series]
        first = ask.since.year if ask.since is not None else EARLIEST
        for table in (BY_COUNTRY, BY_HS, WORLD_HS):
            for flow in ("exports", "imports"):
                mine = [one for one in chosen if one.flow.flow == flow and table in _tables(one)[:1]]
                if mine:
                    chapters = {code[:2] for one in mine for code in one.hs} if table is not BY_COUNTRY else set()
                    yield from through_the_listing(table, flow, range(first, ask.until.year + 1), chapters)

    def recognises(self, raw: Raw) -> bool:
        if is_zip(raw.content):
            try:
                inside = members(raw)
            except DataError:
                return True  # parse says what is wrong with it
            return any(_is_table(content) for _, content in inside)
        return _is_table(raw.content)

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        refuse_page(raw, CSV)
        told, named = Told.of(raw.address), [(raw.address.partition("#")[0], raw.content)]
        if is_zip(raw.content):
            named = [(f"{named[0][0]}, {shown(name)} in it", content) for name, content in members(raw)]
            named = [(where, content) for where, content in named if _is_table(content)]
            if not named:
                raise DataError(f"{raw.address}: expected a ZIP that holds {CSV}, found none: nothing was read.")
        read = [_File(where, content, told).read(catalogue, raw.digest) for where, content in named]
        # Of two files of the same year the one that reaches further is the later one.
        read.sort(key=lambda one: one.reach)
        table = pd.concat([one.records for one in read], ignore_index=True)
        table = table.drop_duplicates(["series", "month"], keep="last").sort_values(["series", "month"], kind="stable")
        return Reading(table.reset_index(drop=True), _once(one.remarks for one in read))


SOURCE = _Source()


def _tables(one: Wanted) -> tuple[Table, ...]:
    """The tables that hold a series, the best first."""
    if one.flow.partner == "world":
        return (WORLD_HS,) if one.hs else ()
    return (*((BY_COUNTRY,) if one.pc or one.flow.total else ()), *((BY_HS,) if one.hs else ()))


def _once(remarks: Iterable[Iterable[str]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one for some in remarks for one in some))


def _is_table(content: bytes) -> bool:
    head = content[:400].removeprefix(b"\xef\xbb\xbf").lstrip(b" \t\r\n\"'").lower()
    return head.startswith(b"exp or imp")


@dataclass(frozen=True)
class _Read:
    records: pd.DataFrame
    remarks: tuple[str, ...]
    reach: pd.Period


@dataclass(frozen=True)
class _Layout:
    """Where things stand in a file, by its header row."""

    where: str
    code: str
    at: dict[str, int]
    values: tuple[int, ...]
    quantities: tuple[tuple[int, tuple[int, ...]], ...]
    year: int | None
    width: int

    @classmethod
    def of(cls, header: list[str], where: str) -> _Layout:
        """From names; DataError where a column is missing, twice or not known."""
        names = [" ".join(cell.strip(" '\"\ufeff").lower().split()) for cell in header]
        at = {name: names.index(name) for name in KEYS if name in names}
        code = next((name for name in ("commodity", "hs") if name in at), "")
        known = [one for one in names if one in KEYS or re.fullmatch(r"(value|quantity[12]?)-\w+", one)]
        missing = [one for one in ("exp or imp", "year") if one not in at] or ([] if code else ["commodity"])
        if missing or len(known) < len(names) or len({*names}) < len(names):
            odd = next((one for one in names if one not in known or names.count(one) > 1), "")
            found = f"without {missing[0]}" if missing else f"with {shown(odd)}"
            raise DataError(f"{where}: expected {CSV}, found a header {found}: is it another table of the portal?")
        if code == "commodity" and "country" not in at:
            raise DataError(f"{where}: expected the column Country, found none: take the table by country.")
        units = [name for name in ("unit", "unit1", "unit2") if name in at]
        slots = tuple((at[unit], _months(names, unit.replace("unit", "quantity"), where)) for unit in units)
        year = names.index("value-year") if "value-year" in names else None
        return cls(where, code, at, _months(names, "value", where), slots, year, len(names))


def _months(names: list[str], kind: str, where: str) -> tuple[int, ...]:
    """The twelve columns of a kind, by name; one that is misspelt (``Value-Apl``) by its place between the others."""
    found = [(at, name.removeprefix(f"{kind}-")[:3]) for at, name in enumerate(names) if name.startswith(f"{kind}-")]
    found = [(at, month) for at, month in found if month != "yea"]
    out_of_place = [month for month, right in zip([one for _, one in found], MONTHS, strict=False) if month != right]
    if len(found) != 12 or len(out_of_place) > 1 or any(month in MONTHS for month in out_of_place):
        said = ", ".join(month for _, month in found)
        raise DataError(
            f"{where}: expected the columns {kind.title()}-Jan … {kind.title()}-Dec in order, found {shown(said, 60)}:"
            " the layout has changed; nothing was read."
        )
    return tuple(at for at, _ in found)


@dataclass(frozen=True)
class _Row:
    """One row of a file: twelve values in thousand yen, and twelve quantities for each of its units."""

    line: int
    values: tuple[float, ...]
    quantities: tuple[tuple[str, tuple[float, ...]], ...]


@dataclass(frozen=True)
class _File:
    """One CSV, read once."""

    where: str
    content: bytes
    told: Told

    def read(self, catalogue: Catalogue, digest: str) -> _Read:
        """Records of every series of the catalogue that the file holds."""
        rows = csv.reader(io.StringIO(_decoded(self.content, self.where)))
        try:
            layout = _Layout.of(next(rows, []), self.where)
            held = _Held(layout, [one for one in wanted(catalogue) if self._fits(one, layout)])
            for line, row in enumerate(rows, start=2):
                if any(cell.strip() for cell in row):
                    held.take(line, row)
        except csv.Error as error:
            raise DataError(f"{self.where}: expected {CSV}, found {error}: fetch it again.") from None
        if not held.reach:
            raise DataError(f"{self.where}: expected rows with figures, found none: fetch the file again.")
        return self._made(held, digest)

    def _fits(self, one: Wanted, layout: _Layout) -> bool:
        if "country" in layout.at:
            return one.flow.partner != "world" and bool(one.hs if layout.code == "hs" else one.pc or one.flow.total)
        return one.flow.partner == "world" and bool(one.hs)

    def _made(self, held: _Held, digest: str) -> _Read:
        made, remarks = Rows(NAME, digest), held.remarks
        for year, last in sorted(held.reach.items()):
            covers = self.told.covers
            reach = covers.month if covers is not None and covers.year == year else last
            if reach < last:
                raise DataError(
                    f"{self.where}: expected nothing after {covers}, found figures of month {last}: it is not"
                    " the file of that page; fetch it again."
                )
            if reach < 12 and (covers is None or covers.year != year):
                remarks.append(f"{self.where}: zeros throughout after {year}-{last:02d} are read as not published.")
            for one in held.series:
                for month, value in enumerate(held.summed(one, year)[:reach], start=1):
                    period = pd.Period(year=year, month=month, freq="M")
                    dated = "printed" if self.told.published else "seen"
                    made.add(one.entry, period, value, self.told.stage(month), self.told.published, dated)
        if held.absent:
            some = f"{', '.join(list(held.absent)[:3])}{' …' if len(held.absent) > 3 else ''}"
            remarks.append(f"{self.where}: no rows of the code of {some} ({len(held.absent)} series): not read.")
        furthest = max(pd.Period(year=year, month=max(last, 1), freq="M") for year, last in held.reach.items())
        return _Read(made.table(), tuple(remarks), furthest)


class _Held:
    """The rows of a file that matter: those of the countries and codes that the catalogue asks for."""

    def __init__(self, layout: _Layout, series: list[Wanted]) -> None:
        self.layout, self.series = layout, series
        self.reach: dict[int, int] = {}
        self.remarks: list[str] = []
        self.absent: dict[str, None] = {}
        self._rows: dict[tuple[str, int, str, str], _Row] = {}
        self._codes: dict[tuple[str, int], set[str]] = defaultdict(set)
        self._partners: set[tuple[str, int, str]] = set()
        partners = {COUNTRIES.get(one.flow.partner, "") for one in series}
        self._wanted = {partner: self._codes_of(partner) for partner in partners}

    def _codes_of(self, partner: str) -> tuple[str, ...]:
        mine = [one for one in self.series if COUNTRIES.get(one.flow.partner, "") == partner]
        if self.layout.code == "hs":
            return tuple({code for one in mine for code in one.hs})
        return tuple({code for one in mine for code in (one.pc or DIGITS)})

    def take(self, line: int, row: list[str]) -> None:
        """One row: remember which codes and months there are, keep the figures where they are asked for."""
        layout, at = self.layout, self.layout.at
        where = f"{layout.where}, line {line}"
        if len(row) != layout.width:
            raise DataError(f"{where}: expected {layout.width} cells, found {len(row)}: it is damaged; fetch it again.")
        flow = FLOW.get(row[at["exp or imp"]].strip(" '"))
        year = row[at["year"]].strip(" '")
        code = row[at[layout.code]].strip(" '")
        partner = row[at["country"]].strip(" '") if "country" in at else ""
        if flow is None or not re.fullmatch(r"(19|20)\d\d", year) or not code.isdecimal() or not code.isascii():
            raise DataError(
                f"{where}: expected 1 or 2, a year and a code, found"
                f" {shown(' '.join([row[at['exp or imp']], year, code]))}: nothing was read; fetch the file again."
            )
        self._see(row, int(year), where)
        self._codes[flow, int(year)].add(code)
        self._partners.add((flow, int(year), partner))
        if self._asked(partner, code):
            self._keep((flow, int(year), partner, code), row, line)

    def _see(self, row: list[str], year: int, where: str) -> None:
        """The last month of the year in which anything at all is not zero."""
        before = self.reach.setdefault(year, 0)
        for month in range(12, before, -1):
            if number(row[self.layout.values[month - 1]], where, "value of month", month):
                self.reach[year] = month
                return

    def _asked(self, partner: str, code: str) -> bool:
        asked = self._wanted.get(partner, ())
        return any(code.startswith(one) for one in asked) if self.layout.code == "hs" else code in asked

    def _keep(self, key: tuple[str, int, str, str], row: list[str], line: int) -> None:
        where = f"{self.layout.where}, line {line}"
        if key in self._rows:
            first = self._rows[key].line
            raise DataError(f"{where}: expected one row a country and code, found that of line {first} again: mend it.")
        values = tuple(number(row[at], where, "value") or 0.0 for at in self.layout.values)
        quantities = tuple(
            (row[unit].strip(" '"), tuple(number(row[at], where, "quantity") or 0.0 for at in columns))
            for unit, columns in self.layout.quantities
        )
        self._rows[key] = _Row(line, values, quantities)
        if self.layout.year is not None:
            self._check(values, number(row[self.layout.year], where, "value of the year") or 0.0, where)

    def _check(self, values: tuple[float, ...], year: float, where: str) -> None:
        """Months add up to the year as it is printed: a moved column or a damaged figure does not pass unseen."""
        gap = abs(sum(values) - year)
        if gap > max(12.0, 0.01 * year):
            raise DataError(
                f"{where}: expected months that add up to the year ({year:,.0f}), found {sum(values):,.0f}: the file is"
                " damaged or its columns have moved; fetch it again."
            )
        if gap > 12.0:
            self.remarks.append(
                f"{where}: the months add up to {sum(values):,.0f}, the year is printed as {year:,.0f}."
            )

    def summed(self, one: Wanted, year: int) -> tuple[float, ...]:
        """Twelve figures in the unit of the series; none where the file cannot hold it."""
        flow, partner = one.flow.flow, COUNTRIES.get(one.flow.partner, "")
        there = self._codes[flow, year]
        if (flow, year, partner) not in self._partners:
            return ()
        if self.layout.code == "hs":
            needed = one.hs
            whole = all(any(code.startswith(part) for code in there) for part in needed)
        else:
            needed = one.pc or tuple(sorted(DIGITS))
            whole = all(code in there for code in needed)
        if not whole:
            self.absent[one.entry.id] = None
            return ()
        mine = ((code, row) for (*place, code), row in self._rows.items() if place == [flow, year, partner])
        rows = [row for code, row in mine if self._of(code, needed)]
        figures = [self._in_unit(row, one) for row in rows]
        return tuple(sum(month) for month in zip(*figures, strict=True)) if figures else (0.0,) * 12

    def _of(self, code: str, needed: tuple[str, ...]) -> bool:
        return code in needed if self.layout.code != "hs" else any(code.startswith(one) for one in needed)

    def _in_unit(self, row: _Row, one: Wanted) -> tuple[float, ...]:
        where = f"{self.layout.where}, line {row.line}"
        if one.flow.measure == "value":
            rate = in_unit("thousand_jpy", one.entry, where)
            return tuple(value * rate for value in row.values)
        fitting = [(unit, figures) for unit, figures in row.quantities if convertible(unit, one.entry)]
        if not fitting:
            if not any(row.values) and not any(figure for _, figures in row.quantities for figure in figures):
                return (0.0,) * 12
            factor(row.quantities[-1][0] if row.quantities else "", one.entry, where)
        unit, figures = fitting[0]
        rate = factor(unit, one.entry, where)
        return tuple(figure * rate for figure in figures)


def _decoded(content: bytes, where: str) -> str:
    for encoding in ("utf-8-sig", "cp932"):
        try:
            return content.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise DataError(f"{where}: expected UTF-8 text, found other bytes: fetch the file again, it is damaged.")

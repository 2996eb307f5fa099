"""Japan's trade by country and commodity: the yearly CSV files of e-Stat, with no key.

By principal commodity and country, by nine-digit code and country, or by nine-digit code for the world; as CSV or in
ZIPs; found through the portal's listing or given by hand. A file carries January to the latest month of its year.
"""

from __future__ import annotations

import csv
import html
import io
import re
import unicodedata
from collections import defaultdict
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from datetime import date
from urllib.parse import parse_qs, urlencode

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

NAME = "japan_customs_files"
HOST = "www.e-stat.go.jp"
PAGE = f"https://{HOST}/stat-search/files"
TRADE = {"toukei": "00350300", "tstat": "000001013141"}
EARLIEST = 1988
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
FLOW = {"1": "exports", "2": "imports"}
KEYS = ("exp or imp", "year", "commodity", "hs", "country", "unit", "unit1", "unit2")
DIGITS = frozenset("0123456789")
# Longest first: each is part of the next but one.
STAGES = {"9桁速報": "nine_digit", "確々報": "revised", "確報": "detailed", "速報": "provisional", "確定": "fixed"}
CSV = "a CSV with the columns Exp or Imp, Year, Commodity or HS, Country, Unit, Quantity-Jan, Value-Jan …"


@dataclass(frozen=True)
class Table:
    """A table of the portal: its class and the classes of exports and imports, "" where it must be found."""

    title: str
    parent: str
    exports: str
    imports: str


BY_COUNTRY = Table("country by principal commodity", "000001013198", "000001013199", "")
BY_GOODS = Table("principal commodity by country", "000001013195", "000001013196", "000001013197")
BY_HS = Table("nine-digit code by country", "000001013180", "000001013181", "000001013182")
WORLD_HS = Table("nine-digit code, world", "000001013183", "000001013184", "000001013185")


@dataclass(frozen=True)
class Told:
    """What the portal's page says of a file and the file itself does not: it travels in the fragment of its address."""

    covers: pd.Period | None = None
    published: date | None = None
    stages: tuple[tuple[int, int, str], ...] = ()

    @classmethod
    def of(cls, address: str) -> Told:
        """From ``…#covers=2026-08&published=2026-09-29&stages=1-7:detailed,8-8:nine_digit``."""
        said = {name: values[0] for name, values in parse_qs(address.partition("#")[2]).items()}
        try:
            covers = pd.Period(said["covers"], freq="M") if "covers" in said else None
            published = date.fromisoformat(said["published"]) if "published" in said else None
            parts = re.findall(r"(\d+)-(\d+):(\w+)", said.get("stages", ""))
        except ValueError:
            return cls()
        return cls(covers, published, tuple((int(first), int(last), stage) for first, last, stage in parts))

    @property
    def fragment(self) -> str:
        """The way back."""
        said = {
            "covers": str(self.covers or ""),
            "published": str(self.published or ""),
            "stages": ",".join(f"{first}-{last}:{stage}" for first, last, stage in self.stages),
        }
        return urlencode({name: value for name, value in said.items() if value}, safe=":,")

    def stage(self, month: int) -> str:
        """Of a month of the file's year; ``latest`` where nothing is said."""
        return next((stage for first, last, stage in self.stages if first <= month <= last), "latest")


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
                    yield from _through_the_listing(table, flow, range(first, ask.until.year + 1), chapters)

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


# The listing


def _through_the_listing(
    table: Table, flow: str, years: range, chapters: set[str]
) -> Generator[Address, Raw | None, None]:
    """Parent page where the class is not known, list of months, page of the newest month of each year, files."""
    kind, known = table.title, getattr(table, flow)
    if not known:
        parent = yield _page(f"the page of the table {kind}", tclass1=table.parent)
        known = found_class(_text(parent), flow)
        if not known:
            table, known = BY_GOODS, getattr(BY_GOODS, flow)
    place = {"cycle": "1", "tclass1": table.parent, "tclass2": known, "tclass3val": "0"}
    listing = yield _page(f"the list of months of {flow} by {kind}", **place)
    newest = newest_months(_text(listing))
    if not newest:
        raise _moved(_page("", **place), f"the list of months of {flow} by {kind}", "no link to a month")
    for year in years:
        if year in newest:
            covers, code = newest[year]
            page = yield _page(f"the files of {covers}", **place, year=f"{year}0", month=code)
            files = files_of(_text(page), covers)
            if not files:
                raise _moved(_page("", **place), f"the files of {covers}", "no link to a file")
            for number_, title, told in files:
                if not chapters or _holds(title, chapters):
                    url = f"https://{HOST}/stat-search/file-download?statInfId={number_}&fileKind=1#{told.fragment}"
                    raw = yield Address(url, CSV)
                    if raw is not None:
                        refuse_page(raw, CSV)


def _page(expected: str, **query: str) -> Address:
    return Address(f"{PAGE}?{urlencode({'page': '1', 'layout': 'datalist', **TRADE, **query})}", expected)


def _text(raw: Raw | None) -> str:
    """The page with plain brackets, colons and digits in place of wide ones."""
    return unicodedata.normalize("NFKC", html.unescape(raw.content.decode("utf-8", "replace"))) if raw else ""


def _moved(address: Address, expected: str, found: str) -> DataError:
    return DataError(
        f"{address.url}: expected {expected}, found {found}: the portal may have changed; download the CSV by hand"
        " and run tradecast data ingest FILE."
    )


def newest_months(page: str) -> dict[int, tuple[pd.Period, str]]:
    """Year: the newest month for which the listing has a page, and the portal's number of it; July is 23070907."""
    found: dict[int, tuple[pd.Period, str]] = {}
    for year, code in re.findall(r"year=(\d{4})0&month=(\d{8})", page):
        if 1 <= int(code[-2:]) <= 12 and int(year) >= EARLIEST:
            one = pd.Period(year=int(year), month=int(code[-2:]), freq="M")
            found[int(year)] = max(found.get(int(year), (one, code)), (one, code))
    return found


def found_class(page: str, flow: str) -> str:
    """The class of exports or imports by the words that follow its number on the page of a table; "" if none."""
    word = {"exports": "輸出", "imports": "輸入"}[flow]
    pieces = re.split(r'(?:tclass2=|data-value2=")(\d{12})', page)
    for one, after in zip(pieces[1::2], pieces[2::2], strict=True):
        if word in re.sub(r"<[^>]*>", " ", after):
            return one
    return ""


def files_of(page: str, covers: pd.Period) -> list[tuple[str, str, Told]]:
    """Number, title and what is told of every CSV on the page of a month."""
    found: dict[str, tuple[str, str, Told]] = {}
    before = 0
    for link in re.finditer(r"file-download\?statInfId=(\d+)&fileKind=1", page):
        piece, before = page[before : link.start()], link.end()
        text = " ".join(re.sub(r"<[^>]*>|[\"'>]", " ", piece).split())
        titles = [one for one in re.findall(r"\d{4}年\d{1,2}月[^()年]*\([^()]*\)", text) if "輸" in one]
        days = re.findall(r"公開[^\d]{0,40}(\d{4}-\d{2}-\d{2})", text)
        title = titles[-1] if titles else ""
        published = date.fromisoformat(days[-1]) if days else None
        found.setdefault(link[1], (link[1], title, Told(covers, published, stages_of(title, covers.month))))
    return list(found.values())


def stages_of(title: str, last: int) -> tuple[tuple[int, int, str], ...]:
    """``(輸入 1-6月:確報、7月:輸入9桁速報)`` → ((1, 6, "detailed"), (7, 7, "nine_digit"))."""
    found = []
    for first, until, words in re.findall(r"(\d{1,2})(?:\s*[-–~〜]\s*(\d{1,2}))?月\s*:\s*([^、,)\s]+)", title):
        stage = next((stage for word, stage in STAGES.items() if word in words), "")
        if stage:
            found.append((int(first), int(until or first), stage))
    whole = next((stage for word, stage in STAGES.items() if word in title), "")
    return tuple(found) or (((1, last, whole),) if whole else ())


def _holds(title: str, chapters: set[str]) -> bool:
    """Whether a file of nine-digit codes holds one of these chapters, by the range in its title; yes where none is."""
    ranges = re.findall(r"(\d{1,2})類?\s*[-–~〜]\s*第?(\d{1,2})\s*類|Chapter\s*(\d{1,2})\s*[-–]\s*(\d{1,2})", title)
    spans = [(int(a or c), int(b or d)) for a, b, c, d in ranges]
    return not spans or any(first <= int(one) <= last for first, last in spans for one in chapters)


# The CSV


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

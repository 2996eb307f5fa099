"""The way through e-Stat's portal to the files of Japan's trade, without a key: pages of links, and what they say."""

from __future__ import annotations

import html
import re
import unicodedata
from collections.abc import Generator
from dataclasses import dataclass
from datetime import date
from urllib.parse import parse_qs, urlencode

import pandas as pd

from forecasting.errors import DataError
from forecasting.sources.answers import day_of
from forecasting.sources.base import Address, Raw
from forecasting.sources.japan_customs import refuse_page

HOST = "www.e-stat.go.jp"
PAGE = f"https://{HOST}/stat-search/files"
TRADE = {"toukei": "00350300", "tstat": "000001013141"}
EARLIEST = 1988
# Nine-digit before provisional, whose word it contains.
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


def through_the_listing(
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
        published = day_of(days[-1] if days else None)
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

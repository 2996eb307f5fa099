"""Visitors to Japan by nationality: the workbook of the Japan National Tourism Organization, a sheet a year since 2003.

The address changes with every release and is found on the statistics page by the text of its link. Columns move over
the years (from 2020 there are two columns of names, and growth rates stand between the months), so months are found by
the header ``1月`` … ``12月`` and the nationality by its name.

Releases come in the third week of a month. Figures of the two newest months are estimates, written in italics, to be
replaced by counted ones: dated by that rule, each as early as it can have come.
"""

from __future__ import annotations

import datetime as dt
import re
import unicodedata
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from forecasting.catalogue import Catalogue, Series
from forecasting.sources import answers
from forecasting.sources.answers import Cell, Record, Sheet
from forecasting.sources.base import Address, Ask, Raw, Reading

_PAGE = "https://www.jnto.go.jp/statistics/data/visitors-statistics/"
_LINK = ("国籍/月別", "訪日外客数")
_YEAR = re.compile(r"(19|20)\d{2}")
_EXPECTED = "JNTO's workbook of visitors by nationality and month"
_DAY = 15  # of the month: the earliest third Wednesday
# Another nationality: its alpha-2 code and its name in the sheets.
_NATIONALITIES = {
    "world": ("総数", "all countries"), "ru": ("ロシア", "Russia"), "kr": ("韓国", "Korea"), "cn": ("中国", "China"),
    "tw": ("台湾", "Taiwan"), "hk": ("香港", "Hong Kong"), "us": ("米国", "the United States"),
    "de": ("ドイツ", "Germany"), "gb": ("英国", "the United Kingdom"), "mn": ("モンゴル", "Mongolia"),
}  # fmt: skip


@dataclass(frozen=True)
class JntoVisitors:
    """Visitor arrivals, without a key."""

    name: str = "jnto_visitors"
    title: str = "Visitors to Japan by nationality"
    publisher: str = "Japan National Tourism Organization"
    licence: str = "free reuse with the source named"
    attribution: str = "Source: Japan National Tourism Organization (JNTO), 日本政府観光局"
    key: str = ""
    hosts: tuple[str, ...] = ("www.jnto.go.jp",)
    declares: tuple[Series, ...] = tuple(
        Series(f"visitors.{code}_to_jp", f"Visitors to Japan from {name}", "visitors", publisher="JNTO", source="JNTO")
        for code, (_, name) in _NATIONALITIES.items()
    )

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        return tuple(one.id for one in self.declares)

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        page = yield Address(_PAGE, "the page that links to the workbook of visitors by nationality and month")
        if page is None:
            return
        files = {
            urljoin(_PAGE, href)
            for href, text in answers.links(page, "a link to the workbook of visitors")
            if all(word in text for word in _LINK) and urlsplit(href).path.endswith(".xlsx")
        }
        if len(files) != 1:
            raise answers.wrong(page, f"found {len(files)} links {' '.join(_LINK)} to a workbook, expected one")
        raw = yield Address(files.pop(), _EXPECTED)
        answers.check_kind(self.recognises, raw, _EXPECTED)

    def recognises(self, raw: Raw) -> bool:
        names = answers.sheet_names(raw)
        return bool(names) and all(_YEAR.fullmatch(name.strip()) for name in names)

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        sheets = answers.workbook(raw, _YEAR, _EXPECTED)
        records = [one for sheet in sheets for one in _records(sheet, catalogue, raw)]
        if not records:
            raise answers.wrong(
                raw, f"the workbook holds no visitors of {_NATIONALITIES['world'][0]}, expected {_EXPECTED}"
            )
        return answers.reading(records, raw, self.name, ("Figures in italics are JNTO's estimates.",))


def _plain(cell: Cell) -> str:
    return "".join(unicodedata.normalize("NFKC", str(cell.value or "")).split())


def _records(sheet: Sheet, catalogue: Catalogue, raw: Raw) -> Iterator[Record]:
    year = int(sheet.name)
    top, columns = _months(sheet, raw)
    titles = [_plain(cell) for row in sheet.rows[:top] for cell in row]
    if not any(f"{year}年" in title and "訪日外客数" in title for title in titles):
        raise answers.wrong(raw, f"sheet {year} is not headed {year}年 訪日外客数, expected {_EXPECTED}")
    names = {_plain(Cell(name)): code for code, (name, _) in _NATIONALITIES.items()}
    seen: set[str] = set()
    for number, row in enumerate(sheet.rows[top + 1 :], start=top + 2):
        labels = [text for cell in row[: min(columns.values())] if (text := _plain(cell))]
        if labels and labels[0].startswith("注"):
            break
        code = names.get(labels[0], "") if labels else ""
        if not code:
            continue
        if code in seen:
            raise answers.wrong(raw, f"sheet {year} has two rows {labels[0]}")
        seen.add(code)
        yield from _row(f"visitors.{code}_to_jp", year, row, number, columns, raw, catalogue)


def _row(
    series: str,
    year: int,
    row: tuple[Cell, ...],
    number: int,
    columns: dict[int, int],
    raw: Raw,
    catalogue: Catalogue,
) -> Iterator[Record]:
    unit = catalogue[series].unit if series in catalogue else "visitors"
    if unit not in ("visitors", "persons"):
        raise answers.wrong(raw, f"{series} comes in visitors, not in {unit}", "mend the catalogue")
    for month, column in columns.items():
        cell = row[column] if column < len(row) else Cell(None)
        value = answers.figure(cell.value, raw, f"sheet {year}, row {number}, {month}月,")
        if value is not None and value != int(value):
            raise answers.wrong(raw, f"sheet {year}, row {number}, {month}月 holds {value:g}, expected whole persons")
        at = answers.month_of(year, month)
        if value is not None and at is not None:
            day = (at + (1 if cell.italic else 3)).start_time.date() + dt.timedelta(days=_DAY - 1)
            yield Record(series, at, value, unit, "provisional" if cell.italic else "latest", day, "rule")


def _months(sheet: Sheet, raw: Raw) -> tuple[int, dict[int, int]]:
    """The row of the header, and the column of each of the twelve months."""
    for at, row in enumerate(sheet.rows[:15]):
        found = [
            (int(text[:-1]), column)
            for column, cell in enumerate(row)
            if re.fullmatch(r"\d{1,2}月", text := _plain(cell))
        ]
        if sorted(month for month, _ in found) == list(range(1, 13)):
            return at, dict(found)
    raise answers.wrong(raw, f"sheet {sheet.name} has no header 1月 … 12月 in its first 15 rows, expected {_EXPECTED}")


SOURCE = JntoVisitors()

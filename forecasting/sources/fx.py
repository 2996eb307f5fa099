"""Exchange rates, monthly averages: Federal Reserve (G.5, through FRED) and European Central Bank.

FRED: one column under the id of the series, an empty cell or ``.`` where nothing was published. ECB: SDMX as CSV.
A rate ``fx.usd_jpy`` is yen for one dollar, in ``jpy/usd``. Monthly averages come out on the first working days of the
next month and are not revised afterwards: they are dated by that rule, on the first.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import pandas as pd

from forecasting.catalogue import Catalogue, Series
from forecasting.sources import answers
from forecasting.sources.answers import Record
from forecasting.sources.base import Address, Ask, Raw, Reading

_FRED = {"EXJPUS": "fx.usd_jpy", "EXCHUS": "fx.usd_cny", "EXKOUS": "fx.usd_krw", "EXUSEU": "fx.eur_usd"}
_ECB = {"JPY": "fx.eur_jpy"}
_NAMES = {"usd": "US dollar", "eur": "euro", "jpy": "yen", "cny": "yuan", "krw": "won"}
_ECB_RATES = "https://data-api.ecb.europa.eu/service/data/EXR"
_ECB_COLUMNS = ("FREQ", "CURRENCY", "CURRENCY_DENOM", "EXR_TYPE", "TIME_PERIOD", "OBS_VALUE")


def _declared(series: str, publisher: str) -> Series:
    base, quote = series.removeprefix("fx.").split("_")
    title = f"{_NAMES[quote].capitalize()} for one {_NAMES[base]}, monthly average"
    return Series(series, title, f"{quote}/{base}", publisher=publisher, source="fx")


@dataclass(frozen=True)
class Fx:
    """Exchange rates of two central banks, without a key."""

    name: str = "fx"
    title: str = "Exchange rates, monthly averages"
    publisher: str = "Board of Governors of the Federal Reserve System; European Central Bank"
    licence: str = "public domain (Federal Reserve); free reuse with the source named (ECB)"
    attribution: str = "Source: Board of Governors of the Federal Reserve System (US), G.5; European Central Bank"
    key: str = ""
    hosts: tuple[str, ...] = ("fred.stlouisfed.org", "data-api.ecb.europa.eu")
    declares: tuple[Series, ...] = (
        *(_declared(one, "Federal Reserve") for one in _FRED.values()),
        *(_declared(one, "European Central Bank") for one in _ECB.values()),
    )

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        return tuple(one.id for one in self.declares)

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        start = f"&startPeriod={ask.since}" if ask.since is not None else ""
        fred = {one: f"https://fred.stlouisfed.org/graph/fredgraph.csv?id={code}" for code, one in _FRED.items()}
        ecb = {one: f"{_ECB_RATES}/M.{code}.EUR.SP00.A?format=csvdata{start}" for code, one in _ECB.items()}
        for series, url in {**fred, **ecb}.items():
            if series in ask.series:
                expected = f"monthly averages {series} as CSV"
                raw = yield Address(url, expected)
                answers.check_kind(self.recognises, raw, expected)

    def recognises(self, raw: Raw) -> bool:
        head = answers.csv_head(raw)
        fred = len(head) == 2 and head[0].lower() in ("observation_date", "date") and head[1] in _FRED
        return fred or set(_ECB_COLUMNS) <= set(head)

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        head = answers.csv_head(raw)
        rows = _ecb(raw) if set(_ECB_COLUMNS) <= set(head) else _fred(raw, head)
        units = {one.id: one.unit for one in self.declares}
        records = []
        for series, month, value in rows:
            unit = catalogue[series].unit if series in catalogue else units[series]
            if unit != units[series]:
                raise answers.wrong(raw, f"{series} comes in {units[series]}, not in {unit}", "mend the catalogue")
            day = (month + 1).start_time.date()
            records.append(Record(series, month, value, unit, "latest", day, "rule"))
        return answers.reading(records, raw, self.name)


def _fred(raw: Raw, head: tuple[str, ...]) -> Iterator[tuple[str, pd.Period, float]]:
    code = head[1] if len(head) == 2 else ""
    if code not in _FRED:
        raise answers.wrong(raw, f"expected CSV with the columns observation_date and one of {', '.join(_FRED)}")
    for line, row in answers.csv_rows(raw, head, f"monthly averages {code}"):
        found = re.fullmatch(r"(\d{4})-(\d{2})-01", row[head[0]])
        month = answers.month_of(int(found[1]), int(found[2])) if found else None
        if month is None:
            raise answers.wrong(raw, f"line {line} is dated {row[head[0]][:20]!r}, expected the first of a month")
        yield from _known(_FRED[code], month, row[code], raw, line)


def _ecb(raw: Raw) -> Iterator[tuple[str, pd.Period, float]]:
    for line, row in answers.csv_rows(raw, _ECB_COLUMNS, "monthly exchange rates of the ECB"):
        if (row["FREQ"], row["CURRENCY_DENOM"], row["EXR_TYPE"]) != ("M", "EUR", "SP00") or row["CURRENCY"] not in _ECB:
            raise answers.wrong(raw, f"line {line} is no monthly rate {', '.join(_ECB)} for one euro")
        if row.get("EXR_SUFFIX", "A") != "A" or row.get("UNIT_MULT", "0") not in ("", "0"):
            raise answers.wrong(raw, f"line {line} is no average, or in another multiple than 1")
        found = re.fullmatch(r"(\d{4})-(\d{2})", row["TIME_PERIOD"])
        month = answers.month_of(int(found[1]), int(found[2])) if found else None
        if month is None:
            raise answers.wrong(raw, f"line {line} is dated {row['TIME_PERIOD'][:20]!r}, expected 2026-08")
        yield from _known(_ECB[row["CURRENCY"]], month, row["OBS_VALUE"], raw, line)


def _known(series: str, month: pd.Period, cell: str, raw: Raw, line: int) -> Iterator[tuple[str, pd.Period, float]]:
    value = answers.figure(cell, raw, f"line {line}")
    if value == 0:
        raise answers.wrong(raw, f"line {line} holds a rate of zero")
    if value is not None:
        yield series, month, value


SOURCE = Fx()

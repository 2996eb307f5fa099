"""IMF, International Trade in Goods by partner country (IMTS): totals of almost any pair, in US dollars.

SDMX 3.0, answered as CSV. Key: COUNTRY.INDICATOR.COUNTERPART_COUNTRY.FREQUENCY with ISO alpha-3 codes. The service
ignores ``startPeriod`` and sends all months. Values are plain dollars.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Iterator
from dataclasses import dataclass

import pandas as pd

from forecasting.catalogue import Catalogue, Series
from forecasting.sources import answers
from forecasting.sources.answers import Record
from forecasting.sources.base import Address, Ask, Flow, Raw, Reading
from forecasting.sources.countries import WORLD, imf_code
from forecasting.sources.wording import shown

_BASE = "https://api.imf.org/external/sdmx/3.0/data/dataflow/IMF.STA/IMTS/+/"
_HEADERS = {"Accept": "application/vnd.sdmx.data+csv"}
_INDICATORS = {"exports": "XG_FOB_USD", "imports": "MG_CIF_USD"}
_COLUMNS = ("COUNTRY", "INDICATOR", "COUNTERPART_COUNTRY", "FREQUENCY", "TIME_PERIOD", "OBS_VALUE")
_PLAIN_SCALES = ("", "0", "1", "units", "unit")
_EXPECTED = "IMTS as SDMX-CSV"
_MOST = 1e12  # dollars: no two countries trade as much in a month


@dataclass(frozen=True)
class ImfImts:
    """Total exports (FOB) and imports (CIF) by partner, without a key."""

    name: str = "imf_imts"
    title: str = "International trade in goods by partner country, totals"
    publisher: str = "International Monetary Fund"
    licence: str = "IMF terms: reuse with attribution; ask the IMF before commercial redistribution"
    attribution: str = "Source: International Monetary Fund, International Trade in Goods (by partner country) (IMTS)"
    key: str = ""
    hosts: tuple[str, ...] = ("api.imf.org",)
    declares: tuple[Series, ...] = ()

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        return tuple(_series(catalogue).values())

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        wanted = [key for key, series in _series(ask.catalogue).items() if series in ask.series]
        for reporter in dict.fromkeys(country for country, _, _ in wanted):
            indicators = sorted({indicator for country, indicator, _ in wanted if country == reporter})
            partners = sorted({partner for country, _, partner in wanted if country == reporter})
            url = f"{_BASE}{reporter}.{'+'.join(indicators)}.{'+'.join(partners)}.M"
            raw = yield Address(url, _EXPECTED, _HEADERS)
            answers.check_kind(self.recognises, raw, _EXPECTED)

    def recognises(self, raw: Raw) -> bool:
        return set(_COLUMNS) <= set(answers.csv_head(raw))

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        known = _series(catalogue)
        rows = list(answers.csv_rows(raw, _COLUMNS, _EXPECTED))
        remarks = []
        figures = [(line, row, answers.figure(row["OBS_VALUE"], raw, f"line {line}")) for line, row in rows]
        factors = _factors([(row, value) for _, row, value in figures if value is not None], raw)
        records = list(_records(figures, factors, known, catalogue, raw))
        if rows and not records:
            remarks.append("The file holds no monthly total of a series in the catalogue.")
        return answers.reading(records, raw, self.name, remarks)


def _series(catalogue: Catalogue) -> dict[tuple[str, str, str], str]:
    """Reporter, indicator and partner of the IMF, and the series that they are."""
    found = {}
    for entry in catalogue.entries:
        flow = Flow.of(entry)
        if flow is None or not flow.total or flow.measure != "value" or flow.reporter == WORLD:
            continue
        reporter, partner = imf_code(flow.reporter), imf_code(flow.partner)
        if reporter and partner:
            found[reporter, _INDICATORS[flow.flow], partner] = entry.id
    return found


def _records(
    figures: list[tuple[int, dict[str, str], float | None]],
    factors: dict[str, float],
    known: dict[tuple[str, str, str], str],
    catalogue: Catalogue,
    raw: Raw,
) -> Iterator[Record]:
    for line, row, value in figures:
        series = known.get((row["COUNTRY"], row["INDICATOR"], row["COUNTERPART_COUNTRY"]))
        if series is None or row["FREQUENCY"] != "M" or value is None:
            continue
        if row.get("UNIT", "").upper() not in ("", "USD", "US DOLLAR", "US DOLLARS"):
            raise answers.wrong(raw, f"line {line} is in {shown(row['UNIT'])}, expected USD")
        factor, unit = answers.money("usd", catalogue[series])
        dollars = value * factors[_scale(row)]
        if dollars > _MOST:
            raise answers.wrong(raw, f"line {line} holds {dollars:.3g} dollars, more than any two countries trade")
        day = answers.day_of(row.get("UPDATE_DATE"))
        month = _month(row["TIME_PERIOD"], line, raw)
        yield Record(series, month, dollars * factor, unit, "latest", day, "printed" if day else "seen")


def _month(text: str, line: int, raw: Raw) -> pd.Period:
    found = re.fullmatch(r"(\d{4})-?M?(\d{2})", text)
    month = answers.month_of(int(found[1]), int(found[2])) if found else None
    if month is None:
        raise answers.wrong(raw, f"line {line} is of {shown(text)}, expected a month as 2026-M08")
    return month


def _scale(row: dict[str, str]) -> str:
    return row.get("SCALE", "").casefold()


def _factors(values: list[tuple[dict[str, str], float]], raw: Raw) -> dict[str, float]:
    """How many dollars one is, by what SCALE says.

    The service sends plain dollars. Where SCALE names millions all the same, figures that cannot be millions are
    dollars, and smaller ones are refused, because they may be either.
    """
    factors = dict.fromkeys(_PLAIN_SCALES, 1.0)
    for scale in {_scale(row) for row, _ in values} - set(_PLAIN_SCALES):
        largest = max(value for row, value in values if _scale(row) == scale)
        if scale not in ("6", "million", "millions") or largest * 1e6 <= _MOST:
            raise answers.wrong(
                raw, f"SCALE says {shown(scale)} and the largest figure is {largest:g}, expected plain dollars",
                "fetch the series through the service, not from a file saved in millions",
            )  # fmt: skip
        factors[scale] = 1.0
    return factors


SOURCE = ImfImts()

"""UN Comtrade: monthly trade of any reporter by partner and HS code, in US dollars.

Without a key the preview answers one month per request, at most 500 rows; with one (free, COMTRADE_KEY) twelve months.
A row counts once only where partner2Code is 0, customsCode C00 and motCode 0. A month that is not there has no row, and
an unknown quantity is written as 0: neither is a zero. Which side reports is decided by the id of the series: ``jp_ru``
is Japan's report, ``ru_jp`` the mirror. Values are ``primaryValue``: imports CIF and exports FOB for most reporters.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

import pandas as pd

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError, SourceError
from forecasting.sources import answers
from forecasting.sources.answers import Record
from forecasting.sources.base import Address, Ask, Flow, Raw, Reading
from forecasting.sources.countries import WORLD, comtrade_code
from forecasting.sources.wording import counted, shown, some
from forecasting.units import conversion

_PREVIEW = "https://comtradeapi.un.org/public/v1/preview/C/M/HS"
_KEYED = "https://comtradeapi.un.org/data/v1/get/C/M/HS"
_EXPECTED = "rows of UN Comtrade as JSON"
# A thousand rows are a megabyte: with a key 100,000 would come.
_MOST_ROWS = {_PREVIEW: 500, _KEYED: 25_000}
_MOST_PERIODS = {_PREVIEW: 1, _KEYED: 12}
_MOST_CODES = 60  # an address has to stay below 2,048 characters
_FIRST = pd.Period("2010-01", "M")  # monthly data of most reporters begin there
_FLOW_CODES = {"exports": "X", "imports": "M"}
_TOTAL = "TOTAL"
_HS = re.compile(r"\d{2}|\d{4}|\d{6}")
# Comtrade's codes of units (World Customs Organization), as forecasting.units says them; others are not converted.
_UNITS = {5: "units", 7: "litres", 8: "kg", 9: "thousand_units", 12: "kl"}
_ABBREVIATIONS = {"u": 5, "l": 7, "kg": 8, "1000u": 9, "m³": 12, "m3": 12}

Key = tuple[int, int, str, str]  # reporter, partner, flow, commodity


@dataclass(frozen=True)
class Comtrade:
    """UN Comtrade; the key is optional and only makes it faster."""

    name: str = "comtrade"
    title: str = "International merchandise trade by partner and HS code"
    publisher: str = "United Nations Statistics Division"
    licence: str = "UN Comtrade terms: reuse with attribution; no redistribution of bulk data"
    attribution: str = "Source: UN Comtrade (United Nations Statistics Division)"
    key: str = "COMTRADE_KEY"
    key_optional: bool = True
    hosts: tuple[str, ...] = ("comtradeapi.un.org",)
    declares: tuple[Series, ...] = ()

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        return tuple(one.id for entries in _series(catalogue).values() for one in entries)

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        base = _KEYED if ask.key else _PREVIEW
        headers = {"Ocp-Apim-Subscription-Key": ask.key} if ask.key else {}
        wanted = [
            key for key, entries in _series(ask.catalogue).items() if {one.id for one in entries} & set(ask.series)
        ]
        months = pd.period_range(max(ask.since or _FIRST, _FIRST), ask.until, freq="M")[::-1]
        for periods in _batched([one.strftime("%Y%m") for one in months], _MOST_PERIODS[base]):
            for reporter in sorted({key[0] for key in wanted}):
                keys = [key for key in wanted if key[0] == reporter]
                for query in _queries(keys, _MOST_ROWS[base] // len(periods)):
                    url = f"{base}?{urlencode({**query, 'period': ','.join(periods)}, safe=',')}"
                    raw = yield Address(url, _EXPECTED, headers)
                    if raw is not None:
                        _rows(raw)  # an answer cut short or refused ends the update here, not after the last month

    def recognises(self, raw: Raw) -> bool:
        shapes = (("elapsedTime", "data"), ("reporterCode", "cmdCode"), ("statusCode", "message"))
        return any(answers.looks_like_json(raw, *words) for words in shapes)

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        known = _series(catalogue)
        records: list[Record] = []
        unmeasured: dict[str, str] = {}
        rows = [(at, row) for at, row in enumerate(_rows(raw), start=1) if _counts_once(row, at, raw)]
        _refuse_twice(rows, raw)
        for at, row in rows:
            for entry in known.get(_key(row, at, raw), ()):
                made, trouble = _record(entry, row, at, raw)
                records += [made] if made else []
                if trouble:
                    unmeasured[entry.id] = trouble
        remarks = [
            f"Comtrade has no quantity of {one} in {unit}: left out." for one, unit in sorted(unmeasured.items())
        ]
        if rows and not records:
            strangers = list(dict.fromkeys(_named(row) for _, row in rows))
            remarks.append(
                f"{counted(len(rows), 'row')}, none of a series in the catalogue (reporter,"
                f" flow, partner and commodity {some(strangers)})."
            )
        return answers.reading(records, raw, self.name, remarks)


# --- What is asked for -------------------------------------------------------------------------------------


def _series(catalogue: Catalogue) -> dict[Key, tuple[Series, ...]]:
    """What Comtrade calls each series of the catalogue that it can fill: value and quantity stand in the same row."""
    found: dict[Key, tuple[Series, ...]] = {}
    for entry in catalogue.entries:
        flow = Flow.of(entry)
        if flow is None or flow.reporter == WORLD or (flow.total and flow.measure != "value"):
            continue
        reporter, partner = comtrade_code(flow.reporter), comtrade_code(flow.partner)
        code = _TOTAL if flow.total else flow.hs_code
        if reporter is None or partner is None or not (flow.total or _HS.fullmatch(code)):
            continue
        key = (reporter, partner, _FLOW_CODES[flow.flow], code)
        found[key] = (*found.get(key, ()), entry)
    return found


def _queries(keys: list[Key], most_rows: int) -> Iterator[dict[str, object]]:
    """Requests of one reporter that together bring these keys, none with more rows than may come."""
    partners = sorted({key[1] for key in keys})
    flows = sorted({key[2] for key in keys})
    codes = sorted({key[3] for key in keys})
    for some_codes in _batched(codes, min(_MOST_CODES, most_rows // 2)):
        for some_partners in _batched(partners, max(1, (most_rows - 1) // (len(flows) * len(some_codes)))):
            yield {
                "reportercode": keys[0][0],  # in lower case, as the UN's own client writes it
                "partnerCode": ",".join(map(str, some_partners)),
                "flowCode": ",".join(flows),
                "cmdCode": ",".join(some_codes),
                "partner2Code": 0,
                "customsCode": "C00",
                "motCode": 0,
                "includeDesc": "false",
            }


def _batched(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    rest = iter(items)
    while batch := list(itertools.islice(rest, size)):
        yield batch


# --- What came ---------------------------------------------------------------------------------------------


def _named(row: dict[str, Any]) -> str:
    """A row as it says whose it is."""
    said = [str(row.get(name)) for name in ("reporterCode", "flowCode", "partnerCode", "cmdCode")]
    return shown(" ".join(said))


def _rows(raw: Raw) -> list[dict[str, Any]]:
    """The rows of the answer; SourceError where it is a refusal, DataError where it is cut short."""
    answer = answers.json_of(raw, _EXPECTED)
    refusal = answer.get("error") or (answer.get("message") if "data" not in answer else "")
    if refusal or "statusCode" in answer:
        do = "wait, or set COMTRADE_KEY (free)" if answer.get("statusCode") == 429 else "see the address in a browser"
        raise SourceError(f"{answers.wrong(raw, f'Comtrade refuses: {shown(refusal)}', do)}")
    rows = answers.listed(answers.branch(answer, raw, "data"), raw, "data")
    if raw.address.startswith(_PREVIEW) and len(rows) >= _MOST_ROWS[_PREVIEW]:
        do = "ask for fewer series, or set COMTRADE_KEY"
        raise answers.wrong(raw, f"{len(rows)} rows, which is where the preview stops", do)
    return rows


def _counts_once(row: dict[str, Any], at: int, raw: Raw) -> bool:
    """Whether the row is a whole flow in the HS, not one of its parts by transport, procedure or second partner."""
    if row.get("freqCode", "M") != "M":
        raise answers.wrong(raw, f"row {at} is not monthly", "ask for freqCode M")
    whole = all(str(row.get(name) or 0) == "0" for name in ("partner2Code", "motCode", "mosCode"))
    goods = row.get("typeCode", "C") == "C" and str(row.get("classificationCode") or "H").startswith("H")
    return whole and goods and (row.get("customsCode") or "C00") == "C00"


def _refuse_twice(rows: list[tuple[int, dict[str, Any]]], raw: Raw) -> None:
    seen: dict[tuple[object, ...], dict[str, Any]] = {}
    for at, row in rows:
        other = seen.setdefault((str(row.get("period")), *_key(row, at, raw)), row)
        if any(other.get(name) != row.get(name) for name in ("primaryValue", "qty", "netWgt")):
            twice = f"{shown(row.get('cmdCode'))} of {shown(row.get('period'))}"
            raise answers.wrong(raw, f"row {at} repeats {twice} with other figures")


def _key(row: dict[str, Any], at: int, raw: Raw) -> Key:
    codes = [row.get("reporterCode"), row.get("partnerCode")]
    if any(isinstance(code, bool) or not re.fullmatch(r"\d{1,4}", str(code)) for code in codes):
        raise answers.wrong(raw, f"row {at} names no reporter or partner by number")
    return int(str(codes[0])), int(str(codes[1])), str(row.get("flowCode")), str(row.get("cmdCode"))


def _record(entry: Series, row: dict[str, Any], at: int, raw: Raw) -> tuple[Record | None, str]:
    """The row as a value of this series; the unit that is lacking, where its quantity is in another kind of unit."""
    found = re.fullmatch(r"(\d{4})(\d{2})", str(row.get("period")))
    month = answers.month_of(int(found[1]), int(found[2])) if found else None
    if month is None:
        raise answers.wrong(raw, f"row {at} is of {shown(row.get('period'))}, expected a month as 202608")
    if entry.id.endswith(".value"):
        amount = answers.figure(row.get("primaryValue"), raw, f"row {at}, primaryValue,")
        factor, unit = answers.money("usd", entry)
        return (None if amount is None else Record(entry.id, month, amount * factor, unit, "latest")), ""
    measured = list(_quantities(row, at, raw))
    for amount, given, estimated in measured:
        try:
            factor = conversion(given, entry.unit)
        except DataError:
            continue
        return Record(entry.id, month, amount * factor, entry.unit, "provisional" if estimated else "latest"), ""
    return None, entry.unit if measured else ""


def _quantities(row: dict[str, Any], at: int, raw: Raw) -> Iterator[tuple[float, str, bool]]:
    """Amount, unit and whether it is an estimate: the quantity, the other quantity, the net weight."""
    value = answers.figure(row.get("primaryValue"), raw, f"row {at}, primaryValue,")
    for name, prefix, flag in (("qty", "qty", "isQtyEstimated"), ("altQty", "altQty", "isAltQtyEstimated")):
        unit = _unit(row.get(f"{prefix}UnitCode"), row.get(f"{prefix}UnitAbbr"), at, raw)
        amount = answers.figure(row.get(name), raw, f"row {at}, {name},")
        if unit and amount is not None and not (amount == 0 and value):
            yield amount, unit, row.get(flag) is True
    weight = answers.figure(row.get("netWgt"), raw, f"row {at}, netWgt,")
    if weight is not None and not (weight == 0 and value):
        yield weight, "kg", row.get("isNetWgtEstimated") is True


def _unit(code: object, abbreviation: object, at: int, raw: Raw) -> str:
    """The unit in words of forecasting.units; empty where it is none of them; DataError where code and name differ."""
    number = int(str(code)) if re.fullmatch(r"[0-9]{1,3}", str(code)) else 0
    said = str(abbreviation or "").replace(" ", "").casefold()
    if number in _UNITS and said and _ABBREVIATIONS.get(said, 0) != number:
        raise answers.wrong(raw, f"row {at} calls unit {number} {shown(abbreviation)}, expected {_UNITS[number]}")
    return _UNITS.get(number, "")


SOURCE = Comtrade()

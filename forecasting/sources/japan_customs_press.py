"""Japan's monthly press release as XML: the first figures of a month, in million yen, with the day they came out."""

from __future__ import annotations

import calendar
import re
import xml.etree.ElementTree as ET
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from datetime import date

import pandas as pd

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.sources.base import Address, Ask, Raw, Reading
from forecasting.sources.japan_customs import (
    AREAS,
    ATTRIBUTION,
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

NAME = "japan_customs_press"
HOST = "www.customs.go.jp"
FOLDER = f"https://{HOST}/toukei/shinbun/trade-st_e"
EXPECTED = "a monthly press release as XML (hodoxml)"
# Before this month the monthly files are there with gaps only; --since asks for them all the same.
REGULAR = pd.Period("2024-05", freq="M")
MOST_BYTES = 20_000_000
# 4: everything provisional, on the 20th of the next month; 5: exports detailed, imports by nine digits, at its end.
STAGES = {"4": ("provisional", "provisional"), "5": ("detailed", "nine_digit")}

# Names of commodities to codes, read off the order of the pages and of the header rows of d51ma.csv and d61ma.csv.
# The same name has another code in the other direction.
GOODS = {
    "exports": {
        "GRAND TOTAL": TOTAL, "FOODSTUFF": "0+1", "RAW MATERIALS": "2+4", "MINERAL FUELS": "3", "CHEMICALS": "5",
        "ORGANIC CHEMICALS": "50101", "MEDICAL PRODUCTS": "507", "PLASTIC MATERIALS": "515", "MANUFACTURED GOODS": "6",
        "IRON AND STEEL PRODUCTS": "611", "NONFERROUS METALS": "613", "MANUFACTURES OF METALS": "615",
        "TEXTILE YARN, FABRICS": "607", "NON-METALLIC MINERAL WARE": "609", "RUBBER MANUFACTURED": "603",
        "PAPER & PAPER MANUFACTURES": "606", "MACHINERY": "701", "POWER GENERATING MACHINE": "70101",
        "COMPUTERS AND UNITS": "7010505", "PARTS OF COMPUTER": "7010507", "SEMICON MACHINERY ETC": "70131",
        "METALWORKING MACHINERY": "70107", "PUMP AND CENTRIFUGES": "70125", "CONSTRUCTION MACHINES": "70119",
        "MECHANICAL HANDLING EQUIP": "70127", "HEATING OR COOLING MACHINE": "70123", "TEXTILE MACHINES": "70109",
        "BALL OR ROLLER BEARINGS": "70129", "ELECTRICAL MACHINERY": "703", "SEMICONDUCTORS ETC": "70323",
        "(IC)": "7032305", "AUDIO & VISUAL APPARATUS": "70309+70311", "(VIDEO REC OR REPRO APP)": "7030903",
        "(TV RECEIVER)": "7030901", "PARTS OF AUDIO, VISUAL APP.": "70313", "ELECTRICAL POWER MACHINERY": "70301",
        "TELEPHONY, TELEGRAPHY": "70315", "ELECTRICAL MEASURING": "70327", "ELECTRICAL APPARATUS": "70303",
        "BATTERIES AND ACCUMULATORS": "70319", "TRANSPORT EQUIPMENT": "705", "MOTOR VEHICLES": "70503",
        "(CAR)": "7050301", "(BUS&TRUCK)": "7050303", "PARTS OF MOTOR VEHICLES": "70505",
        "MOTORCYCLES, AUTOCYCLES": "7050701", "AIRCRAFT": "70511", "SHIPS": "7051301", "OTHERS": "8+9",
        "SCIENTIFIC, OPTICAL INST": "81101", "PHOTOGRAPHIC SUPPLIES": "81301",
    },
    "imports": {
        "GRAND TOTAL": TOTAL, "FOODSTUFF": "0+1", "FISH AND FISH PREPARATION": "007",
        "MEAT AND MEAT PREPARATION": "003", "CEREALS, CEREAL PREPARATION": "009", "VEGETABLES": "01103",
        "FRUITS": "01101", "RAW MATERIALS": "2+4", "WOOD": "20701", "ORE OF NONFERROUS": "21505",
        "IRON ORE AND CONCENTRATES": "21501", "SOY BEANS": "20307", "MINERAL FUELS": "3", "PETROLEUM": "30301",
        "PETROLEUM PRODUCTS": "30303", "(PETROLEUM SPIRITS)": "3030301", "LNG": "3050103", "LPG": "3050101",
        "COAL": "30101", "(COAL N.E.S)": "3010105", "CHEMICALS": "5", "ORGANIC CHEMICALS": "50101",
        "MEDICAL PRODUCTS": "507", "MANUFACTURED GOODS": "6", "IRON AND STEEL PRODUCTS": "613",
        "NONFERROUS METALS": "615", "MANUFACTURES OF METALS": "617", "TEXTILE YARN, FABRICS": "609",
        "NON-METALLIC MINERAL WARE": "611", "WOOD & CORK MANUFACTURED": "605", "MACHINERY": "701",
        "POWER GENERATING MACHINE": "70101", "COMPUTERS AND UNITS": "7010505", "PARTS OF COMPUTER": "7010507",
        "ELECTRICAL MACHINERY": "703", "SEMICONDUCTORS ETC": "70311", "(IC)": "7031103",
        "INSULATED WIRE AND CABLE": "70304", "AUDIO AND VISUAL APPARATUS": "70305",
        "ELECTRICAL POWER MACHINERY": "70301", "TELEPHONY, TELEGRAPHY": "70307", "(TELEPHONE SETS)": "7030703",
        "ELECTRICAL MEASURING": "70313", "TRANSPORT EQUIPMENT": "705", "MOTOR VEHICLES": "70501",
        "PARTS OF MOTOR VEHICLES": "70503", "AIRCRAFT": "70505", "OTHERS": "8+9", "SCIENTIFIC, OPTICAL INST": "81101",
        "CLOTHING AND ACCESSORIES": "807", "FURNITURE": "803", "BAGS": "805",
    },
}  # fmt: skip


@dataclass(frozen=True)
class _Source:
    name: str = NAME
    title: str = "Japan's monthly press release: first figures of a month, all goods by country, commodities for some"
    publisher: str = PUBLISHER
    licence: str = LICENCE
    attribution: str = ATTRIBUTION
    key: str = ""
    hosts: tuple[str, ...] = (HOST,)

    def offers(self, catalogue: Catalogue) -> tuple[str, ...]:
        printed = {flow: {codes(code) for code in some.values()} for flow, some in GOODS.items()}
        areas = set(AREAS.values())
        mine = [one for one in wanted(catalogue) if one.flow.partner in areas]
        return tuple(one.entry.id for one in mine if one.flow.total or one.pc in printed[one.flow.flow])

    def steps(self, ask: Ask) -> Generator[Address, Raw | None, None]:
        first = ask.since if ask.since is not None else REGULAR
        for month in pd.period_range(first, ask.until, freq="M"):
            for stage in STAGES:
                name = f"{month.year}{month.month:02d}{stage}e.xml"
                raw = yield Address(f"{FOLDER}/{month.year}/{name}", EXPECTED, optional=True)
                if raw is not None:
                    refuse_page(raw, EXPECTED)

    def recognises(self, raw: Raw) -> bool:
        return b"<hodoxml" in raw.content[:1000]

    def parse(self, raw: Raw, catalogue: Catalogue) -> Reading:
        refuse_page(raw, EXPECTED)
        root = _tree(raw)
        release = _Release.of(root, raw.address)
        if release is None:
            return Reading(Rows(NAME, raw.digest).table(), (f"{raw.address}: part of a month only, not read.",))
        asked = _Asked(wanted(catalogue))
        made = Rows(NAME, raw.digest)
        found: dict[str, float] = {}
        for flow, partner, goods, kagaku, suryo, tani, where in _cells(root, release, raw.address):
            for one in asked.of(partner, flow, goods):
                value = _value(one, kagaku, suryo, tani, where)
                if value is not None and found.setdefault(one.entry.id, value) != value:
                    raise DataError(
                        f"{where}: expected {found[one.entry.id]:g} {one.entry.unit} of {one.entry.id} as before,"
                        f" found {value:g}: the file contradicts itself; fetch it again."
                    )
        for id_, value in found.items():
            stage = release.stages[catalogue[id_].id.split(".")[1]]
            made.add(catalogue[id_], release.month, value, stage, release.published, release.dated)
        return Reading(made.table(), _missing(asked, found, root, release, raw.address))


SOURCE = _Source()


@dataclass(frozen=True)
class _Release:
    """What the first page says: the month, the day it came out, and the stage of each direction."""

    month: pd.Period
    published: date
    dated: str
    stages: dict[str, str]

    @classmethod
    def of(cls, root: ET.Element, where: str) -> _Release | None:
        """None for the first ten or twenty days of a month; DataError where month or stage cannot be told."""
        page = root.find("sogakutsuki")
        title = _text(page, "title")
        if re.search(r"first\s+\d+\s+days", title, re.I):
            return None
        month, stages = _month(_text(page, "taishoymtonen")), _stages(title)
        if month is None or stages is None:
            raise DataError(
                f"{where}: expected an English release with a month such as July 2025 and its stage, found"
                f" {shown(title, 80)}: take the file whose name ends in e.xml."
            )
        day = _day(_text(page, "kohyoymd"))
        if day is not None and day > month.end_time.date():
            return cls(month, day, "printed", stages)
        following = month + 1
        ruled = date(
            following.year, following.month, 20 if stages["exports"] == "provisional" else following.days_in_month
        )
        return cls(month, ruled, "rule", stages)


def _tree(raw: Raw) -> ET.Element:
    """The parsed file. Without a document type no entity can be declared, so that none can expand or reach outside."""
    if len(raw.content) > MOST_BYTES:
        raise DataError(f"{raw.address}: expected {EXPECTED}, found {len(raw.content):,} bytes: it is something else.")
    try:
        text = raw.content.decode("utf-8-sig")
        if "<!DOCTYPE" in text or "<!ENTITY" in text:
            raise DataError(f"{raw.address}: expected {EXPECTED} without a document type, found one: it is not read.")
        root = ET.fromstring(text)
    except (UnicodeDecodeError, ET.ParseError, ValueError) as error:
        raise DataError(
            f"{raw.address}: expected {EXPECTED}, found text that breaks off or is none ({type(error).__name__}):"
            " fetch it again."
        ) from None
    if root.tag != "hodoxml":
        raise DataError(f"{raw.address}: expected {EXPECTED}, found {shown(root.tag)}: is it another file?")
    return root


def _cells(root: ET.Element, release: _Release, where: str) -> Iterator[tuple[str, str, str, str, str, str, str]]:
    """Flow, partner, name of the goods, value, quantity and unit as printed, and where: totals first, then pages."""
    for info in root.findall("chiikikunisogaku/chiikikunisogakuinfo"):
        area = " ".join(_text(info, "chiikikuni").split())
        partner = "world" if area == "Grand Total" else AREAS.get(area.upper(), "")
        for flow, tag in (("exports", "exportkagakue"), ("imports", "importkagakue")):
            if partner:
                yield flow, partner, "GRAND TOTAL", _text(info, tag), "", "", f"{where}, {flow} of {area}"
    for page in root.findall("shuyochiikikunihin"):
        flow, partner = _page(_text(page, "title"))
        if not partner or _month(_text(page, "taishokikan")) != release.month:
            continue
        for info in page.findall("shuyochiikikunihininfo"):
            name = re.sub(r"^\d\s+", "", " ".join(_text(info, "shuyoshohin").split())).upper()
            kagaku, suryo, tani = (_text(info, tag) for tag in ("kagaku", "suryo", "tani"))
            yield flow, partner, name, kagaku, suryo, tani, f"{where}, {flow} {partner}, {shown(name)}"


def _page(title: str) -> tuple[str, str]:
    """``Imports by Principal Commodity by Area(Country)(RUSSIA)`` → ("imports", "ru"); the number of a page moves."""
    found = re.fullmatch(r"\s*(Exports|Imports) by Principal Commodity.*\(([^()]*)\)\s*", title)
    return (found[1].lower(), AREAS.get(" ".join(found[2].split()).upper(), "")) if found else ("", "")


class _Asked:
    """Series by partner, direction and goods."""

    def __init__(self, series: tuple[Wanted, ...]) -> None:
        self.series = series
        self._by: dict[tuple[str, str, frozenset[str]], list[Wanted]] = {}
        for one in series:
            goods = frozenset((TOTAL,)) if one.flow.total else frozenset(one.pc)
            self._by.setdefault((one.flow.partner, one.flow.flow, goods), []).append(one)

    def of(self, partner: str, flow: str, name: str) -> list[Wanted]:
        """Those that a row is about."""
        code = GOODS[flow].get(name, "")
        return self._by.get((partner, flow, frozenset(codes(code))), []) if code else []


def _value(one: Wanted, kagaku: str, suryo: str, tani: str, where: str) -> float | None:
    """A dash is nothing traded, 0 less than one unit, an empty cell no figure."""
    cell = kagaku if one.flow.measure == "value" else suryo
    if not cell.strip():
        return None
    figure = number(cell, where) or 0.0
    if one.flow.measure == "value":
        return figure * in_unit("mn_jpy", one.entry, where)
    return figure * factor(tani, one.entry, where)


def _missing(
    asked: _Asked, found: dict[str, float], root: ET.Element, release: _Release, where: str
) -> tuple[str, ...]:
    """Series that a page of this release should have held: a name may have changed."""
    pages = {_page(_text(page, "title")) for page in root.findall("shuyochiikikunihin")}
    printed = {(flow, frozenset(codes(code))) for flow, some in GOODS.items() for code in some.values()}
    gone = [
        one.entry.id
        for one in asked.series
        if one.flow.measure == "value"
        and (one.flow.flow, one.flow.partner) in pages
        and (one.flow.flow, frozenset(one.pc)) in printed
        and one.entry.id not in found
    ]
    said = f"{where}: no row for {', '.join(gone[:5])}{' …' if len(gone) > 5 else ''}: a name may have changed."
    return (said,) if gone else ()


def _text(of: ET.Element | None, tag: str) -> str:
    return (of.findtext(tag) or "") if of is not None else ""


def _month(text: str) -> pd.Period | None:
    """``July 2025``."""
    found = re.fullmatch(r"\s*([A-Z][a-z]+)\s+((?:19|20)\d\d)\s*", text)
    names = list(calendar.month_name)
    if not found or found[1] not in names:
        return None
    return pd.Period(year=int(found[2]), month=names.index(found[1]), freq="M")


def _day(text: str) -> date | None:
    """``August 20, 2025``."""
    found = re.fullmatch(r"\s*([A-Z][a-z]+)\s+(\d{1,2}),\s*((?:19|20)\d\d)\s*", text)
    month = _month(f"{found[1]} {found[3]}") if found else None
    if not found or month is None or not 1 <= int(found[2]) <= month.days_in_month:
        return None
    return date(month.year, month.month, int(found[2]))


def _stages(title: str) -> dict[str, str] | None:
    """``(Provisional)``, or ``(Exports:Detailed Data;Imports:Provisional(HS-code Basis))``; None for anything else."""
    told = title.lower().replace(" ", "")
    for words, (exports, imports) in (("exports:detailed", STAGES["5"]), ("(provisional)", STAGES["4"])):
        if words in told:
            return {"exports": exports, "imports": "detailed" if "imports:detailed" in told else imports}
    return None

"""What the readers of Japan's customs statistics share: codes of countries and goods, cells, units, records."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import pandas as pd

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.sources.base import RECORD_COLUMNS, Flow, Raw
from forecasting.units import conversion

PUBLISHER = "Ministry of Finance Japan"
LICENCE = "Government of Japan Standard Terms of Use (compatible with CC BY 4.0)"
ATTRIBUTION = "Source: Trade Statistics of Japan, Ministry of Finance; processed."
REPORTER = "jp"

# ISO 3166 alpha-2: the publisher's number of the country (https://www.customs.go.jp/toukei/sankou/code/country_e.htm).
# A country that is not here: add it with the number of that page.
COUNTRIES = {
    "kr": "103", "kp": "104", "cn": "105", "tw": "106", "mn": "107", "hk": "108", "vn": "110", "th": "111", "sg": "112",
    "my": "113", "bn": "116", "ph": "117", "id": "118", "kh": "120", "la": "121", "mm": "122", "in": "123", "pk": "124",
    "lk": "125", "mv": "126", "bd": "127", "tl": "128", "mo": "129", "af": "130", "np": "131", "bt": "132", "ir": "133",
    "iq": "134", "bh": "135", "sa": "137", "kw": "138", "qa": "140", "om": "141", "il": "143", "jo": "144", "sy": "145",
    "lb": "146", "ae": "147", "ye": "149", "az": "150", "am": "151", "uz": "152", "kz": "153", "kg": "154", "tj": "155",
    "tm": "156", "ge": "157", "is": "201", "no": "202", "se": "203", "dk": "204", "gb": "205", "ie": "206", "nl": "207",
    "be": "208", "lu": "209", "fr": "210", "de": "213", "ch": "215", "pt": "217", "es": "218", "it": "220", "mt": "221",
    "fi": "222", "pl": "223", "ru": "224", "at": "225", "hu": "227", "rs": "228", "al": "229", "gr": "230", "ro": "231",
    "bg": "232", "cy": "233", "tr": "234", "ee": "235", "lv": "236", "lt": "237", "ua": "238", "by": "239", "md": "240",
    "hr": "241", "si": "242", "ba": "243", "mk": "244", "cz": "245", "sk": "246", "me": "247", "ca": "302", "us": "304",
    "mx": "305", "gt": "306", "cr": "311", "pa": "312", "jm": "316", "cu": "321", "do": "323", "co": "401", "ve": "402",
    "ec": "406", "pe": "407", "bo": "408", "cl": "409", "br": "410", "py": "411", "uy": "412", "ar": "413", "ma": "501",
    "dz": "503", "tn": "504", "ly": "505", "eg": "506", "ci": "516", "gh": "517", "ng": "524", "ao": "535", "et": "538",
    "ke": "541", "tz": "543", "mz": "545", "zw": "549", "za": "551", "zm": "554", "au": "601", "pg": "602", "nz": "606",
}  # fmt: skip

# Units as the publisher writes them, in words of forecasting.units. Others are refused by name.
UNITS = {
    "NO": "units", "TNO": "thousand_units", "MNO": "mn_units", "KG": "kg", "MT": "tonnes", "TMT": "kilotonnes",
    "L": "litres", "KL": "kl", "TKL": "megalitres",
}  # fmt: skip

# Principal-commodity codes that the catalogue leaves empty: read in the header rows of d51ma.csv and d61ma.csv.
KNOWN_CODES = {
    ("exports", "chemicals"): "5", ("exports", "chemicals.medical"): "507", ("exports", "chemicals.plastics"): "515",
    ("imports", "food"): "0+1",
}  # fmt: skip

# Areas as the press release and the headings of the time series write them; the world is a partner too.
AREAS = {
    "WORLD": "world", "USA": "us", "CANADA": "ca", "CHINA": "cn", "HG KONG": "hk", "TAIWAN": "tw", "R KOREA": "kr",
    "SNGAPOR": "sg", "THAILND": "th", "MALYSIA": "my", "INDNSIA": "id", "PHILPIN": "ph", "VIETNAM": "vn",
    "INDIA": "in", "AUSTRAL": "au", "NEWZELD": "nz", "BRAZIL": "br", "MEXICO": "mx", "CHILE": "cl", "GERMANY": "de",
    "U KING": "gb", "FRANCE": "fr", "NETHLDS": "nl", "ITALY": "it", "BELGIUM": "be", "SWITZLD": "ch", "SWEDEN": "se",
    "IRELAND": "ie", "SPAIN": "es", "RUSSIA": "ru", "U ARB E": "ae", "SU ARAB": "sa", "KUWAIT": "kw", "QATAR": "qa",
    "OMAN": "om", "IRAN": "ir", "S AFRCA": "za",
    "世界": "world", "アメリカ合衆国": "us", "アメリカ": "us", "米国": "us", "カナダ": "ca", "中国": "cn",
    "中華人民共和国": "cn", "香港": "hk", "台湾": "tw", "大韓民国": "kr", "韓国": "kr", "シンガポール": "sg",
    "タイ": "th", "マレーシア": "my", "インドネシア": "id", "フィリピン": "ph", "ベトナム": "vn",
    "インド": "in", "オーストラリア": "au", "ドイツ": "de", "英国": "gb", "フランス": "fr", "ロシア": "ru",
    "サウジアラビア": "sa", "アラブ首長国連邦": "ae",
}  # fmt: skip

TOTAL = "0~9"
_NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+|\d{1,18}")


@dataclass(frozen=True)
class Wanted:
    """One series of the catalogue that Japan's customs measures."""

    entry: Series
    flow: Flow

    @property
    def pc(self) -> tuple[str, ...]:
        """Principal-commodity codes that add up to it; empty where none is known or it is the total."""
        code = self.flow.pc_code or KNOWN_CODES.get((self.flow.flow, self.flow.commodity), "")
        return () if self.flow.total else codes(code)

    @property
    def hs(self) -> tuple[str, ...]:
        """Beginnings of the nine-digit codes that add up to it."""
        return () if self.flow.total else codes(self.flow.hs_code)


def wanted(catalogue: Catalogue) -> tuple[Wanted, ...]:
    """The stored series of which Japan is the reporter, with a partner whose number is known or the world.

    Quantities of all goods together are left out: they have no unit.
    """
    found = ((entry, Flow.of(entry)) for entry in catalogue.entries)
    mine = (Wanted(entry, flow) for entry, flow in found if flow is not None and flow.reporter == REPORTER)
    known = (one for one in mine if one.flow.partner in COUNTRIES or one.flow.partner == "world")
    return tuple(one for one in known if one.flow.measure == "value" or not one.flow.total)


def codes(text: str) -> tuple[str, ...]:
    """Single codes of ``'2'+'4'`` or ``2+4``; ``'0'～'9'``, all goods together, is TOTAL."""
    bare = re.sub(r"[\s'’‘\"]", "", text).translate(str.maketrans("～〜＋", "~~+"))
    return tuple(part for part in bare.split("+") if part)


def number(cell: str, *where: object) -> float | None:
    """A published figure; None for a dash or nothing; DataError for anything else, a negative figure included."""
    text = cell.strip().strip("'").strip()
    if text in ("", "-", "－", "***", "X"):
        return None
    if not _NUMBER.fullmatch(text):
        place = " ".join(str(one) for one in where)
        raise DataError(
            f"{place}: expected a number or a dash, found {shown(text)}: nothing was read; fetch the file again."
        )
    return float(text.replace(",", ""))


def shown(text: str, most: int = 40) -> str:
    """Foreign text on one line, cut short."""
    line = "".join(one if one.isprintable() else " " for one in text)
    return repr(" ".join(line.split())[:most])


def factor(unit: str, entry: Series, where: str) -> float:
    """How many of the series' unit one published unit is; DataError where they do not measure the same."""
    name = unit.strip().upper()
    if name not in UNITS:
        raise DataError(
            f"{where}: expected a unit that {entry.id} can be turned into ({entry.unit}), found {shown(unit)}:"
            " add it to UNITS in forecasting/sources/japan_customs.py, or mend the unit of the series."
        )
    return in_unit(UNITS[name], entry, where)


def in_unit(given: str, entry: Series, where: str) -> float:
    """conversion() that says where."""
    try:
        return conversion(given, entry.unit)
    except DataError:
        raise DataError(
            f"{where}: expected a unit that {entry.id} can be turned into ({entry.unit}), found {given}:"
            " mend the unit of the series in data/catalogue.csv."
        ) from None


def convertible(unit: str, entry: Series) -> bool:
    """Whether this published unit measures what the series measures."""
    try:
        factor(unit, entry, "")
    except DataError:
        return False
    return True


def page_title(content: bytes) -> str | None:
    """The title of a web page; None where the bytes are none."""
    head = content[:4096].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if not head.startswith((b"<!doctype html", b"<html", b"<head", b"<!--")):
        return None
    found = re.search(rb"<title[^>]*>(.*?)</title", content[:65536], re.S | re.I)
    return found[1].decode("utf-8", "replace").strip() if found else "without a title"


def refuse_page(raw: Raw, expected: str) -> None:
    """DataError where a web page came in place of a file."""
    title = page_title(raw.content)
    if title is not None:
        raise DataError(
            f"{raw.address}: expected {expected}, found the web page {shown(title)}: open the address in a browser;"
            " if the file has moved, download it by hand and run tradecast data ingest FILE."
        )


@dataclass
class Rows:
    """Records in the making: the constant columns of a file, and what was read from it."""

    source: str
    raw: str
    made: list[tuple[object, ...]] = field(default_factory=list)

    def add(
        self, entry: Series, month: pd.Period, value: float, stage: str, published: date | None, dated: str
    ) -> None:
        """One record in the unit of the series; its number is rounded to what the publisher can have meant."""
        made = (entry.id, month, float(f"{value:.12g}"), entry.unit, stage, float("nan"), self.source, published, dated)
        self.made.append((*made, self.raw))

    def table(self) -> pd.DataFrame:
        """RECORD_COLUMNS, sorted by series and month."""
        return records(self.made)


def records(rows: Iterable[tuple[object, ...]]) -> pd.DataFrame:
    """A table of RECORD_COLUMNS from plain rows, months as monthly periods."""
    table = pd.DataFrame(list(rows), columns=list(RECORD_COLUMNS))
    table["month"] = pd.PeriodIndex(table["month"], freq="M") if len(table) else pd.PeriodIndex([], freq="M")
    table = table.astype({"value": float, "std_error": float})
    return table.sort_values(["series", "month"], kind="stable", ignore_index=True)

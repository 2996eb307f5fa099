"""Answers of publishers as they send them, made from figures: faithful in layout, invented in all but a few numbers."""

from __future__ import annotations

import datetime as dt
import io
import json
import re
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from typing import Any

import openpyxl
from openpyxl.styles import Font

from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.sources.base import Raw, Reading

FETCHED = dt.datetime(2026, 11, 22, 3, 0, tzinfo=dt.UTC)


def raw(content: bytes | str, address: str = "https://example.org/answer") -> Raw:
    return Raw(content.encode() if isinstance(content, str) else content, address, FETCHED)


# --- e-Stat ------------------------------------------------------------------------------------------------


def estat_cells(
    code: str, area: str, year: int, months: Mapping[int, tuple[float | str, float | str]], unit: str = ""
) -> list[dict[str, str]]:
    """VALUE of one commodity, country and year: all twelve months, 0 where none is given; quantity and thousand yen."""
    place = {"@cat01": code, "@area": area, "@time": f"{year}000000"}
    cells = [{**place, "@cat02": "100", "$": unit or "　"}]
    for month in range(1, 13):
        quantity, value = months.get(month, (0, 0))
        cells.append({**place, "@cat02": str(110 + 20 * month), "$": str(quantity)})
        cells.append({**place, "@cat02": str(120 + 20 * month), "@unit": "千円", "$": str(value)})
    return cells


def estat_classes() -> list[dict[str, Any]]:
    names = [("100", "単位"), ("110", "合計_数量"), ("120", "合計_金額")]
    names += [(str(110 + 20 * month), f"{month}月_数量") for month in range(1, 13)]
    names += [(str(120 + 20 * month), f"{month}月_金額") for month in range(1, 13)]
    cat02 = [{"@code": code, "@name": name, "@level": "1"} for code, name in names]
    return [
        {"@id": "tab", "@name": "表章項目", "CLASS": {"@code": "1", "@name": "金額"}},
        {"@id": "cat02", "@name": "数量・金額", "CLASS": cat02},
    ]


def estat_json(
    cells: Sequence[dict[str, str]] | dict[str, str],
    *,
    table: str = "0003425295",
    flow: str = "輸出",
    span: str = "2021年～2025年",
    updated: str = "2025-09-30",
    asked: Iterable[str] | None = None,
    first: int = 1,
    next_key: int | None = None,
    note: str = "",
) -> bytes:
    """An answer of getStatsData."""
    named = {"NARROWING_COND": {"CODE_CAT01_SELECT": ",".join(asked)}} if asked is not None else {}
    count = 1 if isinstance(cells, dict) else len(cells)
    inside = {"TOTAL_NUMBER": count, "FROM_NUMBER": first, "TO_NUMBER": first + count - 1}
    about = {
        "@id": table,
        "STAT_NAME": {"@code": "00350300", "$": "貿易統計"},
        "STATISTICS_NAME": "普通貿易統計",
        "TITLE": {"@no": "1", "$": f"概況品別国別表　{flow}　{span}{note}"},
        "SURVEY_DATE": "202101-202512",
        "UPDATED_DATE": updated,
    }
    data = {
        "RESULT_INF": inside if next_key is None else {**inside, "NEXT_KEY": next_key},
        "TABLE_INF": about,
        "CLASS_INF": {"CLASS_OBJ": estat_classes()},
        "DATA_INF": {"NOTE": {"@char": "-", "$": "数値なし"}, "VALUE": cells},
    }
    result = {"STATUS": 0, "ERROR_MSG": "正常に終了しました。", "DATE": "2025-10-01T09:00:00.000+09:00"}
    body = {"RESULT": result, "PARAMETER": {"LANG": "J", "STATS_DATA_ID": table, **named}, "STATISTICAL_DATA": data}
    return json.dumps({"GET_STATS_DATA": body}, ensure_ascii=False).encode()


def estat_refusal(status: int, message: str, name: str = "GET_STATS_DATA") -> bytes:
    result = {"STATUS": status, "ERROR_MSG": message, "DATE": "2025-10-01T09:00:00.000+09:00"}
    return json.dumps({name: {"RESULT": result, "PARAMETER": {"LANG": "J"}}}, ensure_ascii=False).encode()


def estat_list(tables: Sequence[tuple[str, str, str]]) -> bytes:
    """An answer of getStatsList: number, direction and years of each table."""
    listed = [
        {
            "@id": number,
            "STATISTICS_NAME": "普通貿易統計",
            "TITLE": {"@no": "1", "$": f"概況品別国別表　{flow}　{years}"},
            "SURVEY_DATE": 0,
        }
        for number, flow, years in tables
    ]
    body = {"RESULT": {"STATUS": 0, "ERROR_MSG": ""}, "DATALIST_INF": {"NUMBER": len(listed), "TABLE_INF": listed}}
    return json.dumps({"GET_STATS_LIST": body}, ensure_ascii=False).encode()


# --- Comtrade ----------------------------------------------------------------------------------------------


def comtrade_row(**given: Any) -> dict[str, Any]:
    """One row of UN Comtrade, with all its columns; descriptions are null as includeDesc=false leaves them."""
    period = str(given.get("period", "202507"))
    row = {
        "typeCode": "C", "freqCode": "M", "refPeriodId": 20250701, "refYear": 2025, "refMonth": 7, "period": period,
        "reporterCode": 392, "reporterISO": None, "reporterDesc": None, "flowCode": "X", "flowDesc": None,
        "partnerCode": 643, "partnerISO": None, "partnerDesc": None, "partner2Code": 0, "partner2ISO": None,
        "partner2Desc": None, "classificationCode": "H6", "classificationSearchCode": "HS",
        "isOriginalClassification": True, "cmdCode": "TOTAL", "cmdDesc": None, "aggrLevel": 0, "isLeaf": False,
        "customsCode": "C00", "customsDesc": None, "mosCode": "0", "motCode": 0, "motDesc": None, "qtyUnitCode": -1,
        "qtyUnitAbbr": None, "qty": 0, "isQtyEstimated": False, "altQtyUnitCode": -1, "altQtyUnitAbbr": None,
        "altQty": 0, "isAltQtyEstimated": False, "netWgt": None, "isNetWgtEstimated": False, "grossWgt": 0,
        "isGrossWgtEstimated": False, "cifvalue": None, "fobvalue": 1000.0, "primaryValue": 1000.0,
        "legacyEstimationFlag": 0, "isReported": False, "isAggregate": True,
    }  # fmt: skip
    return {**row, **given}


def comtrade_json(rows: Sequence[dict[str, Any]]) -> bytes:
    return json.dumps({"elapsedTime": "0.13 secs", "count": len(rows), "data": list(rows), "error": ""}).encode()


# --- IMF, exchange rates -----------------------------------------------------------------------------------


def imf_csv(rows: Sequence[tuple[str, str, str, str, object]], **more: str) -> bytes:
    """SDMX-CSV: reporter, indicator, partner, month and dollars of each row; further columns with one content."""
    names = ["STRUCTURE", "STRUCTURE_ID", "ACTION", "COUNTRY", "INDICATOR", "COUNTERPART_COUNTRY", "FREQUENCY"]
    lines = [",".join([*names, "TIME_PERIOD", "OBS_VALUE", *more])]
    for country, indicator, partner, period, value in rows:
        frequency = "M" if "M" in period else "A"
        cells = ["dataflow", "IMF.STA:IMTS(1.0.0)", "I", country, indicator, partner, frequency, period, str(value)]
        lines.append(",".join([*cells, *more.values()]))
    return ("\n".join(lines) + "\n").encode()


def fred_csv(code: str, rows: Mapping[str, str], head: str = "observation_date") -> bytes:
    return "".join([f"{head},{code}\n", *(f"{month}-01,{cell}\n" for month, cell in rows.items())]).encode()


def ecb_csv(rows: Mapping[str, str], currency: str = "JPY") -> bytes:
    names = "KEY,FREQ,CURRENCY,CURRENCY_DENOM,EXR_TYPE,EXR_SUFFIX,TIME_PERIOD,OBS_VALUE,OBS_STATUS,UNIT_MULT,TITLE"
    key = f"EXR.M.{currency}.EUR.SP00.A,M,{currency},EUR,SP00,A"
    lines = [f'{key},{month},{cell},A,0,"Yen/Euro, average"' for month, cell in rows.items()]
    return ("\r\n".join([names, *lines]) + "\r\n").encode()


# --- Workbooks ---------------------------------------------------------------------------------------------


PINK_NAMES = {
    "Crude oil, average": "($/bbl)", "Crude oil, Brent ": "($/bbl)", "Coal, Australian": "($/mt)",
    "Coal, South African **": "($/mt)", "Natural gas, US": "($/mmbtu)", "Natural gas, Europe": "($/mmbtu)",
    "Liquefied natural gas, Japan": "($/mmbtu)", "Rice, Thai 5% ": "($/mt)",
}  # fmt: skip


def pink_sheet(
    rows: Mapping[str, Mapping[str, object]],
    units: Mapping[str, str] = PINK_NAMES,
    names: Mapping[str, str] | None = None,
) -> bytes:
    """The World Bank's workbook: months (1960M01) with some prices by name, the others … ."""
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.title = "Monthly Prices"
    sheet.append(["World Bank Commodity Price Data (The Pink Sheet)"])
    sheet.append(["monthly prices in nominal US dollars, 1960 to present"])
    sheet.append(["(monthly series are available only in nominal US dollars)"])
    sheet.append(["Updated on September 02, 2026"])
    sheet.append([None, *((names or {}).get(name, name) for name in units)])
    sheet.append([None, *units.values()])
    for month, prices in rows.items():
        sheet.append([month, *(prices.get(name.strip(" *"), "…") for name in units)])
    book.create_sheet("Monthly Indices").append(["World Bank Commodity Price Data"])
    book.create_sheet("Description").append(["recent two months' averages are estimates"])
    return _saved(book)


def jnto_workbook(
    years: Mapping[int, Mapping[str, Sequence[object]]], estimates: Iterable[tuple[int, int]] = ()
) -> bytes:
    """JNTO's workbook: by year and nationality the months from January; estimates are (year, month) in italics."""
    italic = set(estimates)
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for year, rows in sorted(years.items(), reverse=True):
        sheet = book.create_sheet(str(year))
        lead = 2 if year >= 2020 else 1
        sheet.append([f"{year}年 訪日外客数（総数）"])
        sheet.append([])
        sheet.append(["（単位：人）"])
        head = [word for month in range(1, 13) for word in (f"{month}月", "伸率")]
        sheet.append([*[None] * lead, *head, "累計", "伸率"])
        for name, months in rows.items():
            indented = [None, f"　{name}"] if lead == 2 and name == "イスラエル" else [name, *[None] * (lead - 1)]
            cells = [cell for value in months for cell in (value, 12.3)]
            sheet.append([*indented, *cells])
            for month in range(1, len(months) + 1):
                if (year, month) in italic:
                    sheet.cell(sheet.max_row, lead + 2 * month - 1).font = Font(italic=True)
        sheet.append(["注1：本資料を転載する際には、出典名「日本政府観光局(JNTO)」を明示"])
    return _saved(book)


def _saved(book: openpyxl.Workbook) -> bytes:
    """The workbook as Excel writes it: texts in a table of their own, with readings beside Chinese characters."""
    made = io.BytesIO()
    book.save(made)
    texts: list[str] = []

    def shared(found: re.Match[str]) -> str:
        texts.append(found[2])
        return f'{found[1]} t="s"><v>{len(texts) - 1}</v></c>'

    inline = re.compile(r'(<c [^>]*?) t="inlineStr"><is>(<t.*?</t>)</is></c>')
    sheets = [f"xl/worksheets/sheet{number}.xml" for number in range(1, len(book.worksheets) + 1)]
    content = repacked(made.getvalue(), dict.fromkeys(sheets, lambda text: inline.sub(shared, text)))
    reading = '<t>韓国</t><rPh sb="0" eb="2"><t>カンコク</t></rPh>'
    items = "".join(f"<si>{text.replace('<t>韓国</t>', reading)}</si>" for text in texts)
    main = "http://schemas.openxmlformats.org/spreadsheetml/2006/main"
    link = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/sharedStrings"
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sharedStrings+xml"
    link = f'<Relationship Type="{link}" Target="/xl/sharedStrings.xml" Id="rId99" /></Relationships>'
    kind = f'<Override PartName="/xl/sharedStrings.xml" ContentType="{kind}" /></Types>'
    added = {
        "xl/_rels/workbook.xml.rels": lambda text: text.replace("</Relationships>", link),
        "[Content_Types].xml": lambda text: text.replace("</Types>", kind),
    }
    return repacked(content, added, {"xl/sharedStrings.xml": f'<sst xmlns="{main}">{items}</sst>'})


def repacked(content: bytes, changes: Mapping[str, Any], added: Mapping[str, str] | None = None) -> bytes:
    """The archive with some of its parts changed and others added."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        for one in old.namelist():
            part = old.read(one)
            new.writestr(one, changes[one](part.decode()).encode() if one in changes else part)
        for name, text in (added or {}).items():
            new.writestr(name, text)
    return made.getvalue()


# --- An oracle of units ------------------------------------------------------------------------------------

# What a unit measures and how many of the smallest one it is, written down once more and by hand.
SIZES = {
    "units": ("number", 1), "thousand_units": ("number", 1_000), "mn_units": ("number", 1_000_000),
    "kg": ("mass", 1), "tonnes": ("mass", 1_000), "kilotonnes": ("mass", 1_000_000),
    "litres": ("volume", 1), "kl": ("volume", 1_000), "megalitres": ("volume", 1_000_000),
}  # fmt: skip


def converted(amount: int, given: str, wanted: str) -> Fraction | None:
    """Exactly; None where they do not measure the same."""
    (kind, size), (other, its) = SIZES[given], SIZES[wanted]
    return Fraction(amount * size, its) if kind == other else None


# --- Driving a plan of requests ----------------------------------------------------------------------------


def asked(source: Any, ask: Any, answer: Any) -> list[Any]:
    """The addresses that a source asks for, each answered by ``answer(address)``."""
    steps, found = source.steps(ask), []
    try:
        address = next(steps)
        while True:
            found.append(address)
            address = steps.send(answer(address))
    except StopIteration:
        return found


def read_or_refused(source: Any, bytes_: Raw, catalogue: Catalogue) -> Reading | None:
    """What the source reads in them; None where it refuses in one line."""
    source.recognises(bytes_)
    try:
        return source.parse(bytes_, catalogue)
    except DataError as error:
        said = str(error)
    assert said
    assert "\n" not in said
    return None


def damaged(content: bytes, at: int, piece: bytes, cut: int) -> bytes:
    """The bytes with a piece written over them at some place, and some bytes lost there."""
    at %= len(content) + 1
    return content[:at] + piece + content[at + cut :]

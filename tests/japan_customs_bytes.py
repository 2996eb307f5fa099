"""Files as Japan's customs writes them, byte for byte by its rules, with invented figures but for the golden ones."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from xml.sax.saxutils import escape

import pandas as pd
from hypothesis import strategies as st

from forecasting.catalogue import Catalogue, Series
from forecasting.errors import DataError
from forecasting.sources.base import Raw, Source

MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
FETCHED = datetime(2026, 9, 1, tzinfo=UTC)


def raw(content: bytes, address: str = "file.csv") -> Raw:
    """Bytes as the client hands them over."""
    return Raw(content, address, FETCHED)


def catalogue(*entries: tuple[str, ...]) -> Catalogue:
    """Stored series: id, unit, principal-commodity code, HS code."""
    made = [Series(one[0], one[0], one[1], pc_code=(*one, "", "")[2], hs_code=(*one, "", "")[3]) for one in entries]
    return Catalogue(tuple(made))


def outcome(source: Source, content: bytes, known: Catalogue) -> pd.DataFrame | str:
    """The records in these bytes, or the one line that refuses them."""
    try:
        return source.parse(raw(content), known).records
    except DataError as error:
        return str(error)


def damaged(data: st.DataObject, content: bytes) -> bytes:
    """The same bytes with a few of them cut out or replaced."""
    made = bytearray(content)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(made) - 1))
        made[at : at + data.draw(st.integers(0, 20))] = data.draw(st.binary(max_size=6))
        made = made or bytearray(b" ")
    return bytes(made)


def holds(made: pd.DataFrame | str, known: Catalogue) -> None:
    """One line, or at most one figure a series and month, none below zero, each in the unit of its series."""
    if isinstance(made, str):
        assert "\n" not in made
        return
    assert all(known[one].unit == unit for one, unit in zip(made["series"], made["unit"], strict=True))
    assert not made.duplicated(["series", "month"]).any()
    assert made["value"].ge(0).all()


# e-Stat


def pc_file(
    rows: Sequence[tuple[str, str, str, str, Mapping[int, tuple[int, int]]]],
    year: int = 2026,
    april: str = "Apr",
    bom: bool = False,
) -> bytes:
    """Rows of flow (1, 2), code, country, unit and {month: (quantity, value)}; months not given are zero."""
    names = [april if month == "Apr" else month for month in MONTHS]
    header = ["Exp or Imp", "Year", "Commodity", "Country", "Unit", "Quantity-Year", "Value-Year"]
    header += [f"{kind}-{month}" for month in names for kind in ("Quantity", "Value")]
    lines = [",".join(header)]
    for flow, code, country, unit, cells in rows:
        figures = [cells.get(month, (0, 0)) for month in range(1, 13)]
        year_ = [sum(one) for one in zip(*figures, strict=True)]
        told = [*year_, *(figure for pair in figures for figure in pair)]
        lines.append(",".join([flow, str(year), f"'{code}'", country, unit or "  ", *map(str, told)]))
    return ("\ufeff" if bom else "").encode() + "".join(f"{line}\r\n" for line in lines).encode()


def hs_file(
    rows: Sequence[tuple[str, str, str, str, str, Mapping[int, tuple[int, int, int]]]], year: int = 2026
) -> bytes:
    """Rows of flow, nine-digit code, country ("" for the world file), two units, {month: (quantity 1, 2, value)}."""
    by_country = any(row[2] for row in rows)
    header = ["Exp or Imp", "Year", "HS", *(["Country"] if by_country else []), "Unit1", "Unit2"]
    header += [f"{kind}-{month}" for month in ("Year", *MONTHS) for kind in ("Quantity1", "Quantity2", "Value")]
    lines = [",".join(header)]
    for flow, code, country, one, two, cells in rows:
        figures = [cells.get(month, (0, 0, 0)) for month in range(1, 13)]
        figures = [tuple(sum(some) for some in zip(*figures, strict=True)), *figures]
        place = [flow, str(year), f"'{code}'", *([country] if by_country else []), one or "  ", two or "  "]
        lines.append(",".join([*place, *(str(figure) for some in figures for figure in some)]))
    return "".join(f"{line}\n" for line in lines).encode()


def zipped(**files: bytes) -> bytes:
    """A ZIP of these files; ``_`` in a name stands for a dot."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return made.getvalue()


def listing(months: Sequence[tuple[int, str]], tclass1: str, tclass2: str) -> bytes:
    """The portal's list of months, with its ``&amp;``: year and the portal's number of the month."""
    links = "".join(
        f'<li class="stat-cycle_item"><div style="width: 82px">\n<a tabindex="22" href="/stat-search/files?page=1&amp;'
        f"layout=datalist&amp;cycle=1&amp;toukei=00350300&amp;tstat=000001013141&amp;tclass1={tclass1}"
        f'&amp;tclass2={tclass2}&amp;tclass3val=0&amp;year={year}0&amp;month={code}&amp;result_back=1"'
        f' class="stat-item_child">{int(code[-2:])}月</a></div></li>\n'
        for year, code in months
    )
    return (
        f'<!DOCTYPE html>\n<html lang="ja"><head><title>普通貿易統計</title></head><body>{links}</body></html>'.encode()
    )


def month_page(files: Sequence[tuple[str, str, str]]) -> bytes:
    """The portal's page of a month: number, title, day of publication of every file."""
    items = "".join(
        f'<article class="stat-dataset_list-item"><a href="/stat-search/files?page=1&amp;stat_infid={number}"'
        f' class="js-data" data-value="{number}">\n    {title}\n</a>\n<div>\n'
        '<span class="stat-sp">調査年月&nbsp;</span> 2026年8月</div>\n'
        '<div><span class="stat-sp">公開（更新）日&nbsp;&nbsp;</span>'
        f'{day}\n</div>\n<a href="/stat-search/file-download?statInfId={number}&fileKind=1"\n class="stat-dl_icon"'
        ' data-file_type="CSV"><span class="stat-dl_text">CSV</span></a></article>\n'
        for number, title, day in files
    )
    return (
        "<!DOCTYPE html>\n<html><head><title>普通貿易統計 月次</title></head><body><li>公開（更新）日</li>\n"
        f"{items}</body></html>"
    ).encode()


def parent_page(classes: Sequence[tuple[str, str]]) -> bytes:
    """The portal's page of a table: class and direction (輸出, 輸入), as it nests them."""
    items = "".join(
        f'<div data-key2="tclass2"\n data-value2="{number}">\n<span>{word}\n'
        f' <span class="stat-pc">[2,680件]</span></span></div>\n'
        f'<a href="/stat-search/files?tclass2={number}&amp;layout=datalist" data-key2="tclass2"'
        f' data-value2="{number}">月次</a>'
        for number, word in classes
    )
    return f"<!DOCTYPE html><html><head><title>統計</title></head><body>{items}</body></html>".encode()


# customs.go.jp


def totals_file(
    months: Mapping[str, Sequence[int]], countries: Sequence[str] = (), area: str = "世界", english: str = "WORLD"
) -> bytes:
    """d41ma, d42maNNN: {"2026/03": (Exp-Total, Imp-Total, Exp-ccc, Imp-ccc …)}; cp932, CRLF, a blank after a number."""
    names = ["Exp-Total", "Imp-Total", *(f"{kind}-{one}" for one in countries for kind in ("Exp", "Imp"))]
    commas = "," * len(names)
    lines = [f"《{area}》  【月別】　（単位：千円） {commas}", f"{english}  Monthly Data  (a thousand yen) {commas}"]
    lines += [",".join(["Years/Months", *names]), commas]
    lines += [",".join([month, *(f"{cell} " for cell in cells)]) for month, cells in months.items()]
    return "".join(f"{line}\r\n" for line in lines).encode("cp932")


def commodity_file(
    goods: Sequence[tuple[str, str, str]],
    months: Mapping[str, Sequence[int | None]],
    flow: str = "輸出",
    area: str = "世界",
) -> bytes:
    """d51ma, d61ma and those of a country: goods as name, code and unit ("" for none); a total, then pairs.

    Cells of a month: the total, then quantity and value of each of the goods; None is a dash.
    """
    name = {"輸出": "Export", "輸入": "Import"}[flow]
    width = 1 + 2 * len(goods)
    lines = [f"《{area}》  【月別】  （{flow}）" + "," * width, f"WORLD Monthly Data  ({name})" + "," * width]
    lines.append(",".join(["報道発表品目名", "総額", *(cell for one in goods for cell in (one[0], ""))]))
    lines.append(",".join(["概況品名", "", *(cell for one in goods for cell in (one[0], ""))]))
    lines.append(",".join(["概況品コード", "'0'～'9'", *(cell for one in goods for cell in (one[1], ""))]))
    lines.append(",".join(["", "金額", *(cell for _ in goods for cell in ("数量 ", "金額"))]))
    units = [f"(単位：{one[2]})" if one[2] else "(単位)" for one in goods]
    lines.append(",".join(["Years/Months", "(千円)", *(cell for one in units for cell in (one, "(千円)"))]))
    for month, cells in months.items():
        lines.append(",".join([month, *("-" if cell is None else f"{cell} " for cell in cells)]))
    return "".join(f"{line}\r\n" for line in lines).encode("cp932")


PROVISIONAL = "Value of Exports and Imports July 2025 (Provisional)"
DETAILED = "Value of Exports and Imports July 2025 (Exports:Detailed Data;Imports:Provisional(HS-code Basis))"
# Name, level, unit, quantity, value; Russia, July 2025, as published on 20 August 2025.
RUSSIA_EXPORTS = (
    ("Grand Total", 0, "   ", "", "34,638"), ("1 FOODSTUFF", 1, "   ", "", "5,726"),
    ("3 MINERAL FUELS", 1, "   ", "", "-"), ("4 CHEMICALS", 1, "   ", "", "1,418"),
    (" MEDICAL PRODUCTS", 2, " KG", "13,652", "578"), (" RUBBER MANUFACTURED", 2, " MT", "761", "663"),
    ("8 TRANSPORT EQUIPMENT", 1, "   ", "", "20,918"), (" MOTOR VEHICLES", 2, " NO", "17,045", "19,661"),
    (" (CAR)", 2, " NO", "17,045", "19,661"), (" (BUS&TRUCK)", 2, " NO", "-", "-"),
    (" PARTS OF MOTOR VEHICLES", 2, " MT", "1,792", "861"), (" MOTORCYCLES, AUTOCYCLES", 2, "TNO", "1", "377"),
    (" SHIPS", 2, " GT", "-", "-"), ("9 OTHERS", 1, "   ", "", "3,838"),
)  # fmt: skip
RUSSIA_IMPORTS = (
    ("Grand Total", 0, "   ", "", "68,609"), ("1 FOODSTUFF", 1, "   ", "", "12,171"),
    (" FISH AND FISH PREPARATION", 2, " MT", "10,749", "12,012"), (" MEAT AND MEAT PREPARATION", 2, " MT", "0", "0"),
    (" FRUITS", 2, " MT", "-", "-"), (" WOOD", 2, "   ", "", "3,149"), ("3 MINERAL FUELS", 1, "   ", "", "44,515"),
    (" PETROLEUM", 2, "TKL", "25", "1,335"), (" LNG", 2, "TMT", "444", "38,868"), (" COAL", 2, "TMT", "220", "4,312"),
    (" NONFERROUS METALS", 2, " MT", "4,366", "7,286"), (" PARTS OF MOTOR VEHICLES", 2, "   ", "", "0"),
)  # fmt: skip


def press_file(
    title: str = PROVISIONAL,
    day: str = "August 20, 2025",
    exports: Sequence[tuple[str, int, str, str, str]] = RUSSIA_EXPORTS,
    imports: Sequence[tuple[str, int, str, str, str]] = RUSSIA_IMPORTS,
    area: str = "RUSSIA",
    month: str = "July 2025",
    areas: Sequence[tuple[str, str, str]] = (("RUSSIA", "34,638", "68,609"),),
) -> bytes:
    """The monthly release: totals with △, list of pages, areas, and one page of commodities for each direction."""
    total = "<sogakutonen>△117,550</sogakutonen><sogakuzennen>△628,339</sogakuzennen><nobiritsu>-81.3</nobiritsu>"
    first = (
        f'<sogakutsuki name="pg1"><kohyoymd>{day}</kohyoymd><title>{title}</title>'
        f"<taishoymtonen>{month}</taishoymtonen><taishoymzennen>July 2024</taishoymzennen>"
        "<export><sogakutonen>9,359,085</sogakutonen></export>"
        f"<import><sogakutonen>9,476,635</sogakutonen></import><sashihiki>{total}</sashihiki></sogakutsuki>"
        '<mokuji><page href="#pg12"><pagemei>Exports by Principal Commodity by (Country) ( RUSSIA )</pagemei></page>'
        "</mokuji>"
    )
    rows = [("Grand Total", "0", "9,359,085", "9,476,635"), ("C&E EURO", "1", "186,219", "172,777")]
    rows += [(name, "2", out, in_) for name, out, in_ in areas]
    by_area = "".join(
        f"<chiikikunisogakuinfo><chiikikunikbn>{kind}</chiikikunikbn><chiikikuni>{escape(name)}</chiikikuni>"
        f"<exportkagakue>{out}</exportkagakue><exportnobiritsu>ZENZO</exportnobiritsu>"
        f"<importkagakue>{in_}</importkagakue><importnobiritsu>-</importnobiritsu><sashihikikagakue>-33,971</sashihikikagakue></chiikikunisogakuinfo>"
        for name, kind, out, in_ in rows
    )
    pages = "".join(
        _press_page(f"pg{at}", f"{flow} by Principal Commodity by Area(Country)({escape(area)})", month, some)
        for at, flow, some in ((12, "Exports", exports), (20, "Imports", imports))
    )
    return (
        '<?xml version="1.0" encoding="UTF-8" standalone="no"?><?xml-stylesheet href="d1201e.xsl" type="text/xsl"?>'
        f'<hodoxml>{first}<chiikikunisogaku name="pg2"><taishokikan>{month}</taishokikan>{by_area}</chiikikunisogaku>'
        f'{pages}<shisu name="pg21"><chushaku>2020＝100</chushaku></shisu></hodoxml>'
    ).encode()


def _press_page(name: str, title: str, month: str, rows: Sequence[tuple[str, int, str, str, str]]) -> str:
    cells = "".join(
        f"<shuyochiikikunihininfo><shuyoshohin>{escape(label)}</shuyoshohin>"
        f"<shuyoshohinbunrui>{level}</shuyoshohinbunrui><tani>{unit}</tani>"
        f"{f'<suryo>{quantity}</suryo>' if quantity else '<suryo/>'}<suryonobiritsu>ZENZO</suryonobiritsu>"
        f"<kagaku>{value}</kagaku><koseihi>16.5</koseihi><kagakunobiritsu>ZENGEN</kagakunobiritsu>"
        "</shuyochiikikunihininfo>"
        for label, level, unit, quantity, value in rows
    )
    return (
        f'<shuyochiikikunihin name="{name}"><title>{title}</title><taishokikan>{month}</taishokikan><chushaku_eu/>'
        f"{cells}<page>(12)</page></shuyochiikikunihin>"
    )

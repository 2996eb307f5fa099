"""Numbers as people write them: one convention for the whole file, a doubtful one is refused."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache

import numpy as np

from forecasting.errors import DataError
from forecasting.sources.wording import counted, shown

# Compared after Unicode folding, in which the ellipsis becomes three full stops.
MISSING = frozenset(
    ("na", "n/a", "n.a.", "nan", "nat", "null", "none", "#n/a", "-", "--", "–", "—", "―", ".", "..", "...",
     "*", "**", "***", "x", ":")
)  # fmt: skip
_INFINITE = re.compile(r"[+-]?(inf|infinity|∞)")


def _number(decimal: str, group: str) -> re.Pattern[str]:
    """Numbers with this decimal sign; thousands apart by a space, an apostrophe or this group sign."""
    whole = rf"[0-9]+|[1-9][0-9]{{0,2}}(?P<group>[ '’]|{group})[0-9]{{3}}(?:(?P=group)[0-9]{{3}})*"
    return re.compile(rf"[+-]?(?={decimal}?[0-9])(?:{whole})?(?:{decimal}[0-9]*)?(?:e[+-]?[0-9]+)?")


POINT, COMMA = _number(r"\.", ","), _number(",", r"\.")


@dataclass(frozen=True)
class Figures:
    """Values of cells (N), NaN = missing, and what was assumed in reading them."""

    values: np.ndarray
    remarks: tuple[str, ...]


def looks_like_number(cell: object) -> bool:
    if isinstance(cell, str):
        return bool(POINT.fullmatch(_plain(cell)) or COMMA.fullmatch(_plain(cell)))
    return isinstance(cell, int | float | Decimal) and not isinstance(cell, bool)


def is_missing(cell: object) -> bool:
    return cell is None or (isinstance(cell, str) and _plain(cell) in MISSING)


def read_figures(cells: Sequence[object], where: Callable[[int], str], separator: str = "") -> Figures:
    """Cells (N) as floats; ``separator`` is that of a text file, which may settle what a comma means."""
    texts = {at: _plain(cell) for at, cell in enumerate(cells) if isinstance(cell, str)}
    markers = Counter(cells[at] for at, text in texts.items() if text in MISSING)
    texts = {at: text for at, text in texts.items() if text not in MISSING}
    comma, remarks = _decimal_comma(texts, cells, where, separator)
    values = np.full(len(cells), np.nan)
    for at, cell in enumerate(cells):
        if at in texts:
            values[at] = _value(texts[at], comma)
        elif looks_like_number(cell) and not isinstance(cell, str):
            values[at] = _float(cell)
        elif not is_missing(cell):
            raise DataError(f"{where(at)}: {shown(cell)} is not a number: write a number or leave it empty.")
        if np.isinf(values[at]):
            raise DataError(f"{where(at)}: {shown(cell)} is infinite: write a number or leave the cell empty.")
    for marker, times in markers.items():
        remarks.append(f"{shown(marker)} in {counted(times, 'cell')} counted as missing, not as zero")
    return Figures(values, tuple(remarks))


def _decimal_comma(
    texts: dict[int, str], cells: Sequence[object], where: Callable[[int], str], separator: str
) -> tuple[bool, list[str]]:
    """Whether the comma is the decimal sign, and the remarks that say so."""
    sure: dict[str, int] = {}
    doubtful: dict[str, int] = {}
    for text, at in {text: at for at, text in reversed(texts.items())}.items():
        point, comma = POINT.fullmatch(text), COMMA.fullmatch(text)
        if not point and not comma:
            kind = "infinite" if _INFINITE.fullmatch(text) else "not a number"
            raise DataError(f"{where(at)}: {shown(cells[at])} is {kind}: write a number or leave the cell empty.")
        if not (point and comma):
            sure["." if point else ","] = at
        elif "." in text or "," in text:
            doubtful["," if "," in text else "."] = at
    if len(sure) == 2:
        one, other = sure["."], sure[","]
        raise DataError(
            f"{where(one)}: {shown(cells[one])} has a decimal point, but {where(other)}:"
            f" {shown(cells[other])} has a decimal comma: write all numbers in one way."
        )
    if sure or not doubtful:
        return "," in sure, _remarks("," in sure, texts)
    # Commas that separate the cells of a file are not its decimal signs as well, unless a cell proves it.
    at = next(iter(doubtful.values()))
    if separator != "," or len(doubtful) == 2:
        whole = re.sub("[.,]", "", texts[at])
        raise DataError(
            f"{where(at)}: {shown(cells[at])} may be {whole} or have three decimals, and no other"
            " number tells: write numbers without thousands separators and with other than three decimals."
        )
    return False, [f"{shown(cells[at])} was read as {_value(texts[at], False):.15g}"]


def _remarks(comma: bool, texts: dict[int, str]) -> list[str]:
    remarks = ["the comma was read as the decimal sign"] if comma else []
    for text in texts.values():
        found = (COMMA if comma else POINT).fullmatch(text)
        if found and found["group"]:
            return [*remarks, f"{shown(text)} was read as {_value(text, comma):.15g}"]
    return remarks


def _value(text: str, comma: bool) -> float:
    bare = re.sub(r"[ '’]", "", text)
    return float(bare.replace(".", "").replace(",", ".") if comma else bare.replace(",", ""))


def _float(cell: object) -> float:
    try:
        return float(cell)  # type: ignore[arg-type]
    except OverflowError:
        return float("inf")


@lru_cache(maxsize=100_000)
def _plain(text: str) -> str:
    return unicodedata.normalize("NFKC", text).replace("\u2212", "-").strip().lower()

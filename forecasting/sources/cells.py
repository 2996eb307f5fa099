"""Any file as rows of cells: what it is, is told by its content and not by its ending."""

from __future__ import annotations

import csv
import difflib
import gzip
import io
import re
import warnings
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from forecasting.errors import DataError
from forecasting.sources.wording import shown

# A thousand series over fifty years are 20 MB; what is larger than this is not a monthly table,
# and as cells it would fill the memory of an ordinary computer.
LARGEST = 256 * 2**20
EXCEL_ROWS = 2**20
SEPARATORS = (",", ";", "\t", "|")
_SEPARATOR_NAMES = {";": "';'", "\t": "tab", "|": "'|'"}
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe\x00\x00", "utf-32"), (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"),
)  # fmt: skip
_FOREIGN = (
    (b"\x89PNG", "a picture"), (b"\xff\xd8\xff", "a picture"), (b"GIF8", "a picture"), (b"%PDF", "a PDF"),
    (b"BZh", "compressed"), (b"\xfd7zXZ", "compressed"), (b"\x28\xb5\x2f\xfd", "compressed"),
    (b"7z\xbc\xaf", "compressed"), (b"SQLite format 3", "a database"), (b"\x89HDF", "an HDF5 file"),
    (b"ARROW1", "a Feather file"), (b"\x80\x04", "a Python pickle"), (b"\x80\x05", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"), (b"{", "JSON"), (b"[{", "JSON"), (b"[[", "JSON"),
    (b"<", "a web page or XML"),
)  # fmt: skip


@dataclass(frozen=True)
class Grid:
    """Rows of trimmed cells, each with its number in the file; None = empty; empty rows are left out."""

    rows: tuple[tuple[int, tuple[object, ...]], ...]
    separator: str = ""
    sheet: str = ""
    remarks: tuple[str, ...] = ()
    failure: str = ""  # why this separator cannot be the right one


def read_grids(path: Path) -> list[Grid]:
    """What the file may hold: one grid for Parquet, one per sheet of Excel, one per separator of text."""
    content = _unpacked(_content(path))
    if not content.strip():
        raise DataError("the file is empty: give a table with a header row and one row per month.")
    if content.startswith(b"PAR1"):
        return [_parquet(content)]
    if content.startswith(b"PK"):
        return _excel(content)
    if content.startswith(b"\xd0\xcf\x11\xe0"):
        locked = "EncryptedPackage".encode("utf-16-le") in content
        found = "an Excel file with a password" if locked else "an Excel file of the years before 2007 (.xls)"
        raise DataError(f"found {found}: save it as .xlsx without a password, or as CSV.")
    return _texts(content)


def _content(path: Path) -> bytes:
    try:
        if path.is_dir():
            raise DataError("is a folder: give a file in it.")
        with path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except FileNotFoundError as error:
        raise DataError(_not_there(path)) from error
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"the file cannot be opened ({reason}): check its path and its permissions.") from error
    return _not_too_large(content)


def _not_there(path: Path) -> str:
    if not path.parent.is_dir():
        return f"there is no such file, nor a folder {shown(path.parent)}: check the path."
    try:
        names = [one.name for one in path.parent.iterdir()]
    except OSError:
        names = []  # a folder that may be entered but not listed
    near = difflib.get_close_matches(path.name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(map(shown, near))}?" if near else "check the path."
    return f"there is no such file in {shown(path.parent.absolute())}: {hint}"


def _not_too_large(content: bytes) -> bytes:
    if len(content) > LARGEST:
        raise DataError(f"more than {LARGEST // 2**20} MB: give monthly values, and only the series needed.")
    return content


def _unpacked(content: bytes) -> bytes:
    if not content.startswith(b"\x1f\x8b"):
        return content
    try:
        with gzip.open(io.BytesIO(content)) as file:
            return _not_too_large(file.read(LARGEST + 1))
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"the gzip file is damaged ({error}): get it again.") from error


# --- Parquet -----------------------------------------------------------------------------------------------


def _parquet(content: bytes) -> Grid:
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(io.BytesIO(content))
        if file.metadata.num_rows * file.metadata.num_columns > LARGEST // 8:
            raise DataError("too many cells: give monthly values, and only the series needed.")
        table = file.read()
        frame = table.to_pandas()
        named = not isinstance(frame.index, pd.RangeIndex)
        frame = frame.reset_index() if named else frame
        columns = [frame.iloc[:, at].astype(object).tolist() for at in range(frame.shape[1])]
    except DataError:
        raise
    except Exception as error:  # damaged content fails in many ways inside the reader
        raise DataError(f"the Parquet file cannot be read ({_short(error)}): write it again.") from error
    for column in table.schema:
        if not _is_plain(column.type):
            raise DataError(
                f"column {shown(column.name)} holds {shown(column.type)}: keep text, numbers and dates only."
            )
    rows = zip(*columns, strict=True) if columns else ()
    return Grid(_numbered([tuple(frame.columns), *rows]))


def _is_plain(kind: Any) -> bool:
    """Whether a type of Arrow holds text, numbers or dates."""
    from pyarrow import types

    kind = kind.value_type if types.is_dictionary(kind) else getattr(kind, "storage_type", kind)
    tests = (
        types.is_string, types.is_large_string, types.is_string_view, types.is_integer, types.is_floating,
        types.is_decimal, types.is_date, types.is_timestamp, types.is_boolean, types.is_null,
    )  # fmt: skip
    return any(test(kind) for test in tests)


def _short(error: BaseException) -> str:
    text = " ".join(str(error).split())
    return (text if len(text) <= 80 else text[:79] + "…") or type(error).__name__


# --- Excel -------------------------------------------------------------------------------------------------


def _excel(content: bytes) -> list[Grid]:
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = archive.namelist()
            if "xl/workbook.xml" not in names:
                found = "a binary Excel file (.xlsb)" if "xl/workbook.bin" in names else "a zip archive"
                raise DataError(f"found {found}, not an Excel workbook: give an .xlsx or a CSV file.")
            if sum(one.file_size for one in archive.infolist()) > 4 * LARGEST:
                raise DataError("the workbook is too large: keep only the sheet with the monthly values.")
            typed = next((one for one in names if one.endswith((".xml", ".rels")) and _has_doctype(archive, one)), "")
            if typed:
                raise DataError(f"found a document type in {shown(typed)}, as no spreadsheet has: save it again.")
            formulas = any(
                re.search(rb"<f[\s>/]", archive.read(one))
                for one in names
                if one.startswith("xl/worksheets/") and one.endswith(".xml")
            )
        return list(_sheets(content, formulas))
    except DataError:
        raise
    except Exception as error:  # damaged content fails in many ways inside the reader
        raise DataError(f"the Excel file cannot be read ({_short(error)}): save it again.") from error


def _has_doctype(archive: zipfile.ZipFile, name: str) -> bool:
    """Only after one can XML declare what expands or reaches outside; it stands before all else."""
    with archive.open(name) as part:
        return b"<!DOCTYPE" in part.read(4096)


def _sheets(content: bytes, formulas: bool) -> Iterator[Grid]:
    import openpyxl

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about styles and print settings
        book = openpyxl.load_workbook(io.BytesIO(content), read_only=True, data_only=True)
        written = openpyxl.load_workbook(io.BytesIO(content), read_only=True) if formulas else None
        for sheet in book.worksheets:
            if sheet.sheet_state != "visible":
                continue
            rows = _sheet_rows(sheet)
            if written is not None:
                _check_formulas(sheet.title, rows, _sheet_rows(written[sheet.title]))
            yield Grid(_numbered(rows), sheet=sheet.title)


def _sheet_rows(sheet: object) -> list[tuple[object, ...]]:
    sheet.reset_dimensions()  # type: ignore[attr-defined]  # the size that a file states is often wrong
    rows = list(islice(sheet.iter_rows(values_only=True), EXCEL_ROWS + 1))  # type: ignore[attr-defined]
    if len(rows) > EXCEL_ROWS:
        raise DataError("a sheet has more rows than Excel allows: save the workbook again.")
    return rows


def _check_formulas(sheet: str, rows: Sequence[tuple[object, ...]], written: Sequence[tuple[object, ...]]) -> None:
    """A program that only writes formulas leaves no results; Excel stores them when it saves."""
    results = [
        (number, value)
        for number, (row, formulas) in enumerate(zip(rows, written, strict=True), start=1)
        for value, formula in zip(row, formulas, strict=False)
        if isinstance(formula, str) and formula.startswith("=") and value != formula
    ]
    if results and all(value is None for _, value in results):
        raise DataError(
            f"sheet {shown(sheet)}, row {results[0][0]}: a formula without its result: open the file in Excel"
            " and save it, or paste the values."
        )


# --- Text --------------------------------------------------------------------------------------------------


def _texts(content: bytes) -> list[Grid]:
    text, remarks = _decoded(content)
    first, _, rest = text.partition("\n")
    if hint := re.fullmatch(r'"?sep=([,;\t|])"?\r?', first):
        return [_split(rest, hint[1], remarks, start=2)]
    return [_split(text, separator, remarks) for separator in SEPARATORS]


def _decoded(content: bytes) -> tuple[str, tuple[str, ...]]:
    for magic, kind in _FOREIGN:
        if content[:200].lstrip().startswith(magic):
            raise DataError(f"found {kind}, not a table: give CSV, Parquet or Excel (.xlsx).")
    for bom, encoding in _BOMS:
        if content.startswith(bom):
            return _strictly(content, encoding), ()
    if b"\x00" in content:
        raise DataError("found bytes that are not text: give CSV (as UTF-8), Parquet or Excel (.xlsx).")
    try:
        return content.decode("utf-8"), ()
    except UnicodeDecodeError:
        if _japanese(content):
            return content.decode("cp932"), ("the text was read as cp932 (Japanese Windows)",)
    # Western words have an accent here and there; four in a row are letters of another alphabet.
    if re.search(rb"[\x80-\xff]{4}", content):
        raise DataError("the text is in an encoding that cannot be told: save the file as CSV in UTF-8.")
    return _strictly(content, "cp1252"), ("the text was read as cp1252 (Western Windows)",)


def _strictly(content: bytes, encoding: str) -> str:
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"byte {error.start + 1} is not {encoding} text: save the file as CSV in UTF-8.") from error


def _japanese(content: bytes) -> bool:
    """Western text is often valid cp932: believe it only for kana, 年, 月 or common kanji side by side."""
    try:
        text = content.decode("cp932")
    except UnicodeDecodeError:
        return False
    # Letters with accents look like rare kanji, whose first byte is E0 or more: "étés" is two of them.
    pairs = re.findall(r"[一-龥]{2}", text)
    return bool(re.search(r"[ぁ-んァ-ヶ年月]", text)) or any(
        max(char.encode("cp932")[0] for char in pair) < 0xA0 for pair in pairs
    )


def _split(text: str, separator: str, remarks: tuple[str, ...], start: int = 1) -> Grid:
    lines = csv.reader(io.StringIO(text.rstrip("\x1a"), newline=""), delimiter=separator, strict=True)
    rows, before = [], start - 1
    try:
        for row in lines:
            rows.append((before + 1, row))
            before = lines.line_num + start - 1
    except csv.Error as error:
        return Grid((), failure=f"row {before + 1} cannot be split into cells ({error}): check its quotes.")
    said = (f"the separator was read as {_SEPARATOR_NAMES[separator]}",) if separator != "," else ()
    return Grid(_cleaned(rows), separator=separator, remarks=remarks + said)


# --- Cells -------------------------------------------------------------------------------------------------


def _numbered(rows: Iterable[Sequence[object]]) -> tuple[tuple[int, tuple[object, ...]], ...]:
    return _cleaned(enumerate(rows, start=1))


def _cleaned(rows: Iterable[tuple[int, Sequence[object]]]) -> tuple[tuple[int, tuple[object, ...]], ...]:
    clean = ((number, tuple(_clean(cell) for cell in row)) for number, row in rows)
    return tuple((number, row) for number, row in clean if any(cell is not None for cell in row))


def _clean(cell: object) -> object:
    if isinstance(cell, str):
        return cell.strip().strip("\ufeff") or None
    if cell is None or cell is pd.NaT or cell is pd.NA or (isinstance(cell, float) and np.isnan(cell)):
        return None
    return cell

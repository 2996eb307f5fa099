"""Tables of figures of which the truth is known, in every way that people and programs write them."""

from __future__ import annotations

import calendar
import contextlib
import csv
import gzip
import io
import math
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random

import openpyxl
import pandas as pd
from door_checks import WrongAnswerError

from forecasting import workflow
from forecasting.errors import DataError
from forecasting.units import conversion

UNITS = {
    "jp_ru.exports.value": (
        "jpy",
        "thousand_jpy",
        "mn_jpy",
        "bn_jpy",
        "trn_jpy",
        "mn_usd",
        "yen",
        "million yen",
        "kg",
        "%",
        "",
    ),
    "jp_ru.imports.mineral_fuels.lng.quantity": (
        "kg",
        "tonnes",
        "kilotonnes",
        "thousand_tonnes",
        "MT",
        "mt",
        "kl",
        "units",
        "",
    ),
    "jp_ru.exports.transport.motor_vehicles.cars.quantity": (
        "units",
        "unit",
        "thousand_units",
        "mn_units",
        "cars",
        "tonnes",
        "",
    ),
    "my own series": ("", "kg", "boxes", "mn_jpy", "USD million"),
}
NAMES = calendar.month_name[1:]
DATES = {
    "2024-05": lambda y, m: f"{y}-{m:02}", "2024/5": lambda y, m: f"{y}/{m}", "202405": lambda y, m: f"{y}{m:02}",
    "2024-05-31": lambda y, m: str(pd.Period(year=y, month=m, freq="M").end_time.date()),
    "May 2024": lambda y, m: f"{NAMES[m - 1]} {y}", "May-24": lambda y, m: f"{NAMES[m - 1][:3]}-{y % 100:02}",
    "01/05/2024": lambda y, m: f"01/{m:02}/{y}", "5/1/2024": lambda y, m: f"{m}/1/{y}", "2024M05": lambda y,
    m: f"{y}M{m:02}",
    "2024年5月": lambda y, m: f"{y}年{m}月", "31.05.2024": lambda y, m: f"28.{m:02}.{y}", "２０２４-０５": lambda y,
    m: f"{y}-{m:02}".translate(WIDE),
}  # fmt: skip
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")
NUMBERS = {
    "1234.5": lambda x: repr(x), "1,234.5": lambda x: f"{x:,}", "1234,5": lambda x: repr(x).replace(".", ","),
    "1.234,5": lambda x: f"{x:,}".translate(str.maketrans(",.", ".,")), "1 234.5": lambda x: f"{x:,}".replace(",", " "),
    "1'234.5": lambda x: f"{x:,}".replace(",", "'"), "1 234,5": lambda x: f"{x:,}".replace(",", "\u202f").replace(".",
    ","),
    "1.2345e3": lambda x: f"{x:.17e}", "１２３": lambda x: repr(x).translate(WIDE), "-1234": lambda x: repr(x),
}  # fmt: skip


@dataclass(frozen=True)
class Table:
    """Series, months, values and units as they are."""

    series: tuple[str, ...]
    months: tuple[pd.Period, ...]
    values: tuple[tuple[float, ...], ...]
    units: tuple[str, ...]


def invented(random: Random) -> Table:
    series = tuple(random.sample(list(UNITS), random.randint(1, 3)))
    first = pd.Period(year=random.randint(1970, 2024), month=random.randint(1, 12), freq="M")
    months = tuple(first + at for at in range(random.randint(3, 14)))
    scale, digits = random.choice((1.0, 100.0, 10_000.0, 1e8)), random.choice((0, 1, 1, 2, 3, 6))
    values = tuple(tuple(_figure(random, scale, digits) for _ in months) for _ in series)
    return Table(series, months, values, tuple(random.choice(UNITS[one]) for one in series))


def _figure(random: Random, scale: float, digits: int) -> float:
    made = round(scale * random.uniform(0.1, 10), digits)
    return float(int(made)) if digits == 0 else made


def figures(folder: Path, random: Random) -> None:
    """A table written in some way comes out as it is, in the units of the catalogue, or is refused."""
    table = invented(random)
    path, with_unit = _written(folder, table, random)
    dataset = workflow.load(path)
    said = " ".join(dataset.remarks)
    found = {(row.series, row.month): row for row in dataset.observations.itertuples(index=False)}
    for name, values, unit in zip(table.series, table.values, table.units, strict=True):
        wanted = dataset.catalogue[name].unit if name in dataset.catalogue else None
        official = name.startswith("jp_")
        factor = conversion(unit, wanted) if with_unit and official and unit and wanted else 1.0
        for month, value in zip(table.months, values, strict=True):
            row = found.pop((name, month), None)
            if row is None:
                raise WrongAnswerError(f"{path.name}: {name} {month} is lost")
            if not math.isclose(row.value, value * factor, rel_tol=1e-9) and "was read as" not in said:
                raise WrongAnswerError(f"{path.name}: {value} {unit} became {row.value} {wanted}")
            if row.unit != wanted:
                raise WrongAnswerError(f"{path.name}: {name} is in {row.unit}, its catalogue in {wanted}")
    if found:
        raise WrongAnswerError(f"{path.name}: rows from nowhere, {next(iter(found))}")


def _written(folder: Path, table: Table, random: Random) -> tuple[Path, bool]:
    """The file, and whether it says its units: only long ones can."""
    rows, with_unit = _rows(table, random)
    kind = random.choice(("csv", "csv", "csv", "csv.gz", "xlsx", "parquet"))
    path = folder / f"figures.{kind}"
    if kind.startswith("csv"):
        content = _text(rows, random)
        path.write_bytes(gzip.compress(content, mtime=0) if kind == "csv.gz" else content)
    elif kind == "xlsx":
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.save(path)
    else:
        head, *body = rows
        if len(set(head)) < len(head) or len({len(row) for row in rows}) > 1:
            raise DataError("no data frame has such columns")
        pd.DataFrame(body, columns=head).astype(str).to_parquet(path)
    return path, with_unit


def _rows(table: Table, random: Random) -> tuple[list[list[str]], bool]:
    date, number = random.choice(list(DATES)), random.choice(list(NUMBERS))
    day = [DATES[date](month.year, month.month) for month in table.months]
    cells = [[NUMBERS[number](value) for value in values] for values in table.values]
    layout = random.choice(("long", "long", "down", "across"))
    with_unit = layout == "long" and random.random() < 0.8
    if layout == "long":
        head = ["series", "month", "value", *(["unit"] if with_unit else [])]
        body = [
            [name, when, cell, *([unit] if with_unit else [])]
            for name, unit, mine in zip(table.series, table.units, cells, strict=True)
            for when, cell in zip(day, mine, strict=True)
        ]
        random.shuffle(body)
        order = random.sample(range(len(head)), len(head))
        return [[row[at] for at in order] for row in (head, *body)], with_unit
    if layout == "down":
        return [["month", *table.series], *([when, *mine] for when, *mine in zip(day, *cells, strict=True))], with_unit
    return [["series", *day], *([name, *mine] for name, mine in zip(table.series, cells, strict=True))], with_unit


def _text(rows: Sequence[Sequence[str]], random: Random) -> bytes:
    made = io.StringIO()
    quoting = random.choice((csv.QUOTE_MINIMAL, csv.QUOTE_ALL))
    writer = csv.writer(
        made, delimiter=random.choice(",,;\t|"), quoting=quoting, lineterminator=random.choice(("\n", "\r\n"))
    )
    writer.writerows(rows)
    above = random.choice(("", "", "", "A title\n", "A title\n\n"))
    below = random.choice(("", "", "\n\n", "\nSource: somebody\n"))
    return (above + made.getvalue() + below).encode(
        random.choice(("utf-8", "utf-8", "utf-8-sig", "utf-16", "cp932")), "replace"
    )


def user_seeds() -> list[bytes]:
    """Valid files of every kind and layout."""
    random, found = Random(0), []
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(400):
            with contextlib.suppress(DataError):
                found.append(_written(Path(folder), invented(random), random)[0].read_bytes())
    return [one for one in found if one.startswith(b"PK")][:10] + [one for one in found if not one.startswith(b"PK")][
        :60
    ]

"""Records at rest: raw bytes by their hash, and immutable Parquet parts that are only ever added.

A part is named by its day and by the hash of its bytes, is written beside its place and moved there at once, and
names the parts that it saw; ``newest.txt`` names those that no other has seen. So the store of a killed update is the
old one, two updates at once add a part each, the same rows twice change nothing, and damaged or lost parts are
noticed. DuckDB chooses what stood on a day, in bounded memory.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Sequence
from datetime import date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from forecasting import store, vintages
from forecasting.catalogue import Catalogue
from forecasting.errors import DataError
from forecasting.toml_table import read_toml
from forecasting.vintages import COLUMNS, ESTIMATES, FIXED_DAY, FIXED_MONTH, STAGE_RANK, Precedence

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

VINTAGES, RAW, SOURCES, GIVEN_UP, NEWEST = "vintages", "raw", "sources.toml", "given-up.txt", "newest.txt"
PART = re.compile(r"part-(\d{4}-\d\d-\d\d)-([0-9a-f]{16})\.parquet")
HASH_DIGITS = 16
MEMORY_LIMIT = "1GB"
THREADS = 2
HEAD = b"tradecast"


def read_precedence(folder: Path) -> Precedence:
    """The declared order of sources, from sources.toml of a data folder."""
    found = read_toml(folder / SOURCES)[0].get("precedence")
    if not isinstance(found, list) or not all(
        isinstance(of, list) and all(isinstance(o, str) for o in of) for of in found
    ):
        raise DataError(
            f'{folder / SOURCES}: precedence is {found!r}: write lists of names, such as [["fx"], ["comtrade"]].'
        )
    named = [one for of in found for one in of]
    if twice := next((one for one in named if named.count(one) > 1), ""):
        raise DataError(f"{folder / SOURCES}: precedence names {twice} twice: keep one.")
    return Precedence(tuple(tuple(of) for of in found))


def attribution(name: str) -> str:
    """The line that a source wants printed; the name of a source that is read no more."""
    from forecasting.sources.registry import SOURCES, source

    line = source(name).attribution.strip() if name in SOURCES else f"Source: {name}"
    return line if line.endswith(".") else f"{line}."


def described(folder: Path, catalogue: Catalogue) -> Catalogue:
    """The catalogue with the series that the sources of the store declare themselves, such as exchange rates."""
    names = list(last_seen(folder)["source"])
    return with_declared(catalogue, names)


def with_declared(catalogue: Catalogue, names: Sequence[str]) -> Catalogue:
    """The catalogue with the series that these sources declare."""
    from forecasting.sources.registry import SOURCES, source

    declared = [one for name in names if name in SOURCES for one in getattr(source(name), "declares", ())]
    new = {one.id: one for one in declared if one.id not in catalogue}
    return Catalogue((*catalogue.entries, *new.values())) if new else catalogue


# --- Raw bytes -------------------------------------------------------------------------------------------


def keep_raw(folder: Path, content: bytes, ending: str = "bin") -> Path:
    """Keep these bytes for ever under their hash; they are there already if anyone kept them before."""
    digest = hashlib.sha256(content).hexdigest()
    path = folder / RAW / digest[:2] / f"{digest}.{ending}"
    if raw_bytes(folder, digest) is None:
        _put(content, path)
    return path


def raw_bytes(folder: Path, digest: str) -> bytes | None:
    """The bytes that were kept under this hash; None if they are not there, or no longer those."""
    for path in (folder / RAW / digest[:2]).glob(f"{digest}.*"):
        content = path.read_bytes()
        if hashlib.sha256(content).hexdigest() == digest:
            return content
    return None


def _put(content: bytes, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise DataError(f"{path} was not written: {error.strerror or error}. The store is as it was.") from error
    store.write_bytes(content, path)
    with contextlib.suppress(OSError):  # a file system that cannot sync a folder
        handle = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


# --- Parts -----------------------------------------------------------------------------------------------


def parts(folder: Path) -> tuple[Path, ...]:
    """The parts of a data folder, oldest day first, without those that were given up."""
    names = _named(folder / VINTAGES / GIVEN_UP)
    found = sorted((folder / VINTAGES).glob("part-*.parquet"))
    if strange := next((one for one in found if not PART.fullmatch(one.name)), None):
        raise DataError(f"{strange} is no part of the store: its name is not part-DAY-HASH.parquet; move it elsewhere.")
    return tuple(one for one in found if one.name not in names)


def verified(folder: Path) -> tuple[Path, ...]:
    """The parts, each with the bytes that its name stands for, and none of those that they saw missing."""
    found = parts(folder)
    for path in found:
        _check_bytes(path, *_state(path))
    place = folder / VINTAGES
    newest = sorted(_named(place / NEWEST))  # before looking what is there: another update may add a part meanwhile
    there = {one.name for one in place.glob("part-*.parquet")} | _named(place / GIVEN_UP)
    seen = [(name, f"{path.name} was written after it") for path in found for name in _saw(path, *_state(path))]
    for name, why in (*seen, *((name, f"{NEWEST} names it") for name in newest)):
        if name not in there:
            raise DataError(
                f"{place / name} is missing, {why}: restore it from a backup, or, if it is gone for good, write its"
                f" name into {place / GIVEN_UP} and ingest data/raw again."
            )
    return found


def _named(path: Path) -> set[str]:
    """The names in a text file, one a line; none where there is no file."""
    try:
        return set(path.read_text(encoding="utf-8-sig").split())
    except FileNotFoundError:
        return set()
    except UnicodeDecodeError as error:
        raise DataError(f"{path} cannot be read as UTF-8 text: write one name of a part a line.") from error
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror or error}.") from error


def _state(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=4096)
def _check_bytes(path: Path, size: int, changed: int) -> None:
    found = PART.fullmatch(path.name)
    if not found or store.file_digest(path)[:HASH_DIGITS] != found[2]:
        raise DataError(
            f"{path} is damaged, its {size} bytes are not those that its name stands for: restore it from a backup, or"
            f" write its name into {path.parent / GIVEN_UP} and ingest data/raw again."
        )


@functools.lru_cache(maxsize=4096)
def _saw(path: Path, size: int, changed: int) -> tuple[str, ...]:
    from pyarrow import parquet

    head = (parquet.read_metadata(path).metadata or {}).get(HEAD)
    if head is None:
        raise DataError(f"{path} was not written by tradecast: move it elsewhere.")
    return tuple(json.loads(head)["saw"])


def append(
    folder: Path, records: pd.DataFrame, now: datetime, catalogue: Catalogue, carried: pd.DataFrame
) -> pd.DataFrame:
    """Add the records that say something new as one part; returns them with their ``kind`` (``vintages.KINDS``).

    ``records`` has the columns of a reading; ``now`` (UTC) becomes their ``seen``. New is what neither the parts nor
    the ``carried`` records say. Nothing new: no part.
    """
    fresh = stamped(records, now, catalogue, "The records")
    _check_clock(folder, fresh)
    kept = history(folder, tuple(fresh["series"].unique()))
    fresh = vintages.news(fresh, pd.concat([carried, kept], ignore_index=True))
    if len(fresh):
        write_part(folder, fresh[list(COLUMNS)], fresh["seen"].iloc[0].date())
    _note_newest(folder)
    return fresh


def _check_clock(folder: Path, fresh: pd.DataFrame) -> None:
    """What is seen later stands: records of a clock that jumped back would lose to what they revise."""
    last, now = last_seen(folder)["seen"].max(), fresh["seen"].max()
    if pd.notna(last) and now < last - pd.Timedelta(days=1):  # updates at once end in another order than they began
        newest = parts(folder)[-1]
        raise DataError(
            f"The clock says {now:%Y-%m-%d %H:%M} (UTC), but {newest} holds what was seen {last:%Y-%m-%d %H:%M}: set"
            f" the clock; if it was wrong then, write the part's name into {newest.parent / GIVEN_UP} and ingest"
            " data/raw again."
        )


def _note_newest(folder: Path) -> None:
    """Keep the names of the parts that no other has seen, so that one of them is missed when it is lost."""
    path, heads = folder / VINTAGES / NEWEST, _heads(folder)
    if set(heads) == _named(path):
        return
    with contextlib.suppress(DataError):  # the figures are kept already; the next update tries again
        _put("".join(f"{one}\n" for one in heads).encode(), path)


def stamped(records: pd.DataFrame, now: datetime, catalogue: Catalogue, where: str) -> pd.DataFrame:
    """Records of a reading with the time at which they were seen (UTC), if every one can be true."""
    seen = pd.Timestamp(now).tz_convert(None) if now.tzinfo else pd.Timestamp(now)
    return vintages.checked(_typed(records.assign(seen=seen)), catalogue, where)


def write_part(folder: Path, records: pd.DataFrame, day: date) -> Path:
    """Write these records (COLUMNS) as one part that names the parts it saw."""
    content = part_bytes(records, _heads(folder))
    path = folder / VINTAGES / f"part-{day.isoformat()}-{hashlib.sha256(content).hexdigest()[:HASH_DIGITS]}.parquet"
    if not path.exists():
        _put(content, path)
    return path


def _heads(folder: Path) -> tuple[str, ...]:
    """Parts that no other part has seen: a part that names them names all."""
    found = verified(folder)
    seen = {name for path in found for name in _saw(path, *_state(path))}
    return tuple(path.name for path in found if path.name not in seen)


def part_bytes(records: pd.DataFrame, saw: Sequence[str] = ()) -> bytes:
    """A part as bytes: rows by series and month."""
    import io

    from pyarrow import parquet

    table = _arrow(records.sort_values(["series", "month"], kind="stable"))
    head = json.dumps({"format": 1, "saw": list(saw)})
    buffer = io.BytesIO()
    parquet.write_table(table.replace_schema_metadata({HEAD: head.encode()}), buffer, compression="zstd")
    return buffer.getvalue()


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds = {
        "month": pa.date32(), "value": pa.float64(), "std_error": pa.float64(), "published": pa.date32(),
        "seen": pa.timestamp("us"),
    }  # fmt: skip
    return pa.schema([(name, kinds.get(name, pa.string())) for name in COLUMNS])


def _arrow(records: pd.DataFrame) -> pa.Table:
    import pyarrow as pa

    flat = records.assign(month=pd.PeriodIndex(records["month"], freq="M").to_timestamp())
    columns = {name: pa.array(flat[name], from_pandas=name != "value") for name in COLUMNS}
    return pa.table(columns).cast(_schema())


def _typed(records: pd.DataFrame) -> pd.DataFrame:
    """The columns of records in the types that pandas works with."""
    if missing := [name for name in COLUMNS if name not in records.columns]:
        raise DataError(f"Records lack the column {missing[0]}; they have {', '.join(map(str, records.columns))}.")
    months = records["month"]
    texts = ("series", "unit", "stage", "source", "dated", "raw")
    return pd.DataFrame(
        {
            **{name: records[name].astype(object) for name in texts},
            "month": months if isinstance(months.dtype, pd.PeriodDtype) else pd.PeriodIndex(months, freq="M"),
            "value": records["value"].astype(float),
            "std_error": pd.to_numeric(records["std_error"]).astype(float),
            "published": pd.to_datetime(records["published"]).astype("datetime64[us]"),
            "seen": pd.to_datetime(records["seen"]).astype("datetime64[us]"),
        }
    )[list(COLUMNS)].reset_index(drop=True)


# --- Questions -------------------------------------------------------------------------------------------


def known_on(
    folder: Path, day: date | None, catalogue: Catalogue, carried: pd.DataFrame, series: Sequence[str] | None = None
) -> pd.DataFrame:
    """The record that stands for each series and month on this day (None: now), of parts and carried records.

    Rows of a series that the catalogue does not list are left out: see ``unlisted``.
    """
    precedence = read_precedence(folder)
    found = verified(folder)
    if series is not None:
        carried = carried[carried["series"].isin(series)]
    if not found:
        return vintages.known_on(carried, day, precedence, catalogue)
    best = _standing(found, day, precedence, catalogue, series)
    both = best["series"].isin(set(carried["series"])).to_numpy()
    mixed = pd.concat([carried, best[both]], ignore_index=True) if both.any() else carried
    chosen = vintages.known_on(mixed, day, precedence, catalogue)
    return pd.concat([chosen, best[~both]], ignore_index=True)


def _standing(
    found: Sequence[Path], day: date | None, precedence: Precedence, catalogue: Catalogue, series: Sequence[str] | None
) -> pd.DataFrame:
    """``vintages.known_on`` of the parts alone, by DuckDB."""
    with _duckdb(found) as db:
        pairs = db.execute("SELECT DISTINCT series, unit FROM records").fetchall()
        _refuse_strange(db, pairs, catalogue)
        usable = vintages.usable_units(pairs, catalogue)
        if series is not None:
            usable = {one for one in usable if one[0] in set(series)}
        sources = [one for (one,) in db.execute("SELECT DISTINCT source FROM records").fetchall()]
        db.register("fits", pd.DataFrame(sorted(usable), columns=["series", "unit"], dtype=object))
        db.register("places", precedence.places(sources).rename_axis("source").reset_index().astype({"source": object}))
        return _records(db.sql(STANDING, params={"day": day or date.max}))


RANK = " ".join(f"WHEN '{stage}' THEN {rank}" for stage, rank in STAGE_RANK.items())
# The largest of structs that begin with what counts first: four times as fast as a window that sorts, in less memory.
STANDING = f"""
WITH known AS (
    SELECT r.*, coalesce(published, CAST(seen AS DATE)) AS known, tier, place
    FROM records r JOIN fits USING (series, unit) JOIN places USING (source)
    WHERE coalesce(published, CAST(seen AS DATE)) <= CAST($day AS DATE)
), best AS (
    SELECT series, month, max({{
        figure: stage NOT IN ({", ".join(f"'{one}'" for one in ESTIMATES)}), tier: -tier,
        rank: CASE stage {RANK} ELSE CASE
            WHEN known >= make_date(year(month) + 1, {FIXED_MONTH}, {FIXED_DAY}) THEN 5
            WHEN known >= last_day(month + INTERVAL 1 MONTH) THEN 3 ELSE 1 END END,
        known: known, place: -place, seen: seen, raw: raw, value: value, unit: unit, stage: stage, std_error: std_error,
        source: source, published: published, dated: dated
    }}) AS standing FROM known GROUP BY series, month
)
SELECT series, month, {", ".join(f"standing.{one}" for one in COLUMNS if one not in ("series", "month"))}
FROM best ORDER BY series, month
"""


def _refuse_strange(db: duckdb.DuckDBPyConnection, pairs: Sequence[tuple[str, str]], catalogue: Catalogue) -> None:
    """No month of the future, no unit that cannot be that of its series."""
    listed = sorted(one for one in pairs if one[0] in catalogue)
    strange = next((one for one in listed if not vintages.fits(one[1], catalogue[one[0]].unit)), None)
    future = db.execute("SELECT filename, series, month FROM records WHERE month > seen LIMIT 1").fetchone()
    if future:
        raise DataError(
            f"{future[0]} holds {future[1]} {future[2]:%Y-%m}, a month of the future when it was written: it is not"
            f" ours; write its name into {GIVEN_UP} beside it."
        )
    if strange:
        series, unit = strange
        (file,) = db.execute("SELECT filename FROM records WHERE series = ? AND unit = ? LIMIT 1", strange).fetchall()[
            0
        ]
        raise DataError(
            f"{file} holds {series} in {unit}: mend its row in data/catalogue.csv, or write the part's name into"
            f" {GIVEN_UP} beside it."
        )


def unlisted(folder: Path, catalogue: Catalogue) -> tuple[str, ...]:
    """The series of the parts that the catalogue does not list, by name."""
    found = verified(folder)
    if not found:
        return ()
    with _duckdb(found) as db:
        kept = db.execute("SELECT DISTINCT series FROM records").fetchall()
    return tuple(sorted(one for (one,) in kept if one not in catalogue))


def history(folder: Path, series: Sequence[str]) -> pd.DataFrame:
    """Every record of these series in the parts (COLUMNS), by the day on which it was seen."""
    found = verified(folder)
    if not found:
        return _typed(pd.DataFrame(columns=list(COLUMNS)))
    with _duckdb(found) as db:
        db.register("wanted", pd.DataFrame({"series": list(series)}, dtype=object))
        return _records(
            db.sql(
                f"SELECT {', '.join(COLUMNS)} FROM records SEMI JOIN wanted USING (series)"
                " ORDER BY seen, series, month, source, stage, published, value"
            )
        )


def last_seen(folder: Path) -> pd.DataFrame:
    """By source: rows, when anything was last added (seen) and the last month (columns source, rows, seen, month)."""
    found = verified(folder)
    if not found:
        return pd.DataFrame(columns=["source", "rows", "seen", "month"])
    with _duckdb(found) as db:
        return db.execute(
            "SELECT source, count(*) AS rows, max(seen) AS seen, strftime(max(month), '%Y-%m') AS month FROM records"
            " GROUP BY source ORDER BY source"
        ).df()


@contextlib.contextmanager
def _duckdb(found: Sequence[Path]) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the view ``records`` of these parts; what outgrows memory goes to a folder of its own."""
    import duckdb

    with tempfile.TemporaryDirectory(prefix="tradecast-duckdb-") as spill:
        settings: dict[str, Any] = {"memory_limit": MEMORY_LIMIT, "threads": THREADS, "temp_directory": spill}
        db = duckdb.connect(config=settings)
        try:
            files = ", ".join(_quoted(path) for path in found)
            db.execute(f"CREATE VIEW records AS SELECT * FROM read_parquet([{files}], filename = true)")
            yield db
        except duckdb.Error as error:
            reason = " ".join(str(error).split())[:200]
            raise DataError(f"{found[0].parent} cannot be read: {reason}. Restore it from a backup.") from error
        finally:
            db.close()


def _quoted(path: Path) -> str:
    """A path as an SQL text in which no letter is a pattern."""
    plain = re.sub(r"([\[*?])", r"[\1]", str(path))
    return "'" + plain.replace("'", "''") + "'"


def _records(result: duckdb.DuckDBPyRelation) -> pd.DataFrame:
    return _typed(result.to_arrow_table().to_pandas(date_as_object=False))

"""kill -9 at every write and at random moments; then the same command must end as if nothing had happened.

    python experiments/faults/kills.py --kills 300 [--journey NAME] [--seed N] [--minutes M] [--table results.md]

For each journey (JOURNEYS: a setup, a command, what of its end state is compared) an undisturbed run gives the bytes
to reach. Then a fresh copy of the same project is started again and again and killed: first once before every write
(files opened for writing, fsync, rename, unlink, mkdir, each commit and each statement that changes a schema), then at
random moments of the time the undisturbed run took, until ``--kills`` are spent; with workers every second kill is
of a worker. After each kill the same command runs to its end, and must leave exit code 0 and the same bytes.

Made equal before comparing, because a second run of anything differs in it: the home folder in texts; in MLflow ids,
times of creation and the user; CPU seconds, where workers measure them (elsewhere CPU time stands still, as the clock
does). Not compared: what SQLite has counted to plan its queries, the cache and finished parts but for their names,
lock files, runs that MLflow lists as deleted, what a killed writer left under a name that no reader takes
(.tradecast-*.part, *.new; counted and reported).

One process imports everything once and forks a child a run. Needs POSIX.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

os.environ.update(OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", MLFLOW_DISABLE_TELEMETRY="true")

NOW = datetime(2026, 11, 22, 9, 0, tzinfo=UTC)
OURS = Path(__file__).resolve().parents[2]
SERIES = ("jp_ru.exports.value", "jp_world.imports.mineral_fuels.lng.value")
OTHER = ("jp_ru.imports.value", "jp_ru.trade.value")
LONGEST_SECONDS = 300.0
LEAVE_SECONDS = 20.0
SCHEMA_EVERY = 40
State = dict[str, bytes]
Random = Callable[[], float]
ACCOUNT = Path(tempfile.gettempdir(), f"tradecast-kills-{os.getpid()}.said")
"""What the last run printed; not on the disk that may be full."""


@dataclass(frozen=True)
class Journey:
    """A command, what must be there before it, and which files of the home folder are not compared by their bytes.

    ``words``: of the command line; ``before``: commands that set the scene; ``named``: patterns of paths of which
    only the name is compared; ``workers``: whether it has any, so that one is killed every second time;
    ``unfinished``: patterns of files in which a run that lost a task says so, so that they may be neither old nor new.
    """

    name: str
    words: tuple[str, ...]
    before: tuple[tuple[str, ...], ...] = ()
    named: tuple[str, ...] = ()
    workers: bool = False
    empty_store: bool = True
    unfinished: tuple[str, ...] = ()


BACKTEST = ("backtest", "small.toml")
PROMOTE = ("champion", "promote", "jp_ru", "--backtest", "small", "--force", "--reason", "campaign", "--model")
FORECAST = ("forecast", *SERIES, "--model", "theta", "--paths", "100")
PANEL = ("forecast", "--data", "panel", "--out", "out", "--model", "theta", "--paths", "100")
OF_PANEL = ("backtest", "run", "panel.toml", "--data", "panel", "--out", "out")
SAYS_WHAT_IS_LOST = (r"out/_summary\.json", r"out/_failures\.csv")
BY_WORKERS = (r"timings\.parquet", r"about\.json")
JOURNEYS = (
    Journey("ingest", ("data", "ingest", "new.csv"), (("data", "ingest", "old.csv"),)),
    Journey("update", ("data", "update", "fx"), (("data", "ingest", "old.csv"),)),
    Journey("forecast", (*FORECAST, "--workers", "1", "--out", "out.csv", "--plot", "out.png")),
    Journey("forecast-2-workers", (*FORECAST, "--workers", "2", "--out", "out.parquet"), workers=True),
    Journey("backtest", (*BACKTEST, "--workers", "1")),
    Journey("backtest-2-workers", (*BACKTEST, "--workers", "2", "--no-track"), named=BY_WORKERS, workers=True),
    Journey("new-store", ("track", "sync"), ((*BACKTEST, "--workers", "1", "--no-track"),), empty_store=False),
    Journey("champion", (*PROMOTE, "theta"), ((*BACKTEST, "--workers", "1", "--no-track"), (*PROMOTE, "naive"))),
    Journey("report", ("report", *SERIES, "--model", "theta", "--paths", "100", "--workers", "1")),
    Journey("workbook", ("report", *SERIES, "--model", "theta", "--paths", "100", "--workers", "1", "--no-news",
                         "--out", "report.xlsx")),
    Journey("panel", (*PANEL, "--workers", "2"), workers=True, unfinished=SAYS_WHAT_IS_LOST),
    Journey("panel-backtest", (*OF_PANEL, "--workers", "2", "--no-track"), workers=True, unfinished=SAYS_WHAT_IS_LOST),
    Journey("panel-tracked", (*OF_PANEL, "--workers", "1"), workers=True, unfinished=SAYS_WHAT_IS_LOST),
)  # fmt: skip

EXPERIMENT = f"""name = "small"
horizon = 3
kind = "month"
calibrate = false
paths = 100
seed = 0
coverages = [80, 95]
sort_by = ["skill"]
[[cutoffs]]
series = ["{SERIES[0]}"]
first = "2026-03"
last = "2026-05"
[[forecasters]]
model = "seasonal_naive"
[[forecasters]]
model = "naive"
[[forecasters]]
model = "theta"
"""

PANEL_EXPERIMENT = """series = ["*"]
horizon = 3
paths = 100
cutoffs = { first = "2025-06", step = 6, count = 2 }
[[forecasters]]
model = "seasonal_naive"
[[forecasters]]
model = "theta"
"""
PARTITIONS, SERIES_A_PARTITION = 6, 2


# --- The project -----------------------------------------------------------------------------------------


def rates(until: int, revised: float = 0.0) -> str:
    """Yen a dollar as the Federal Reserve sends it: months of 2026 up to ``until``."""
    rows = [f"2026-{month:02}-01,{150 + month + revised * (month == 1):.4f}" for month in range(1, until + 1)]
    return "\n".join(["observation_date,EXJPUS", *rows]) + "\n"


def make_project(home: Path) -> None:
    """Four series of the official figures, an experiment, two files of exchange rates."""
    import pandas as pd

    data = home / "data"
    data.mkdir(parents=True)
    wanted = (*SERIES, *OTHER)
    catalogue = pd.read_csv(OURS / "data" / "catalogue.csv", dtype=str, keep_default_na=False)
    catalogue[catalogue["id"].isin(wanted)].assign(parent="", within="").to_csv(data / "catalogue.csv", index=False)
    rows = pd.read_csv(OURS / "data" / "observations.csv", dtype=str, keep_default_na=False)
    rows[rows["series"].isin(wanted) & (rows["month"] >= "2021-01")].to_csv(data / "observations.csv", index=False)
    for name in ("sources.toml", "press_facts.csv", "published_facts.csv", "measures.toml"):
        shutil.copy(OURS / "data" / name, data)
    (home / "small.toml").write_text(EXPERIMENT)
    (home / "old.csv").write_text(rates(9))
    (home / "new.csv").write_text(rates(10, revised=0.5))
    (home / "panel.toml").write_text(PANEL_EXPERIMENT)
    make_panel(home / "panel")


def make_panel(folder: Path) -> None:
    """Six partitions of two monthly series each, one of them too short to be forecast."""
    import numpy as np
    import pandas as pd

    folder.mkdir()
    months = pd.period_range("2021-09", "2026-08", freq="M").to_timestamp()
    season = 1 + 0.2 * np.sin(2 * np.pi * np.arange(len(months)) / 12)
    for at in range(PARTITIONS):
        pieces = []
        for one in range(SERIES_A_PARTITION):
            number = SERIES_A_PARTITION * at + one
            values = 100 * season * (1 + 0.01 * np.cos(np.arange(len(months)) * (number + 1))) + number
            since = 50 if number == 5 else 0
            series = f"s{number:02}"
            pieces.append(pd.DataFrame({"series": series, "month": months[since:], "value": values[since:]}))
        pd.concat(pieces).to_parquet(folder / f"p{at}.parquet", index=False)


def prepare(root: Path, journey: Journey, store: Path) -> Path:
    """The project as the journey finds it."""
    home = root / "template" / journey.name
    home.parent.mkdir(exist_ok=True)
    shutil.copytree(root / "template" / "project", home)
    if journey.empty_store:
        shutil.copy(store, home / "mlflow.db")
    for words in journey.before:
        done = wait(start(home, words), LONGEST_SECONDS)
        if done != 0:
            raise SystemExit(f"{' '.join(words)} ended with {done}: {said()}")
    return home


# --- A run -----------------------------------------------------------------------------------------------


def start(home: Path, words: Sequence[str], at: int = 0, count: Path | None = None) -> int:
    """Fork a child that runs the command in ``home`` as a group of its own; killed before its ``at``-th write."""
    (home.parent / "tmp").mkdir(exist_ok=True)
    child = os.fork()
    if child:
        return child
    code = 70
    try:
        os.setsid()
        os.chdir(home)
        with ACCOUNT.open("wb") as out:
            os.dup2(out.fileno(), 1)
            os.dup2(out.fileno(), 2)
        surroundings(home)
        points = Points(str(home), at)
        points.watch()
        code = command(words)
        if count is not None:
            points.home = "\0"
            count.write_text(json.dumps(points.seen))
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def surroundings(home: Path) -> None:
    """A home of its own, a clock and a CPU that stand still, and rates from a publisher that needs no network."""
    for name in ("TRADECAST_CACHE", "MLFLOW_TRACKING_URI"):
        os.environ.pop(name, None)
    os.environ.update(TRADECAST_HOME=str(home), TMPDIR=str(home.parent / "tmp"), HOME=str(home.parent / "tmp"))
    os.environ.update(PYTHONPATH=str(OURS), COLUMNS="110")
    tempfile.tempdir = None
    from forecasting import clock
    from forecasting.sources.fetching import Client

    clock.now = lambda: NOW
    time.process_time = lambda: 0.0
    Client._answer = lambda self, download: answer()  # type: ignore[method-assign,assignment,misc,return-value]


def answer() -> object:
    """What the Federal Reserve would send, with a validator, so that it is remembered."""
    import requests
    import urllib3

    made = requests.Response()
    made.status_code = 200
    made.headers.update({"etag": '"1"'})
    made.raw = urllib3.HTTPResponse(io.BytesIO(rates(10, revised=0.5).encode()), preload_content=False)
    return made


def command(words: Sequence[str]) -> int:
    from forecasting import cli

    sys.argv = ["tradecast", *words]
    try:
        cli.main()
    except SystemExit as left:
        return left.code if isinstance(left.code, int) else 1
    return 0


@dataclass
class Points:
    """Counts writes inside ``home``; before the ``at``-th the process kills itself."""

    home: str
    at: int
    seen: list[str] = field(default_factory=list)

    def watch(self) -> None:
        from sqlalchemy import event
        from sqlalchemy.engine import Engine

        sys.addaudithook(self.heard)
        event.listen(Engine, "commit", lambda connection: self.reach("sql commit"))
        event.listen(Engine, "before_cursor_execute", self.statement)
        plain = os.fsync

        def fsync(handle: int) -> None:
            self.reach("fsync")
            plain(handle)

        os.fsync = fsync

    def heard(self, what: str, given: tuple[object, ...]) -> None:
        writes = what == "open" and isinstance(given[2], int) and given[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        if writes or what in ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate", "shutil.copyfile"):
            self.inside(what, given[0])

    def inside(self, what: str, path: object) -> None:
        if isinstance(path, (str, os.PathLike)):
            place = Path.cwd() / os.fsdecode(path)
            if place.is_relative_to(self.home):
                self.reach(f"{what} {place.name}")

    def statement(self, connection: object, cursor: object, text: str, *_: object) -> None:
        # SQLite's own driver commits before each of these, so that a half-made schema is what a kill leaves.
        if text.lstrip().upper().startswith(("CREATE", "ALTER", "DROP")):
            self.reach(f"sql {' '.join(text.split()[:3])}")

    def reach(self, what: str) -> None:
        self.seen.append(what)
        if len(self.seen) == self.at:
            os.kill(os.getpid(), signal.SIGKILL)


def wait(child: int, seconds: float) -> int:
    """Its exit code (negative: the signal that ended it); -999 and an end by force where it does not end."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        time.sleep(0.01)
    os.killpg(child, signal.SIGKILL)
    os.waitpid(child, 0)
    return -999


def said() -> str:
    """The end of what the last run printed."""
    with contextlib.suppress(OSError):
        return " | ".join(ACCOUNT.read_text(errors="replace").strip().splitlines()[-6:])[-700:]
    return ""


def workers_of(group: int) -> list[int]:
    """Worker processes of a run, by their command line."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError, ValueError, IndexError):
            stat = (entry / "stat").read_text().rpartition(")")[2].split()
            if int(stat[2]) == group and int(entry.name) != group and stat[0] != "Z":
                found.append((int(entry.name), (entry / "cmdline").read_bytes()))
    return sorted(pid for pid, line in found if b"spawn_main" in line)


def left_by(group: int) -> bool:
    """Whether workers of a dead parent are still there after the time they are given to leave."""
    until = time.monotonic() + LEAVE_SECONDS
    while workers_of(group):
        if time.monotonic() > until:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(group, signal.SIGKILL)
            return True
        time.sleep(0.05)
    return False


# --- The end state ---------------------------------------------------------------------------------------

LEFT_OVER = re.compile(r"(.*/)?(\.tradecast-[^/]*\.part|[^/]*\.new|\.tradecast-[^/]*-journal)")
NO_BYTES = re.compile(r"\.cache/.*\.lock|mlflow\.db(-journal|-wal|-shm)?|mlruns(/.*)?")
BY_NAME = (r"\.cache/.*", r".*/parts/.*\.arrays")
IDS = re.compile(rb"\bm-[0-9a-f]{32}\b|\b[0-9a-f]{32}\b|\b[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\b")
TIMES = re.compile(rb"\b20\d\d-\d\d-\d\d[ T]\d\d:\d\d:\d\d(\.\d+)?(\+00:00)?")
RUN = "r.lifecycle_stage = 'active'"
OF_RUNS = {
    name: f"t.key, t.value{more}"
    for name, more in {
        "tags": "",
        "params": "",
        "metrics": ", t.step, t.is_nan",
        "latest_metrics": ", t.step, t.is_nan",
    }.items()
}
OF_MODELS = {"tags": "tag_key, tag_value", "params": "param_key, param_value", "metrics": "metric_name, metric_value"}
TABLES = {
    "experiments": "SELECT name, lifecycle_stage, artifact_location FROM experiments",
    "experiment tags": "SELECT e.name, t.key, t.value FROM experiment_tags t JOIN experiments e USING (experiment_id)",
    "runs": "SELECT r.run_uuid, e.name, r.name, r.status, r.artifact_uri FROM runs r"
    f" JOIN experiments e USING (experiment_id) WHERE {RUN}",
    **{
        name: f"SELECT r.name, {columns} FROM {name} t JOIN runs r USING (run_uuid) WHERE {RUN}"
        for name, columns in OF_RUNS.items()
    },
    "inputs": "SELECT r.name, i.source_type, i.destination_type, d.name, d.digest FROM inputs i JOIN runs r"
    f" ON r.run_uuid = i.destination_id LEFT JOIN datasets d ON d.dataset_uuid = i.source_id WHERE {RUN}",
    "outputs": "SELECT r.name, i.source_type, i.destination_type FROM inputs i JOIN runs r"
    f" ON r.run_uuid = i.source_id WHERE {RUN}",
    "registered_models": "SELECT name, description FROM registered_models",
    "registered_model_tags": "SELECT name, key, value FROM registered_model_tags",
    "aliases": "SELECT name, alias, version FROM registered_model_aliases",
    "versions": "SELECT v.name, v.version, v.description, v.current_stage, v.status, r.status, v.source"
    " FROM model_versions v LEFT JOIN runs r ON r.run_uuid = v.run_id",
    "version tags": "SELECT name, version, key, value FROM model_version_tags",
    "logged_models": "SELECT m.model_id, m.name, m.status, r.name, m.artifact_location FROM logged_models m"
    " LEFT JOIN runs r ON r.run_uuid = m.source_run_id WHERE m.lifecycle_stage = 'active'",
    **{
        f"logged_model_{name}": f"SELECT m.name, {columns} FROM logged_model_{name} t"
        " JOIN logged_models m USING (model_id) WHERE m.lifecycle_stage = 'active'"
        for name, columns in OF_MODELS.items()
    },
}  # fmt: skip


def state(home: Path, named: Sequence[str] = ()) -> State:
    """Every file that counts by its path, and what MLflow holds, as bytes that two undisturbed runs have in common."""
    only_name = re.compile("|".join((*BY_NAME, *(f"(.*/)?{one}" for one in named))))
    found: State = {}
    for path in sorted(home.rglob("*")):
        inside = path.relative_to(home).as_posix()
        if path.is_file() and not NO_BYTES.fullmatch(inside) and not LEFT_OVER.fullmatch(inside):
            found[inside] = b"" if only_name.fullmatch(inside) else equalled(path.read_bytes(), home, inside)
    if (home / "mlflow.db").is_file():
        found |= store_state(home)
    return found


def equalled(content: bytes, home: Path, name: str = "") -> bytes:
    plain = content.replace(str(home).encode(), b"HOME")
    if name.endswith("about.json"):
        plain = re.sub(rb'("(?:[a-z_]*seconds|workers|resumed_parts)": )[\d.e-]+', rb"\1X", plain)
    if name.endswith((".xlsx", ".png")):
        return hashlib.sha256(plain).hexdigest().encode()
    return plain


def store_state(home: Path) -> State:
    """Tables of MLflow by name, rows in order, and the artifacts of active runs and models."""
    found: State = {}
    with contextlib.closing(sqlite3.connect(home / "mlflow.db")) as db:
        if (sound := db.execute("PRAGMA integrity_check").fetchone()[0]) != "ok":
            return {"mlflow.db": str(sound).encode()}
        tables = {
            name
            for (name,) in db.execute(
                "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'"
            )
        }
        found["mlflow.db schema"] = repr(sorted(tables)).encode()
        if "runs" not in tables or "registered_models" not in tables:
            return found
        for name, query in TABLES.items():
            rows = db.execute(query).fetchall()
            if name in ("runs", "logged_models"):
                for _, *about, place in rows:
                    found |= artifacts(home, f"{name} {' '.join(map(str, about))}", place)
                rows = [row[1:-1] for row in rows]
            found[f"mlflow.db {name}"] = b"\n".join(sorted(same(repr(row).encode(), home) for row in rows))
    return found


def artifacts(home: Path, of: str, place: str) -> State:
    folder = Path(str(place).removeprefix("file://"))
    return {
        f"{of}: {path.relative_to(folder)}": same(path.read_bytes(), home)
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def same(content: bytes, home: Path) -> bytes:
    plain = content.replace(str(home).encode(), b"HOME")
    return TIMES.sub(b"TIME", IDS.sub(b"ID", plain))


def differences(want: Mapping[str, bytes], have: Mapping[str, bytes]) -> list[str]:
    lines = [f"lost {one}" for one in want if one not in have] + [f"extra {one}" for one in have if one not in want]
    for one in want:
        if one in have and want[one] != have[one]:
            wanted, got = want[one].splitlines(), have[one].splitlines()
            first = next((f"{a[:200]!r} became {b[:200]!r}" for a, b in zip(wanted, got, strict=False) if a != b), "")
            lines.append(f"changed {one}: {len(wanted)} to {len(got)} lines; {first}")
    return lines


def torn(home: Path, before: Mapping[str, bytes], after: Mapping[str, bytes], journey: Journey) -> list[str]:
    """Right after a kill each file is the old one or the new one, and so is the champion."""
    lines = []
    for name, content in state(home, journey.named).items():
        if any(re.fullmatch(one, name) for one in journey.unfinished):
            continue
        if name.startswith("mlflow.db") and name != "mlflow.db aliases":
            if name == "mlflow.db":
                lines.append(f"database not sound: {content[:200]!r}")
            continue
        if name.startswith(("runs ", "logged_models ")):
            continue
        if content not in (before.get(name), after.get(name)) and name != "mlflow.db aliases":
            lines.append(f"torn {name}: {len(content)} bytes")
        if name == "mlflow.db aliases" and content not in (before.get(name, b""), after.get(name, b"")):
            lines.append(f"half a champion: {content!r}")
    return lines


# --- The campaign ----------------------------------------------------------------------------------------


@dataclass
class Told:
    """What came of one journey."""

    name: str
    points: list[str] = field(default_factory=list)
    seconds: float = 0.0
    kills: Counter[str] = field(default_factory=Counter)
    left: int = 0
    failures: list[str] = field(default_factory=list)


@dataclass
class Campaign:
    root: Path
    store: Path
    told: dict[str, Told] = field(default_factory=dict)
    begun: dict[str, tuple[Path, State, State]] = field(default_factory=dict)

    def begin(self, journey: Journey) -> None:
        """The undisturbed run, twice: what two of them do not have in common cannot be compared."""
        template = prepare(self.root, journey, self.store)
        told = self.told[journey.name] = Told(journey.name)
        ends = []
        for _ in range(2):
            with self.copy(template) as home:
                began = time.monotonic()
                code = wait(start(home, journey.words, count=home.with_suffix(".points")), LONGEST_SECONDS)
                told.seconds = time.monotonic() - began
                if code != 0:
                    raise SystemExit(f"{journey.name}, undisturbed, ended with {code}: {said()}")
                ends.append(state(home, journey.named))
                told.points = json.loads(home.with_suffix(".points").read_text())
        if found := differences(*ends):
            raise SystemExit(f"{journey.name}: two undisturbed runs differ: {'; '.join(found[:5])}")
        self.begun[journey.name] = (template, state(template, journey.named), ends[0])
        print(f"{journey.name}: {len(told.points)} writes, {told.seconds:.1f} s", flush=True)

    @contextlib.contextmanager
    def copy(self, template: Path) -> Iterator[Path]:
        # Always the same name: absolute paths are in the database, and their length in none of its rows.
        run = self.root / "run"
        shutil.copytree(template, run / "home")
        rewrite(run / "home" / "mlflow.db", str(template), str(run / "home"))
        try:
            yield run / "home"
        finally:
            shutil.rmtree(run, ignore_errors=True)

    def kill(self, journey: Journey, how: str, disturb: Callable[[Path], int]) -> None:
        """Run, kill as ``disturb`` does, look, run again to the end, compare."""
        template, before, after = self.begun[journey.name]
        told = self.told[journey.name]
        told.kills[how.split()[0]] += 1
        with self.copy(template) as home:
            code = disturb(home)
            first = said()
            wrong = torn(home, before, after, journey)
            if code == -999:
                wrong.append("it hung")
            if code == 1 and not re.search(r"\d of \d+ partitions were not done", ACCOUNT.read_text(errors="replace")):
                wrong.append(f"it ended with 1 and did not say what is missing: {first}")
            if "Traceback" in ACCOUNT.read_text(errors="replace"):
                wrong.append(f"traceback after the kill: {first}")
            told.left += sum(1 for one in home.rglob("*") if LEFT_OVER.fullmatch(one.relative_to(home).as_posix()))
            code = wait(start(home, journey.words), LONGEST_SECONDS)
            if code != 0:
                wrong.append(f"run again it ended with {code}: {said()}")
            else:
                wrong += differences(after, state(home, journey.named))
        if wrong:
            told.failures.append(f"{how}: {'; '.join(wrong)[:1500]}")
            print(f"FAILED {journey.name} {how}: {'; '.join(wrong)[:1500]}", flush=True)

    def at_write(self, journey: Journey, at: int) -> None:
        what = self.told[journey.name].points[at - 1]
        self.kill(journey, f"write {at} ({what})", lambda home: wait(start(home, journey.words, at), LONGEST_SECONDS))

    def at_random(self, journey: Journey, share: float, of_worker: bool) -> None:
        after = share * self.told[journey.name].seconds

        def disturb(home: Path) -> int:
            child = start(home, journey.words)
            time.sleep(after)
            among = workers_of(child) if of_worker else []
            os.kill(among[int(share * 1e6) % len(among)] if among else child, signal.SIGKILL)
            code = wait(child, LONGEST_SECONDS)
            if left_by(child):
                self.told[journey.name].failures.append(f"{after:.2f} s: workers outlived their parent")
            return code

        self.kill(journey, f"{'worker' if of_worker else 'parent'} at {after:.2f} s", disturb)


def rewrite(database: Path, old: str, new: str) -> None:
    """Absolute paths of artifacts for a project that was copied."""
    if not database.is_file():
        return
    from forecasting.tracking_store import PATHS

    with contextlib.closing(sqlite3.connect(database)) as db:
        for table, column in PATHS:
            db.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (old, new))
        db.commit()


def new_store(root: Path) -> Path:
    """An empty database of MLflow, made by a process of its own: making one takes seconds."""
    home = root / "template" / "store"
    shutil.copytree(root / "template" / "project", home)
    code = "from forecasting import tracking_client as t, tracking_store as s\n"
    code += "with t.session(s.tracking_uri()) as client: client.search_experiments()"
    given = {**os.environ, "TRADECAST_HOME": str(home), "PYTHONPATH": str(OURS)}
    subprocess.run([sys.executable, "-c", code], cwd=home, env=given, check=True)
    return home / "mlflow.db"


def load_everything() -> None:
    """Imports only: nothing runs in the process that forks, so that no thread is lost in a child."""
    import duckdb  # noqa: F401
    import matplotlib.pyplot  # noqa: F401
    import mlflow.pyfunc
    import mlflow.store.tracking.sqlalchemy_store  # noqa: F401
    import openpyxl  # noqa: F401
    import pyarrow.parquet  # noqa: F401
    import statsmodels.tsa.api  # noqa: F401

    import forecasting.cli
    import forecasting.sources.fetching  # noqa: F401
    from forecasting import (  # noqa: F401
        backtests,
        champion_forecast,
        champion_registry,
        leaderboard,
        plot,
        report,
        report_book,
        report_page,
        tracking,
        update,
    )


def main() -> None:
    from forecasting.seeds import stream

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=300, help="all together, each write first")
    parser.add_argument("--journey", action="append", choices=[one.name for one in JOURNEYS])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--every", type=int, default=1, help="only every n-th write, to look around quickly")
    parser.add_argument("--minutes", type=float, help="stop after so long; then the kills come in random order")
    parser.add_argument("--table", type=Path, help="write the results there too")
    asked = parser.parse_args()
    chosen = [one for one in JOURNEYS if not asked.journey or one.name in asked.journey]
    load_everything()
    with tempfile.TemporaryDirectory(prefix="tradecast-kills-") as folder:
        campaign = begun(Path(folder).resolve(), chosen)
        draw = stream(asked.seed, "kills")
        plan = planned(campaign, chosen, asked.kills, asked.every, draw.random)
        if asked.minutes:
            plan = [plan[at] for at in draw.permutation(len(plan))]
        run(campaign, plan, time.monotonic() + 60 * (asked.minutes or 10**6))
    ACCOUNT.unlink(missing_ok=True)
    text = table(list(campaign.told.values()))
    print(text)
    if asked.table:
        asked.table.write_text(text, encoding="utf-8")
    sys.exit(1 if any(one.failures for one in campaign.told.values()) else 0)


@dataclass(frozen=True)
class Kill:
    """One kill of a journey: before its ``at``-th write, or (0) after this share of the undisturbed time."""

    journey: Journey
    at: int = 0
    share: float = 0.0
    of_worker: bool = False


def planned(campaign: Campaign, chosen: Sequence[Journey], kills: int, every: int, random: Random) -> list[Kill]:
    """Every write of each journey once, then random moments, journey by journey, until there are enough."""
    plan = [
        Kill(journey, at)
        for journey in chosen
        if not journey.workers
        for at in worth_a_kill(campaign.told[journey.name].points)[::every]
    ][:kills]
    for turn in range(kills - len(plan)):
        journey = chosen[turn % len(chosen)]
        plan.append(Kill(journey, 0, random(), journey.workers and turn // len(chosen) % 2 == 1))
    return plan


def run(campaign: Campaign, plan: Sequence[Kill], until: float) -> None:
    for number, one in enumerate(plan, start=1):
        if time.monotonic() > until:
            print(f"The time is over after {number - 1} of {len(plan)} kills.", flush=True)
            return
        if one.at:
            campaign.at_write(one.journey, one.at)
        else:
            campaign.at_random(one.journey, one.share, one.of_worker)


def begun(root: Path, chosen: Sequence[Journey]) -> Campaign:
    """A campaign whose undisturbed runs are done."""
    (root / "template").mkdir()
    make_project(root / "template" / "project")
    campaign = Campaign(root, new_store(root))
    for journey in chosen:
        campaign.begin(journey)
    return campaign


def worth_a_kill(points: Sequence[str]) -> list[int]:
    """Numbers of the writes before which to kill: all, but only some of the statements that make a schema."""
    schema = [at for at, what in enumerate(points, start=1) if what.startswith("sql ") and what != "sql commit"]
    return sorted({*range(1, len(points) + 1)} - set(schema) | set(schema[::SCHEMA_EVERY]))


def table(told: Sequence[Told]) -> str:
    lines = ["| journey | alone, s | writes | kills at a write | at random: parent | worker | left behind | failed |",
             "|---|--:|--:|--:|--:|--:|--:|--:|"]  # fmt: skip
    for one in told:
        counts = " | ".join(str(one.kills[how]) for how in ("write", "parent", "worker"))
        lines.append(
            f"| {one.name} | {one.seconds:.1f} | {len(one.points)} | {counts} | {one.left} | {len(one.failures)} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()

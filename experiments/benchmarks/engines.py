"""What an engine that spreads tasks costs here: Dask and Ray side by side, and our own processes. Linux.

    python experiments/benchmarks/engines.py [--tasks 1000] [--python PATH ...]

Every engine is tried by every interpreter named (each --python may be another virtual environment), in a process of its
own: install the first beside numpy and pandas, two workers started, empty tasks, a worker killed with SIGKILL while
eight tasks of a second run, a task that kills every worker it meets. An engine that an interpreter does not have is
skipped, and said to be. Memory is the proportional share (PSS) of all processes; CPU is theirs together.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import importlib.util
import json
import logging
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

WORKERS = 2
SECOND = 1.0
TICKS = os.sysconf("SC_CLK_TCK")


def nothing(task: int) -> int:
    return task


def sleep(task: tuple[int, str]) -> int:
    place, folder = task
    with Path(folder, f"{place}.{os.getpid()}").open("a") as log:
        log.write("x")
    time.sleep(SECOND)
    return place


def die(task: tuple[int, str]) -> int:
    place, folder = task
    if place == 3:
        with Path(folder, "deaths").open("a") as log:
            log.write("x")
        os.kill(os.getpid(), signal.SIGKILL)
    return place


Run = Callable[[Callable, list], list]


@contextmanager
def dask() -> Iterator[Run]:
    from distributed import Client, LocalCluster, wait

    with (
        LocalCluster(n_workers=WORKERS, threads_per_worker=1, dashboard_address=":0") as cluster,
        Client(cluster) as client,
    ):

        def run(function: Callable, tasks: list) -> list:
            futures = client.map(function, tasks, pure=False)
            wait(futures)
            return [one.result() if one.status == "finished" else type(one.exception()).__name__ for one in futures]

        yield run


@contextmanager
def ray() -> Iterator[Run]:
    import ray

    ray.init(num_cpus=WORKERS, log_to_driver=False, logging_level=logging.ERROR)

    def run(function: Callable, tasks: list) -> list:
        remote = ray.remote(function)
        found = []
        for one in [remote.remote(task) for task in tasks]:
            try:
                found.append(ray.get(one))
            except Exception as error:
                found.append(type(error).__name__)
        return found

    try:
        yield run
    finally:
        ray.shutdown()


@contextmanager
def processes() -> Iterator[Run]:
    from forecasting.compute import Lost, Where, each

    def run(function: Callable, tasks: list) -> list:
        found = sorted(each(function, tasks, Where(WORKERS)), key=lambda one: one[0])
        return [result.why if isinstance(result, Lost) else result for _, result in found]

    yield run


ENGINES = {"dask": ("distributed", dask), "ray": ("ray", ray), "processes": ("forecasting", processes)}


def measured(name: str, count: int) -> dict[str, str]:
    package, engine = ENGINES[name]
    told = {"Python": sys.version.split()[0], **installed(package)} if name != "processes" else {}
    began = time.perf_counter()
    with engine() as run, tempfile.TemporaryDirectory() as folder:
        run(sleep, [(place, folder) for place in range(WORKERS)])
        told["seconds until two workers have worked"] = f"{time.perf_counter() - began - SECOND:.1f}"
        told["memory of all processes, idle (MiB)"] = f"{memory():.0f}"
        run(nothing, list(range(count // 10)))
        cpu, wall = seconds_of_cpu(), time.perf_counter()
        run(nothing, list(range(count)))
        told["wall per empty task (ms)"] = f"{(time.perf_counter() - wall) / count * 1000:.2f}"
        told["CPU per empty task (ms)"] = f"{(seconds_of_cpu() - cpu) / count * 1000:.2f}"
        told["listens on"] = ", ".join(listening()) or "nothing"
    with engine() as run, tempfile.TemporaryDirectory() as folder:
        told["a worker killed at 1 of 8 tasks"] = killed(run, folder)
    with engine() as run, tempfile.TemporaryDirectory() as folder:
        found = run(die, [(place, folder) for place in range(8)])
        deaths = len(Path(folder, "deaths").read_text())
        others = sum(found[place] == place for place in range(8) if place != 3)
        told["a task that kills its worker"] = f"{found[3]} after {deaths} death(s); {others} of 7 others done"
    return told


def killed(run: Run, folder: str) -> str:
    """Kill one of the workers as soon as both are at a task of a second; what became of the eight tasks."""
    killer = os.fork()
    if killer == 0:
        while len(list(Path(folder).iterdir())) < WORKERS:
            time.sleep(0.01)
        time.sleep(SECOND / 4)
        os.kill(int(min(Path(folder).iterdir()).name.split(".")[1]), signal.SIGKILL)
        os._exit(0)
    began = time.perf_counter()
    found = run(sleep, [(place, folder) for place in range(8)])
    os.waitpid(killer, 0)
    done = sum(result == place for place, result in enumerate(found))
    starts = sum(len(path.read_text()) for path in Path(folder).iterdir())
    return f"{done} done, {starts} started, {time.perf_counter() - began:.1f} s"


# --- What is installed -----------------------------------------------------------------------------------


def installed(package: str) -> dict[str, str]:
    """Version, licence and what the package adds to numpy and pandas: packages and MB on disk."""
    about = importlib.metadata.metadata(package)
    added = closure(package) - closure("numpy") - closure("pandas")
    size = sum(
        path.stat().st_size
        for name in added
        for file in importlib.metadata.files(name) or []
        if (path := Path(str(file.locate()))).is_file()
    )
    return {
        "version": about["Version"],
        "licence": about.get("License-Expression") or about.get("License", "").splitlines()[0],
        "packages beyond numpy and pandas": str(len(added)),
        "MB of them on disk": f"{size / 1e6:.0f}",
    }


def closure(package: str) -> set[str]:
    """A package and what it needs, without extras, as far as it is installed."""
    found: set[str] = set()
    todo = [package]
    while todo:
        name = re.sub(r"[-_.]+", "-", todo.pop()).lower()
        try:
            needs = importlib.metadata.requires(name) or []
        except importlib.metadata.PackageNotFoundError:
            continue
        if name not in found:
            found.add(name)
            todo += [re.split(r"[^\w.-]", need)[0] for need in needs if "extra ==" not in need]
    return found


# --- What the processes do -------------------------------------------------------------------------------


def family() -> list[int]:
    """This process and all below it."""
    parents = {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(path.parent.name)] = int(path.read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    found = [os.getpid()]
    for one in found:
        found += [pid for pid, parent in parents.items() if parent == one]
    return found


def memory() -> float:
    """MiB of all processes, what they share counted once."""
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in family()]
    return sum(int(found[1]) for text in texts if (found := re.search(r"^Pss:\s+(\d+)", text, re.MULTILINE))) / 1024


def seconds_of_cpu() -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split() for pid in family()]
    return sum(int(value) for one in fields for value in one[11:15]) / TICKS


def listening() -> list[str]:
    """Addresses on which the processes accept connections, with how many ports each."""
    inodes = set()
    for pid in family():
        for link in Path(f"/proc/{pid}/fd").iterdir():
            try:
                inodes.add(str(link.readlink()))
            except OSError:
                continue
    counts: dict[str, int] = {}
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == "0A" and f"socket:[{fields[9]}]" in inodes:
                where = address(fields[1].split(":")[0])
                counts[where] = counts.get(where, 0) + 1
    return [f"{where} ({count} ports)" for where, count in sorted(counts.items())]


def address(coded: str) -> str:
    if not coded.strip("0"):
        return "every interface"
    octets = [str(int(coded[-8:][at : at + 2], 16)) for at in (6, 4, 2, 0)]
    return "loopback" if octets[0] == "127" else "an outer interface"


# --- The table -------------------------------------------------------------------------------------------


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=1000)
    parser.add_argument("--python", nargs="*", default=[sys.executable], help="interpreters to ask")
    parser.add_argument("--inside", choices=list(ENGINES), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.inside:
        present = importlib.util.find_spec(ENGINES[given.inside][0]) is not None
        print("\n" + json.dumps(measured(given.inside, given.tasks) if present else None))
        return
    columns = {}
    for at, python in enumerate(given.python, 1):
        for name in ENGINES:
            command = [python, __file__, "--inside", name, "--tasks", str(given.tasks)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                sys.exit(f"{name} failed:\n{done.stderr}")
            found = json.loads(done.stdout.splitlines()[-1])
            if found is None:
                print(f"skipped: {name} is not installed for interpreter {at}", file=sys.stderr)
            else:
                columns.setdefault(name, found)
    rows = dict.fromkeys(row for column in columns.values() for row in column)
    print(f"| {time.strftime('%Y-%m-%d')} | {' | '.join(columns)} |")
    print(f"|---|{'---|' * len(columns)}")
    for row in rows:
        print(f"| {row} | {' | '.join(column.get(row, '–') for column in columns.values())} |")


if __name__ == "__main__":
    main()

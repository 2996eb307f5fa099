"""kill -9 of a scheduler, a worker or the parent of a forecast on a Dask cluster of this machine.

    python experiments/faults/cluster_kills.py --kills 12 [--seed N] [--minutes M]

An undisturbed local run gives the bytes to reach. Then, for every kill, a scheduler and two workers are started on
127.0.0.1 (docs/cluster.md) and ``tradecast forecast --cluster`` with them; at a random moment one of the three is
killed. The command must end without a traceback; the same command again, on a cluster that is whole, must end with
exit code 0 and the bytes of the local run.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import kills

VICTIMS = ("scheduler", "worker", "parent", "worker and its nanny")
STARTED_SECONDS = 60.0


@dataclass
class Cluster:
    """A scheduler and two workers of this machine, each a process group of its own."""

    folder: Path
    port: int
    processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def start(self) -> None:
        scheduler = ("scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard")
        self._process("scheduler", *scheduler)
        until = time.monotonic() + STARTED_SECONDS
        while socket.socket().connect_ex(("127.0.0.1", self.port)):
            if time.monotonic() > until:
                raise SystemExit("The scheduler does not answer.")
            time.sleep(0.1)
        for name in ("worker 1", "worker 2"):
            self._process(name, "worker", self.address, "--host", "127.0.0.1", "--nthreads", "1", "--no-dashboard",
                          "--memory-limit", "1GiB", "--local-directory", str(self.folder))  # fmt: skip
        while sum(len(kills.workers_of(one.pid)) > 0 for one in self.processes.values()) < 2:
            if time.monotonic() > until:
                raise SystemExit("The workers do not start.")
            time.sleep(0.1)
        time.sleep(3)  # until they have said so to the scheduler

    def _process(self, name: str, *words: str) -> None:
        given = {**os.environ, "PYTHONPATH": str(kills.OURS), "DASK_DISTRIBUTED__SCHEDULER__WORKER_SATURATION": "1.0"}
        with (self.folder / f"{name}.log").open("wb") as log:
            self.processes[name] = subprocess.Popen(
                ["dask", *words], env=given, stdout=log, stderr=log, start_new_session=True
            )

    def kill(self, victim: str) -> None:
        """The scheduler; the process of a worker alone, that its nanny then starts again; or both of them."""
        if victim == "scheduler":
            os.kill(self.processes["scheduler"].pid, signal.SIGKILL)
        elif victim == "worker":
            for pid in kills.workers_of(self.processes["worker 1"].pid)[-1:]:
                os.kill(pid, signal.SIGKILL)
        else:
            os.killpg(self.processes["worker 1"].pid, signal.SIGKILL)

    def leave(self) -> None:
        for one in self.processes.values():
            with contextlib.suppress(ProcessLookupError):
                os.killpg(one.pid, signal.SIGKILL)
            one.wait()
        self.processes.clear()


@contextlib.contextmanager
def cluster(folder: Path) -> Iterator[Cluster]:
    folder.mkdir(exist_ok=True)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        made = Cluster(folder, free.getsockname()[1])
    made.start()
    try:
        yield made
    finally:
        made.leave()


@contextlib.contextmanager
def project(root: Path) -> Iterator[Path]:
    home = root / "run" / "home"
    shutil.copytree(root / "project", home)
    try:
        yield home
    finally:
        shutil.rmtree(root / "run", ignore_errors=True)


def one(root: Path, want: kills.State, victim: str, after: float) -> list[str]:
    """What was wrong after this kill."""
    wrong: list[str] = []
    with project(root) as home, cluster(root / "dask") as there:
        words = (*kills.PANEL, "--cluster", there.address)
        child = kills.start(home, words)
        time.sleep(after)
        if victim == "parent":
            os.kill(child, signal.SIGKILL)
        else:
            there.kill(victim)
        code = kills.wait(child, kills.LONGEST_SECONDS)
        heard = kills.said()
        if code not in (0, 1, 2) and victim != "parent":
            wrong.append(f"it ended with {code}: {heard}")
        if "Traceback" in kills.ACCOUNT.read_text(errors="replace"):
            wrong.append(f"traceback: {heard}")
        print(f"{victim} after {after:.1f} s: {code} {heard[-160:]}", flush=True)
        if victim != "parent":
            there.leave()
            there.start()
        code = kills.wait(kills.start(home, words), kills.LONGEST_SECONDS)
        wrong += [f"run again it ended with {code}: {kills.said()}"] if code else []
        wrong += [] if code else kills.differences(want, kills.state(home))
    return wrong


def undisturbed(root: Path) -> tuple[kills.State, float]:
    """What a local run leaves, and the seconds that one on the cluster takes."""
    with project(root) as home:
        if code := kills.wait(kills.start(home, (*kills.PANEL, "--workers", "2")), kills.LONGEST_SECONDS):
            raise SystemExit(f"The local run ended with {code}: {kills.said()}")
        want = kills.state(home)
    with project(root) as home, cluster(root / "dask") as there:
        began = time.monotonic()
        code = kills.wait(kills.start(home, (*kills.PANEL, "--cluster", there.address)), kills.LONGEST_SECONDS)
        seconds = time.monotonic() - began
        if found := [f"exit code {code}: {kills.said()}"] if code else kills.differences(want, kills.state(home)):
            raise SystemExit(f"On the cluster: {'; '.join(found)}")
    return want, seconds


def main() -> None:
    from forecasting.seeds import stream

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--kills", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=10**6)
    asked = parser.parse_args()
    until = time.monotonic() + 60 * asked.minutes
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended: the processes of the cluster leave as well"))
    kills.load_everything()
    told: Counter[str] = Counter()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="tradecast-cluster-kills-") as folder:
        root = Path(folder).resolve()
        kills.make_project(root / "project")
        want, seconds = undisturbed(root)
        print(f"On the cluster alone: {seconds:.1f} s, the bytes of a local run", flush=True)
        draw = stream(asked.seed, "cluster kills")
        for number in range(asked.kills):
            if time.monotonic() > until:
                break
            victim = VICTIMS[number % len(VICTIMS)]
            wrong = one(root, want, victim, float(draw.random()) * seconds)
            told[victim] += 1
            failures += bool(wrong)
            if wrong:
                print(f"FAILED {victim}: {'; '.join(wrong)[:1500]}", flush=True)
    kills.ACCOUNT.unlink(missing_ok=True)
    print(
        f"{told.total()} kills ({', '.join(f'{count} of {name}' for name, count in told.items())}), {failures} failed"
    )
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

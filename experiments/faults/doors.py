"""Generated inputs for every door: each must end in success or in one of our one-line errors, within a time limit.

    python experiments/faults/doors.py --inputs 10000                 # every door
    python experiments/faults/doors.py --inputs 10000 --door user_file --seed 1
    python experiments/faults/doors.py --door user_file --seed 1 --only 4711   # one input again, with its traceback

An input is made from the seed, the door and its number alone, so that each can be made again. Valid files are damaged
(``door_mutations``) or written from a grammar whose truth is known: what comes out of those must be that truth, in
the unit of the catalogue, or be refused. Failures are grouped by the place in the code; exit code 1 if there is one.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from random import Random

from door_checks import WrongAnswerError, check_line

ROOT = Path(__file__).resolve().parents[2]
CPU_SECONDS, WALL_SECONDS = 20, 120
"""The limit of one input; the second is for what waits, on a machine that others use as well."""
MEMORY = 6 * 2**30


class TooSlow(BaseException):
    """Raised by the clock: no reader may catch it as one of its errors."""


@dataclass
class Tally:
    """How the inputs of one door ended."""

    door: str
    read: int = 0
    refused: int = 0
    slowest: float = 0.0
    seconds: float = 0.0
    failures: Counter[str] = field(default_factory=Counter)
    first: dict[str, int] = field(default_factory=dict)

    @property
    def inputs(self) -> int:
        return self.read + self.refused + self.failures.total()

    def line(self) -> str:
        kinds = Counter(one.partition(" ")[0] for one in self.failures.elements())
        wrong, slow = kinds.pop("WrongAnswerError", 0), kinds.pop("TooSlow", 0)
        cells = (self.door, self.inputs, self.read, self.refused, sum(kinds.values()), slow, wrong)
        return f"| {' | '.join(map(str, cells))} | {self.slowest:.2f} | {self.seconds:.0f} |"


HEAD = (
    "| door | inputs | read | refused in one line | tracebacks | over the limit | wrong | slowest s | all s |\n"
    "|---|---|---|---|---|---|---|---|---|"
)


@contextlib.contextmanager
def limited() -> Iterator[None]:
    """TooSlow after so many seconds."""

    def ring(*_: object) -> None:
        raise TooSlow

    clocks = ((signal.SIGALRM, signal.ITIMER_REAL, WALL_SECONDS), (signal.SIGPROF, signal.ITIMER_PROF, CPU_SECONDS))
    for sign, clock, seconds in clocks:
        signal.signal(sign, ring)
        signal.setitimer(clock, seconds)
    try:
        yield
    finally:
        for _, clock, _ in clocks:
            signal.setitimer(clock, 0)


def where(error: BaseException) -> str:
    """Kind and last place in the package (else anywhere) of an error; the words of what came out wrong."""
    if isinstance(error, WrongAnswerError):
        return f"WrongAnswerError {' '.join(str(error).split())[:160]}"
    frames = traceback.extract_tb(error.__traceback__)
    ours = [one for one in frames if f"{os.sep}forecasting{os.sep}" in one.filename] or frames
    last = ours[-1] if ours else None
    place = f"{Path(last.filename).name}:{last.lineno} {last.name}" if last else "?"
    return f"{type(error).__name__} {place}"


def knock(door, tally: Tally, random: Random) -> BaseException | None:  # type: ignore[no-untyped-def]
    """One input; the error that must not be, or None."""
    from forecasting.errors import ForecastingError

    start = time.perf_counter()
    try:
        with limited(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                door(random)
            except ForecastingError as error:
                check_line(str(error))
                tally.refused += 1
            else:
                tally.read += 1
    except (Exception, TooSlow) as error:
        return error
    finally:
        tally.slowest = max(tally.slowest, time.perf_counter() - start)
    return None


def run(name: str, door, inputs: int, seed: int, seconds: float) -> Tally:  # type: ignore[no-untyped-def]
    """So many inputs at one door, or as many as these seconds allow."""
    tally, start = Tally(name), time.perf_counter()
    for number in range(inputs):
        if time.perf_counter() - start > seconds:
            break
        error = knock(door, tally, Random(f"{seed} {name} {number}"))
        if error is not None:
            said = where(error)
            tally.failures[said] += 1
            tally.first.setdefault(said, number)
    tally.seconds = time.perf_counter() - start
    return tally


def main() -> None:
    words = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    words.add_argument("--inputs", type=int, default=1000, help="per door")
    words.add_argument("--door", action="append", help="one of them, again for more; none: all")
    words.add_argument("--seed", type=int, default=0)
    words.add_argument("--seconds", type=float, default=float("inf"), help="per door, at most")
    words.add_argument("--only", type=int, help="this one input, with its traceback")
    given = words.parse_args()
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"TRADECAST_HOME": folder, "TRADECAST_CACHE": f"{folder}/cache", "COLUMNS": "110"}
        from door_list import doors

        known = doors(Path(folder))
        if strange := set(given.door or ()) - set(known):
            sys.exit(f"No door {', '.join(strange)}: there are {', '.join(known)}.")
        chosen = [name for name in known if not given.door or name in given.door]
        if given.only is not None:
            known[chosen[0]](Random(f"{given.seed} {chosen[0]} {given.only}"))
            return
        print(HEAD, flush=True)
        tallies = []
        for name in chosen:
            tallies.append(run(name, known[name], given.inputs, given.seed, given.seconds))
            print(tallies[-1].line(), flush=True)
    for one in tallies:
        kinds = Counter(said[:60] for said in one.failures.elements())
        shown = {said[:60]: said for said in one.failures}
        for kind, times in kinds.most_common(15):
            said = shown[kind]
            print(f"{one.door}: {times} x {said} (first: --only {one.first[said]})")
    sys.exit(any(one.failures for one in tallies))


if __name__ == "__main__":
    main()

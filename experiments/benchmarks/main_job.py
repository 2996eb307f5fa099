"""What `tradecast forecast` costs: wall and CPU seconds and peak memory, first and warm, and `tradecast --help`.

    python experiments/benchmarks/main_job.py

Each run is a fresh process; the first has an empty cache folder of its own.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
import time

RUN = "from forecasting.cli import main; main()"


def measured(words: list[str], cache: str) -> tuple[float, float, float]:
    """Wall seconds, CPU seconds (workers included) and peak MiB of the largest process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    environment = os.environ | {"TRADECAST_CACHE": cache}
    subprocess.run([sys.executable, "-c", RUN, *words], env=environment, check=True, stdout=subprocess.DEVNULL)
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, after.ru_maxrss / 1024


def main() -> None:
    rows = []
    with tempfile.TemporaryDirectory() as cache:
        for name, words in (("help", ["--help"]), ("first", ["forecast"]), ("warm", ["forecast"])):
            rows.append((name, *measured(words, cache)))
    print("run     wall s   CPU s   peak MiB")
    for name, wall, cpu, peak in rows:
        print(f"{name:6} {wall:7.1f} {cpu:7.2f} {peak:10.0f}")


if __name__ == "__main__":
    main()

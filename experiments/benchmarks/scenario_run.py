"""What `tradecast scenario run` of six scenarios costs beside the plain forecast of the same months.

    python experiments/benchmarks/scenario_run.py [--model ensemble] [--horizon 13]

Each run is a fresh process with an empty cache of its own; nothing is logged to MLflow. The last line is the same once
more, with the cache that the first one left.
"""

from __future__ import annotations

import argparse
import tempfile

from main_job import measured

SIX = ("status-quo", "car-ban-all", "lng-half", "lng-stop", "measures-lifted", "combined-tightening")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="ensemble")
    parser.add_argument("--horizon", default="13")
    given = parser.parse_args()
    options = ["--model", given.model, "--horizon", given.horizon]
    with tempfile.TemporaryDirectory() as plain, tempfile.TemporaryDirectory() as kept:
        forecast = measured(["forecast", *options], plain)
        first = measured(["scenario", "run", *SIX, *options, "--no-track"], kept)
        warm = measured(["scenario", "run", *SIX, *options, "--no-track"], kept)
    print("run                      wall s   CPU s   peak MiB")
    for name, (wall, cpu, peak) in (("forecast", forecast), ("six scenarios", first), ("six again, cached", warm)):
        print(f"{name:22} {wall:8.1f} {cpu:7.1f} {peak:10.0f}")
    print(f"six scenarios / forecast: {first[1] / forecast[1]:.2f} in CPU seconds (target 2)")


if __name__ == "__main__":
    main()

"""The same readers under a coverage-guided fuzzer, where one is installed (`pip install atheris`, Python 3.11 or 3.12).

    python experiments/faults/doors_guided.py user_file -max_total_time=300
    python experiments/faults/doors_guided.py scenario CORPUS_FOLDER -max_total_time=300

Doors: user_file, experiment, scenario, measures, or the name of a source. It stops at the first input that ends in
anything but success or one of our errors, and keeps it as crash-*.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import atheris

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tests")]
with atheris.instrument_imports(include=["forecasting"]):
    from forecasting import experiments_file, measures, scenario_file, store, vintage_store
    from forecasting.errors import ForecastingError
    from forecasting.sources import user_file
    from forecasting.sources.base import Raw
    from forecasting.sources.registry import SOURCES, source

import answers_made as made  # noqa: E402

READERS = {
    "user_file": user_file.read_observations,
    "experiment": experiments_file.read_experiment,
    "scenario": lambda path: scenario_file.read_scenario(path, {}),
    "measures": measures.read_measures,
}


def main() -> None:
    name = sys.argv.pop(1)
    if name not in (*READERS, *SOURCES):
        sys.exit(f"No door {name}: there are {', '.join((*READERS, *SOURCES))}.")
    catalogue = vintage_store.with_declared(store.read_catalogue(ROOT / "data"), list(SOURCES))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "input"

        def knock(content: bytes) -> None:
            try:
                if name in READERS:
                    path.write_bytes(content)
                    READERS[name](path)
                else:
                    source(name).parse(Raw(content, "x", made.FETCHED), catalogue)
            except ForecastingError:
                pass

        atheris.Setup(sys.argv, knock)
        atheris.Fuzz()


if __name__ == "__main__":
    main()

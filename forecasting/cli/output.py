"""Files that commands write, and what they say of them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def write_table(table: pd.DataFrame, out: str | Path | None) -> None:
    """Write a table to a file by its ending, or as csv to standard output (``-``)."""
    from forecasting import store

    if out == "-":
        sys.stdout.write(store.csv_text(table))
    elif out:
        store.write_table(table, Path(out))


def say_written(*paths: str | Path | None) -> None:
    """Name each file that was written, on standard error."""
    for path in paths:
        if path and path != "-":
            print(f"Written: {path}", file=sys.stderr)

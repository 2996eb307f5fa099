"""Where people read: the terminal as wide as it is, a file or pipe as plain text of a fixed width."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 110


def console() -> Console:
    """Standard output for rich; a reader who has gone (`| head`) stops no command: what is left goes nowhere."""
    from rich.console import Console

    class Patient(Console):
        def on_broken_pipe(self) -> None:  # rich would leave with exit code 1, and nothing would be tracked
            discard_output()

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH
    return Patient(highlight=False, markup=False, width=wide)


def discard_output() -> None:
    """Send what is still to be printed nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())

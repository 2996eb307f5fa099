"""Where people read: the terminal as wide as it is, a file or pipe as plain text of a fixed width."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

PLAIN_WIDTH = 110


def console() -> Console:
    """Standard output for rich."""
    from rich.console import Console

    wide = None if sys.stdout.isatty() or "COLUMNS" in os.environ else PLAIN_WIDTH
    return Console(highlight=False, markup=False, width=wide)

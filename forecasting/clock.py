"""What time it is, asked in one place: days are those of UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime


def now() -> datetime:
    """The time (UTC); tests put another in its place."""
    return datetime.now(UTC)


def today() -> date:
    """The day of ``now``."""
    return now().date()

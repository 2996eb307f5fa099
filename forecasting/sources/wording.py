"""How cells and counts appear in messages."""

from __future__ import annotations


def shown(cell: object) -> str:
    """A cell in quotes: one line, and not too long."""
    text = str(cell)
    return repr(text if len(text) <= 40 else text[:39] + "…")


def counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def some(names: list[str]) -> str:
    """The first few names, and how many more there are."""
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")

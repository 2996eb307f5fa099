"""What must hold of whatever a door says."""

from __future__ import annotations

LONGEST_LINE = 1500


class WrongAnswerError(AssertionError):
    """What came out of a door cannot be right."""


def check_line(said: str) -> None:
    """An error is one line, not endless, and moves no terminal."""
    if "\n" in said or not said.strip():
        raise WrongAnswerError(f"not one line: {said[:200]!r}")
    if len(said) > LONGEST_LINE:
        raise WrongAnswerError(f"a line of {len(said)} characters")
    check_text(said)


def check_text(text: str) -> None:
    """What is shown in a terminal moves no cursor."""
    if strange := [one for one in text if not one.isprintable() and one not in "\n\xa0\u202f\u3000\ufeff"]:
        raise WrongAnswerError(f"unprintable {strange[0]!r} in what is shown")

"""What git says of the project, asked in one place: the only one that starts another program."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any


def git_state(project: Path) -> dict[str, Any] | None:
    """Commit of the project and whether files differ from it; nothing where there is no repository."""
    if not (project / ".git").exists():
        return None
    commit = _answer(project, "rev-parse", "HEAD")
    changed = _answer(project, "status", "--porcelain", "--untracked-files=no")
    return None if commit is None or changed is None else {"commit": commit, "dirty": bool(changed)}


def _answer(project: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(["git", "-C", str(project), *words], capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None

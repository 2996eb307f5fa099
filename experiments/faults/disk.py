"""A disk that is full or may not be written, under every journey of kills.py: one line, exit code 2, nothing lost.

    sudo python experiments/faults/disk.py [--journey NAME]

The project lies on a small tmpfs of its own (mounting it needs root). Ballast leaves FREE bytes, or the disk is made
read-only; the command runs; then there is room again and the same command must end with the bytes of an undisturbed
run. Where a command can go on without what it could not write, exit code 0 and a remark is as good.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
import kills

SIZE = 40_000_000
FREE = (0, 9_000, 60_000, 250_000)


@contextlib.contextmanager
def disk(at: Path) -> Iterator[Path]:
    at.mkdir(exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(at)], check=True)
    try:
        yield at
    finally:
        subprocess.run(["umount", "-l", str(at)], check=True)


def fill(at: Path, free: int) -> Path:
    """A file that leaves about this many bytes."""
    ballast = at / "ballast"
    with contextlib.suppress(OSError), ballast.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(65_536))
    room = os.statvfs(at)
    missing = free - room.f_bavail * room.f_frsize
    if missing > 0:
        os.truncate(ballast, max(ballast.stat().st_size - missing, 0))
    return ballast


def remount(at: Path, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,{how},size={SIZE}", str(at)], check=True)


def one(campaign: kills.Campaign, journey: kills.Journey, at: Path, free: int | None) -> list[str]:
    """What went wrong with ``free`` bytes left; None: read-only."""
    template, before, after = campaign.begun[journey.name]
    with campaign.copy(template) as home:
        (home.parent / "tmp").mkdir(exist_ok=True)
        ballast = None
        if free is None:
            remount(at, "ro")
        else:
            ballast = fill(at, free)
        code = kills.wait(kills.start(home, journey.words), kills.LONGEST_SECONDS)
        heard = kills.said()
        wrong = [f"exit code {code}"] * (code not in (0, 2)) + ["traceback"] * (
            "Traceback" in kills.ACCOUNT.read_text()
        )
        print(f"  {journey.name}, {'read-only' if free is None else f'{free} bytes free'}: {code} {heard[-260:]}")
        if ballast is None:
            remount(at, "rw")
        else:
            ballast.unlink()
        wrong += kills.torn(home, before, after, journey)
        code = kills.wait(kills.start(home, journey.words), kills.LONGEST_SECONDS)
        wrong += [f"with room again it ended with {code}: {kills.said()}"] if code else []
        wrong += kills.differences(after, kills.state(home, journey.named)) if not code else []
    return wrong


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--journey", action="append", choices=[one.name for one in kills.JOURNEYS])
    asked = parser.parse_args()
    chosen = [one for one in kills.JOURNEYS if (not asked.journey or one.name in asked.journey) and not one.workers]
    kills.load_everything()
    failures = 0
    with tempfile.TemporaryDirectory(prefix="tradecast-disk-") as folder:
        root = Path(folder).resolve()
        campaign = kills.begun(root, chosen)
        with disk(root / "disk") as at:
            campaign.root = at
            for journey in chosen:
                for free in (*FREE, None):
                    wrong = one(campaign, journey, at, free)
                    failures += bool(wrong)
                    if wrong:
                        print(f"FAILED {journey.name}, {free} bytes free: {'; '.join(wrong)[:1200]}", flush=True)
    print(f"{len(chosen) * (len(FREE) + 1)} runs, {failures} failed")
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()

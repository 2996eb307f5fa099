"""Known vulnerabilities of the pinned versions, by pip-audit: red for one without a stated exception.

A mirror of the package index may know no advisories and say nothing of it, so a version of long ago with well-known
ones is asked about first: if nothing is known of that, nothing was audited, and this is said.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
PINS, EXCEPTIONS = HERE.parent / "constraints.txt", HERE / "audit-exceptions.txt"
CANARY = "jinja2==2.10\n"
EXCEPTION = re.compile(r"(?P<id>[A-Za-z0-9-]+)\s+#\s*(?P<reason>\S.*)")
PATIENCE, MINUTES = 2, 10  # for the version that is asked about first, and for all pins


def exceptions(text: str) -> dict[str, str]:
    """Identifiers of advisories that do not concern us, each with its reason."""
    found = {}
    for line in filter(None, map(str.strip, text.splitlines())):
        if line.startswith("#"):
            continue
        if not (said := EXCEPTION.fullmatch(line)):
            raise SystemExit(f"{EXCEPTIONS.name}: {line!r}: write an identifier and its reason: CVE-2026-1 # why")
        found[said["id"]] = said["reason"]
    return found


def verdict(canary: Mapping[str, Any], report: Mapping[str, Any], accepted: Mapping[str, str]) -> tuple[int, list[str]]:
    """Exit code and lines, from pip-audit's JSON of the canary and of the pins."""
    if not any(one.get("vulns") for one in canary.get("dependencies", ())):
        return 0, ["NOT AUDITED: no advisory service could be reached (a mirror may hold none). Nothing is known."]
    pins: Sequence[Mapping[str, Any]] = report.get("dependencies", ())
    lines, red = [], 0
    for one in pins:
        for flaw in one.get("vulns", ()):
            reason = next((accepted[name] for name in (flaw["id"], *flaw.get("aliases", ())) if name in accepted), "")
            red += not reason
            mended = ", ".join(flaw.get("fix_versions", ())) or "nothing yet"
            lines.append(
                f"{one['name']} {one['version']}: {flaw['id']}, mended by {mended}. {reason or 'NO EXCEPTION'}"
            )
    missed = [one["name"] for one in pins if "skip_reason" in one]
    audited = len(pins) - len(missed)
    lines += [f"Not known to the service: {', '.join(missed)}."] if missed else []
    if not audited:
        return 1, [*lines, "The service answered, but about none of the pins: look at constraints.txt."]
    return int(red > 0), [*lines, f"{audited} pinned versions audited, {red} vulnerabilities without an exception."]


def _asked(pins: str, minutes: int) -> dict[str, Any]:
    """What pip-audit says of these pins; nothing where it could not ask."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as file:
        file.write(pins)
        file.flush()
        words = ["-r", file.name, "--no-deps", "--disable-pip", "--format", "json", "--progress-spinner", "off"]
        try:
            done = subprocess.run(
                [sys.executable, "-m", "pip_audit", *words], capture_output=True, text=True, timeout=60 * minutes
            )
            return dict(json.loads(done.stdout))
        except (subprocess.TimeoutExpired, ValueError):
            return {}


def main() -> None:
    accepted = exceptions(EXCEPTIONS.read_text(encoding="utf-8"))
    canary = _asked(CANARY, PATIENCE)
    reached = any(one.get("vulns") for one in canary.get("dependencies", ()))
    code, lines = verdict(canary, _asked(PINS.read_text(encoding="utf-8"), MINUTES) if reached else {}, accepted)
    print("\n".join(lines))
    sys.exit(code)


if __name__ == "__main__":
    main()

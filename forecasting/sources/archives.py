"""Files inside a ZIP, read within limits: counted while they are unpacked, never by what the archive says of itself."""

from __future__ import annotations

import io
import zipfile

from forecasting.errors import DataError
from forecasting.sources.base import Raw

MOST_BYTES = 400_000_000
MOST_RATIO = 200
MOST_FILES = 200
_STEP = 1 << 16
_SMALL = 1 << 20


def is_zip(content: bytes) -> bool:
    """Whether these bytes begin as a ZIP does."""
    return content.startswith(b"PK\x03\x04")


def members(raw: Raw) -> list[tuple[str, bytes]]:
    """Name (for messages only) and bytes of every file; DataError for a bomb, a broken or a locked archive."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw.content)) as archive:
            inside = [one for one in archive.infolist() if not one.is_dir()]
            if len(inside) > MOST_FILES:
                raise DataError(
                    f"{raw.address}: expected at most {MOST_FILES} files in the ZIP, found {len(inside)}:"
                    " unpack it by hand."
                )
            total, found = 0, []
            for one in inside:
                content = _unpacked(archive, one, raw, total)
                total += len(content)
                found.append((one.filename, content))
    except DataError:
        raise
    except Exception as error:  # damaged archives end zipfile in a dozen ways, IndexError and struct.error among them
        raise DataError(
            f"{raw.address}: expected a whole, unlocked ZIP, found one that cannot be unpacked"
            f" ({type(error).__name__}): fetch it again, or unpack it by hand and ingest the files."
        ) from None
    return found


def _unpacked(archive: zipfile.ZipFile, one: zipfile.ZipInfo, raw: Raw, before: int) -> bytes:
    made = bytearray()
    with archive.open(one) as stream:
        while piece := stream.read(_STEP):
            made += piece
            total = before + len(made)
            if total > MOST_BYTES or (total > _SMALL and total > MOST_RATIO * len(raw.content)):
                raise DataError(
                    f"{raw.address}: expected a ZIP of at most {MOST_BYTES:,} bytes, {MOST_RATIO} times its size,"
                    " found more (a zip bomb?): nothing was read."
                )
    return bytes(made)

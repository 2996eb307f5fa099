"""Damage as files suffer it, and worse: bytes, lines, figures, words, encodings, parts of archives, trees."""

from __future__ import annotations

import io
import json
import re
import zipfile
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

PIECES = (
    b"\x00", b"\xff", b"\xef\xbb\xbf", b"\xff\xfe", b"\r", b"\n", b"\r\n", b'"', b"'", b",", b";", b"\t", b"|", b"\\",
    b"#",
    b"[", b"]", b"{", b"}", b"=", b"<", b">", b"&", b"%", b"\x1a", b"\x1b[31m", b"\xe2\x80\xae", b"\xc2\xa0", b"\x80",
    b"\xed\xa0\x80", b"PK\x03\x04", b"PAR1", b"\x1f\x8b", b"\xe2\x80\xa8", b"\x0c", b"\x85",
)  # fmt: skip
FIGURES = (
    "", "0", "-0", "-1", "1e308", "1e309", "-1e400", "1e-400", "nan", "NaN", "inf", "-inf", "1" * 400, "9" * 5000,
    "0x10",
    "1_000", "1,5", "1.5", "1.234", "1.234,56", "1,234.56", "1 234", "1\u202f234", "１２", "٣", "²", "½", "Ⅷ", "1e",
    "--1", "+-1",
    "1..2", "00012", "0000", "9999", "10000", "99999999999", "2147483648", "9223372036854775808", "-", "–", "…",
    "true", "null",
    "999999-12", "0000-01", "2024-13", "2024-00", "1677-09", "2262-05", "9999-12", "2024-02-30",
)  # fmt: skip
WORDS = (
    "", " ", "\u3000", "=1+1", "@SUM(A1)", "../../x", "/etc/passwd", "C:\\x", "CON", "a" * 300, "a" * 70_000, "\x00",
    "\x1b]0;x\x07",
    "\u202e", "\ud7ff", "\U0001f600", "ı", "İ", "ß", "ſ", "K", "é", "é", "<script>", "{{x}}", "${x}", "%s", "{0}", "*",
    "[", "[!",
    "?", ".", "..", "None", "nan", "NULL", "#REF!", "inf", "NaT", "baseline", "month", "series", "value", "unit",
)  # fmt: skip
ENCODINGS = ("utf-16", "utf-16-le", "utf-32", "utf-8-sig", "cp1252", "cp932", "utf-7", "euc-jp", "cp037")

Mutate = Callable[[bytes, Random], bytes]


def mutated(content: bytes, random: Random, words: Sequence[str] = (), others: Sequence[bytes] = ()) -> bytes:
    """These bytes after one to four mishaps; ``words`` are those of the format, ``others`` more files of its kind."""
    if content.startswith(b"PK\x03\x04") and random.random() < 0.8:
        return _repacked(content, random, words)
    if content.lstrip()[:1] == b"{" and random.random() < 0.5:
        content = _tree(content, random, words)
    mishaps = [_cut, _written_over, _inserted, _doubled, _lines, _figure, _figure, _figure, _word, _word, _encoded]
    for _ in range(random.randint(1, 4)):
        if random.random() < 0.05 and others:
            other = random.choice(others)
            content = content[: random.randint(0, len(content))] + other[random.randint(0, len(other)) :]
            continue
        mishap = random.choice(mishaps)
        content = mishap(content, random, words) if mishap in (_figure, _word) else mishap(content, random)
    return content


def _place(content: bytes, random: Random, most: int = 40) -> tuple[int, int]:
    at = random.randint(0, len(content))
    return at, min(len(content), at + random.choice((0, 1, 2, 4, random.randint(0, most))))


def _cut(content: bytes, random: Random, *_: Any) -> bytes:
    at, end = _place(content, random, max(len(content), 1))
    return content[:at] if random.random() < 0.3 else content[:at] + content[end:]


def _written_over(content: bytes, random: Random, *_: Any) -> bytes:
    at, end = _place(content, random)
    return content[:at] + random.randbytes(max(end - at, 1)) + content[end:]


def _inserted(content: bytes, random: Random, *_: Any) -> bytes:
    at, end = _place(content, random)
    piece = random.choice(PIECES) * random.choice((1, 1, 1, 2, 50))
    return content[:at] + piece + content[random.choice((at, end)) :]


def _doubled(content: bytes, random: Random, *_: Any) -> bytes:
    at, end = _place(content, random, 2000)
    return content[:end] + content[at:end] * random.choice((1, 1, 3)) + content[end:]


def _lines(content: bytes, random: Random, *_: Any) -> bytes:
    lines = content.split(b"\n")
    one, two = random.randrange(len(lines)), random.randrange(len(lines))
    kind = random.randrange(5)
    if kind == 0:
        del lines[one]
    elif kind == 1:
        lines.insert(two, lines[one])
    elif kind == 2:
        lines[one], lines[two] = lines[two], lines[one]
    elif kind == 3:
        random.shuffle(lines)
    else:
        lines[one] = b"".join((lines[one], random.choice(PIECES), lines[two]))
    return b"\n".join(lines)


def _replaced(content: bytes, random: Random, pattern: bytes, new: bytes) -> bytes:
    found = list(re.finditer(pattern, content))
    if not found:
        return content
    one = random.choice(found)
    return content[: one.start()] + new + content[one.end() :]


def _figure(content: bytes, random: Random, words: Sequence[str]) -> bytes:
    new = random.choice((*FIGURES, str(random.randint(0, 99)), str(round(random.lognormvariate(3, 5), 3))))
    return _replaced(content, random, rb"[0-9]+([.,][0-9]+)*", _bytes(new))


def _word(content: bytes, random: Random, words: Sequence[str]) -> bytes:
    new = random.choice(words) if words and random.random() < 0.6 else random.choice(WORDS)
    pattern = random.choice((rb"[A-Za-z_]+", rb'"[^"\n]*"', rb"[^,;\t\n]+", rb"(?<=[,;\t=>])[^,;\t\n<]*"))
    return _replaced(content, random, pattern, _bytes(new))


def _encoded(content: bytes, random: Random, *_: Any) -> bytes:
    if random.random() < 0.7:
        return content
    text = content.decode(random.choice(("utf-8", "cp932", "cp1252")), "ignore")
    return text.encode(random.choice(ENCODINGS), random.choice(("replace", "ignore")))


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


# --- Inside of containers ----------------------------------------------------------------------------------


def _repacked(content: bytes, random: Random, words: Sequence[str]) -> bytes:
    """The archive with one member damaged, renamed, lost or doubled."""
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as new:
        names = old.namelist()
        hit, kind = (
            random.choice(names),
            random.choice(("damage", "damage", "damage", "damage", "lose", "rename", "bomb")),
        )
        for name in names:
            part = old.read(name)
            if name == hit and kind == "damage":
                part = mutated(part, random, words)
            if name == hit and kind == "bomb":
                part += b" " * random.choice((10**5, 10**7))
            if name != hit or kind != "lose":
                called = (
                    random.choice(("../" + name, "/" + name, "", "a\x00b", name.upper())) if kind == "rename" else name
                )
                new.writestr(zipfile.ZipInfo(called, date_time=(2020, 1, 1, 0, 0, 0)), part, zipfile.ZIP_DEFLATED)
    return made.getvalue()


def _tree(content: bytes, random: Random, words: Sequence[str]) -> bytes:
    """JSON with one branch replaced, lost or doubled."""
    try:
        tree = json.loads(content)
    except ValueError:
        return content
    places: list[tuple[Any, Any]] = []

    def walk(node: Any) -> None:
        items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
        for key, child in list(items):
            places.append((node, key))
            walk(child)

    walk(tree)
    for _ in range(random.randint(1, 3)):
        if not places:
            break
        node, key = random.choice(places)
        try:
            _branch(node, key, random, words)
        except (KeyError, IndexError):
            continue
    return json.dumps(tree, ensure_ascii=random.random() < 0.5).encode("utf-8", "surrogatepass")


def _branch(node: Any, key: Any, random: Random, words: Sequence[str]) -> None:
    new: tuple[Any, ...] = (
        None, True, False, 0, -1, 1.5, 1e308, float("inf"), float("nan"), 10**400, "", [], {}, [[]], [None], {"": None},
        random.choice((*WORDS, *words)), random.choice(FIGURES), [node[key]], {"a": node[key]}, str(node[key]),
    )  # fmt: skip
    kind = random.random()
    if kind < 0.7:
        node[key] = random.choice(new)
    elif kind < 0.85:
        del node[key]
    elif isinstance(node, list):
        node.insert(key, node[key])
    else:
        node[random.choice((*WORDS, *words))] = node[key]

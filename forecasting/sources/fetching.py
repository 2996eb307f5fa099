"""The one HTTP client: polite, patient within limits, and silent about keys.

Everything that touches the world is passed in (sleep, clock, random numbers, where bytes are kept), so that tests
need neither time nor network.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from hashlib import sha256
from pathlib import Path
from urllib.parse import parse_qsl, quote, urljoin, urlsplit, urlunsplit

import requests
import urllib3

from forecasting.errors import SourceError, UnreachableError
from forecasting.seeds import stream
from forecasting.sources.base import Address, Ask, Raw, Source

AGENT = "tradecast (monthly trade statistics; a few requests a month)"
SECRET = (
    "appid",
    "subscription-key",
    "subscriptionkey",
    "key",
    "api_key",
    "apikey",
    "api-key",
    "token",
    "access_token",
)
AGAIN = (408, 425, 429, 500, 502, 503, 504)
MOVED = (301, 302, 303, 307, 308)
MISSING = (404, 410)
MOST_REDIRECTS = 5
LONGEST_WAIT = 120.0
_STEP = 1 << 16

Progress = Callable[[str, int, int | None], None]


@dataclass(frozen=True)
class Limits:
    """How long and how often is tried, in seconds; how many bytes one answer may have."""

    connect: float = 15.0
    read: float = 60.0
    whole: float = 1800.0
    tries: int = 4
    pause: float = 1.0
    backoff: float = 2.0
    most_bytes: int = 500_000_000


@dataclass
class Client:
    """Fetches from the hosts of one publisher, over https only.

    ``hosts``: exact names that may be asked, redirects included; ``also`` are hosts that the user named.
    ``memory``: a folder for validators (ETag, Last-Modified) and broken downloads; without one nothing is remembered.
    ``kept``: bytes by SHA-256, so that "not modified" can be answered; None for what is kept no more.
    ``unopened``: hosts that could not be reached twice; clients of one run share it, and none of them waits for such
    a host again until a connection to it opens.
    ``progress``: told the address, the bytes so far and the whole if known, after every piece.
    ``insecure_local``: plain http to 127.0.0.1, for tests.
    """

    hosts: tuple[str, ...]
    also: tuple[str, ...] = ()
    memory: Path | None = None
    kept: Callable[[str], bytes | None] = lambda digest: None
    progress: Progress = lambda address, done, whole: None
    unopened: set[str] = field(default_factory=set)
    limits: Limits = Limits()
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    jitter: Callable[[], float] = field(default_factory=lambda: stream(0, "fetching").random)
    insecure_local: bool = False
    _asked: dict[str, float] = field(default_factory=dict, init=False, repr=False)
    _session: requests.Session | None = field(default=None, init=False, repr=False)

    def get(self, address: Address) -> Raw | None:
        """What is there; None where an optional address has nothing (404). SourceError for anything else.

        A host that cannot be reached at all is tried twice in a run (UnreachableError), whatever ``limits.tries``.
        """
        download = _Download(address, self._remembered(address))
        with _quiet():
            for attempt in range(self.limits.tries):
                wait = self._attempt(download)
                if wait is None:
                    return self._result(download)
                if download.unopened and (attempt or download.host in self.unopened):
                    self.unopened.add(download.host)
                    break
                if attempt + 1 < self.limits.tries:
                    self.sleep(self._patience(download, wait, attempt))
        self._put_by(download)
        if download.unopened:
            raise UnreachableError(_said(address, "found no connection", "check the network, or try again later"))
        raise _error(address, f"found {download.trouble} ({self.limits.tries} tries)", "try again later")

    def _attempt(self, download: _Download) -> float | None:
        """One try; None when the answer is complete, otherwise the seconds the server asks to wait (0: it does not)."""
        download.unopened = False
        try:
            with self._answer(download) as answer:
                self.unopened.discard(download.host)
                return self._take(download, answer)
        except requests.exceptions.SSLError:
            raise _error(
                download.address, "found a certificate that cannot be checked", "check the clock and the network"
            ) from None
        except (requests.exceptions.ConnectionError, urllib3.exceptions.HTTPError) as error:
            download.trouble = _broken(error, len(download.body))
            download.unopened = _never_opened(error)
        except requests.exceptions.Timeout:
            download.trouble = "no answer in time"
        except requests.exceptions.RequestException as error:
            raise _error(download.address, f"found {type(error).__name__}", "check the address") from None
        return 0.0

    def _answer(self, download: _Download) -> requests.Response:
        """The first answer that is no redirect, its body still unread."""
        url, headers = download.address.url, download.headers()
        for _ in range(MOST_REDIRECTS + 1):
            self._check(url, download.address)
            self._be_polite(url)
            download.host = urlsplit(url).netloc
            answer = self._open().get(
                url.partition("#")[0],
                headers=headers,
                stream=True,
                allow_redirects=False,
                timeout=(self.limits.connect, self.limits.read),
            )
            if answer.status_code not in MOVED or "location" not in answer.headers:
                return answer
            target = urljoin(url, answer.headers["location"])
            answer.close()
            if urlsplit(target).netloc != urlsplit(url).netloc:
                headers = {name: headers[name] for name in headers if name not in download.address.headers}
            url = target
        raise _error(download.address, f"found more than {MOST_REDIRECTS} redirects", "open it in a browser")

    def _take(self, download: _Download, answer: requests.Response) -> float | None:
        status = answer.status_code
        if status in AGAIN:
            download.trouble = "too many requests (429)" if status == 429 else f"a server error ({status})"
            return self._asked_to_wait(answer)
        if status == 304 and download.known:
            download.body = bytearray(download.known.content)
            return None
        if status in MISSING and download.address.optional:
            download.absent = True
            return None
        if status == 416 and download.body:
            download.start_again()
            download.trouble = "a download that cannot be resumed"
            return 0.0
        if status not in (200, 206):
            raise _refused(download.address, status)
        download.begin(answer)
        self._read(download, answer)
        return None

    def _read(self, download: _Download, answer: requests.Response) -> None:
        """The body piece by piece, within the limits of size and time."""
        whole, most, until = download.whole(answer), self.limits.most_bytes, self.clock() + self.limits.whole
        if whole is not None and whole > most:
            raise _too_long(download.address, f"{whole:,} bytes announced", most)
        # Unlike iter_content this hands over what came before a connection breaks, so that it can be continued.
        while piece := answer.raw.read1(_STEP, decode_content=True):
            download.body += piece
            if len(download.body) > most:
                raise _too_long(download.address, f"more than {most:,} bytes", most)
            self.progress(redacted(download.address.url), len(download.body), whole)
            if self.clock() > until:
                raise requests.exceptions.ReadTimeout
        if whole is not None and not download.encoded and len(download.body) < whole:
            raise requests.exceptions.ConnectionError

    def _result(self, download: _Download) -> Raw | None:
        self._forget(download)
        if download.absent:
            return None
        made = Raw(bytes(download.body), redacted(download.address.url), self.now())
        if self.memory is not None and download.validators and not download.partial_wanted:
            _write(
                self._file(download.address, "json"),
                json.dumps({**download.validators, "digest": made.digest}).encode(),
            )
        return made

    def _patience(self, download: _Download, asked: float, attempt: int) -> float:
        if asked > LONGEST_WAIT:
            raise _error(
                download.address,
                f"found {download.trouble}",
                f"try again in {asked / 60:.0f} minutes, as the server asks",
            )
        return max(asked, self.limits.backoff * 2**attempt * (0.5 + self.jitter()))

    def _asked_to_wait(self, answer: requests.Response) -> float:
        """Seconds of Retry-After, written as a number or as a date."""
        text = answer.headers.get("retry-after", "").strip()
        if text.isdecimal():
            return float(text[:9])
        try:
            return max(0.0, (parsedate_to_datetime(text) - self.now()).total_seconds())
        except (ValueError, TypeError):
            return 0.0

    def _be_polite(self, url: str) -> None:
        host = urlsplit(url).netloc
        if host in self._asked:
            left = self._asked[host] + self.limits.pause - self.clock()
            if left > 0:
                self.sleep(left)
        self._asked[host] = self.clock()

    def _check(self, url: str, address: Address) -> None:
        try:
            parts = urlsplit(url)
            host, local = parts.hostname or "", self.insecure_local and parts.hostname == "127.0.0.1"
            _ = parts.port
        except ValueError:
            raise _error(address, "found an address that is none", "mend it") from None
        if local:
            return
        if parts.scheme != "https" or parts.username is not None:
            raise _error(address, f"found {parts.scheme or 'no'} in place of plain https", "use https only")
        if host not in (*self.hosts, *self.also):
            named = ", ".join((*self.hosts, *self.also))
            raise _error(address, f"found the host {host}, which is not one of {named}", "name the host to allow it")

    def _open(self) -> requests.Session:
        if self._session is None:
            self._session = requests.Session()
            self._session.headers.update({"User-Agent": AGENT, "Accept-Encoding": "identity"})
            # A proxy of the environment is honoured, but not for this machine itself.
            self._session.trust_env = not self.insecure_local
        return self._session

    def _remembered(self, address: Address) -> _Known | None:
        """Validators and bytes of the last time, or a broken download; None where nothing usable is kept."""
        if self.memory is None or "Range" in address.headers:
            return None
        for ending in ("part.json", "json"):
            try:
                told = json.loads(self._file(address, ending).read_bytes())
                part = ending == "part.json"
                content = self._file(address, "part").read_bytes() if part else self.kept(told["digest"])
            except (OSError, ValueError, KeyError, TypeError):
                continue
            if content and sha256(content).hexdigest() == told.get("digest"):
                return _Known(told.get("etag", ""), told.get("last_modified", ""), content, part)
        return None

    def _put_by(self, download: _Download) -> None:
        """A broken download is kept for the next run, where the server can tell whether it is still the same file."""
        if self.memory is None or not download.resumable:
            return
        digest = sha256(download.body).hexdigest()
        _write(self._file(download.address, "part"), bytes(download.body))
        told = json.dumps({**download.validators, "digest": digest})
        _write(self._file(download.address, "part.json"), told.encode())

    def _forget(self, download: _Download) -> None:
        if self.memory is not None:
            for ending in ("part.json", "part"):
                with suppress(OSError):  # what is not forgotten is held against its digest
                    self._file(download.address, ending).unlink()

    def _file(self, address: Address, ending: str) -> Path:
        assert self.memory is not None
        # The name is a digest of the address without its key: nothing of the address is ever a path.
        return self.memory / f"{sha256(redacted(address.url).encode()).hexdigest()[:32]}.{ending}"


@dataclass(frozen=True)
class _Known:
    """What the last time left: the validators of a file and its bytes, whole or in part."""

    etag: str
    last_modified: str
    content: bytes
    part: bool


@dataclass
class _Download:
    """One address on its way: the bytes so far and what they may be continued with."""

    address: Address
    known: _Known | None = None
    body: bytearray = field(default_factory=bytearray)
    validators: dict[str, str] = field(default_factory=dict)
    encoded: bool = False
    absent: bool = False
    trouble: str = "nothing"
    host: str = ""
    unopened: bool = False

    def __post_init__(self) -> None:
        if self.known and self.known.part:
            self.body = bytearray(self.known.content)
            self.validators = {"etag": self.known.etag, "last_modified": self.known.last_modified}
            self.known = None

    @property
    def partial_wanted(self) -> bool:
        return "Range" in self.address.headers

    @property
    def validator(self) -> str:
        """What If-Range may carry: a strong ETag, else the date."""
        etag = self.validators.get("etag", "")
        return etag if etag and not etag.startswith("W/") else self.validators.get("last_modified", "")

    @property
    def resumable(self) -> bool:
        return bool(self.body and self.validator and not self.encoded and not self.partial_wanted)

    def headers(self) -> dict[str, str]:
        made = dict(self.address.headers)
        if self.resumable:
            return {**made, "Range": f"bytes={len(self.body)}-", "If-Range": self.validator}
        self.body = bytearray()
        if self.known and self.known.etag:
            made["If-None-Match"] = self.known.etag
        if self.known and self.known.last_modified:
            made["If-Modified-Since"] = self.known.last_modified
        return made

    def begin(self, answer: requests.Response) -> None:
        """Go on where the bytes ended if the server does, else from the start."""
        goes_on = answer.status_code == 206 and not self.partial_wanted
        if goes_on and _range_start(answer) != len(self.body):
            self.start_again()
            raise requests.exceptions.ConnectionError
        if not goes_on:
            self.start_again()
        self.encoded = answer.headers.get("content-encoding", "identity") not in ("", "identity")
        told = {"etag": answer.headers.get("etag", ""), "last_modified": answer.headers.get("last-modified", "")}
        self.validators = {name: value for name, value in told.items() if value} or self.validators

    def start_again(self) -> None:
        self.body, self.validators = bytearray(), {}

    def whole(self, answer: requests.Response) -> int | None:
        length = answer.headers.get("content-length", "")
        return len(self.body) + int(length[:18]) if length.isdecimal() and not self.encoded else None


def gather(source: Source, ask: Ask, get: Callable[[Address], Raw | None]) -> Iterator[Raw]:
    """Walk the steps of a source and yield what is a file of it; ``get`` is usually ``client.get``."""
    steps = source.steps(ask)
    answer: Raw | None = None
    try:
        address = next(steps)
        while True:
            answer = get(address)
            if answer is not None and source.recognises(answer):
                yield answer
            address = steps.send(answer)
    except StopIteration:
        return


def redacted(url: str) -> str:
    """The address with the values of keys blanked, fit for messages, logs and tables; its fragment stays."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "an address that cannot be read"
    query = "&".join(
        f"{quote(name, safe='-_.[]')}={'…' if name.lower() in SECRET else quote(value, safe='+,:-_./*')}"
        for name, value in parse_qsl(parts.query, keep_blank_values=True)
    )
    if not any(name.lower() in SECRET for name, _ in parse_qsl(parts.query, keep_blank_values=True)):
        query = parts.query
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, query, parts.fragment))


def _broken(error: Exception, done: int) -> str:
    """In words of our own: the library's message holds the address with its key."""
    if isinstance(error, (requests.exceptions.Timeout, urllib3.exceptions.TimeoutError)) or "timed out" in str(error):
        return "no answer in time"
    return f"a connection that broke after {done:,} bytes" if done else "no connection"


def _never_opened(error: BaseException) -> bool:
    """Whether no connection was made, to the host or its proxy; one that was only slow may be there later."""
    while not isinstance(error, urllib3.exceptions.NewConnectionError):
        inner = getattr(error, "reason", None) or getattr(error, "original_error", None) or next(iter(error.args), None)
        if not isinstance(inner, BaseException):
            return False
        error = inner
    return True


def _error(address: Address, found: str, do: str) -> SourceError:
    return SourceError(_said(address, found, do))


def _said(address: Address, found: str, do: str) -> str:
    return f"{redacted(address.url)}: expected {address.expected}, {found}: {do}."


def _refused(address: Address, status: int) -> SourceError:
    if status in MISSING:
        return _error(
            address, f"found nothing there ({status})", "the publisher may have moved it; see tradecast data sources"
        )
    if status in (401, 403):
        return _error(address, f"found the door closed ({status})", "check the key, or open the address in a browser")
    return _error(address, f"found status {status}", "open the address in a browser")


def _too_long(address: Address, found: str, most: int) -> SourceError:
    return _error(address, f"found {found}", f"stopped at the limit of {most:,} bytes; nothing was kept")


def _range_start(answer: requests.Response) -> int | None:
    text = answer.headers.get("content-range", "")
    start = text.removeprefix("bytes ").partition("-")[0].strip()
    return int(start[:18]) if start.isdecimal() else None


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all; what cannot be remembered is fetched again."""
    made = path.with_name(f"{path.name}.new")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        made.write_bytes(content)
        made.replace(path)


class _Blank(logging.Filter):
    """Takes query strings out of what urllib3 would log."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(one.partition("?")[0] if isinstance(one, str) else one for one in record.args)
        return True


@contextmanager
def _quiet() -> Iterator[None]:
    logger, blank = logging.getLogger("urllib3.connectionpool"), _Blank()
    logger.addFilter(blank)
    try:
        yield
    finally:
        logger.removeFilter(blank)

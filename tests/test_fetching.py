"""The client against a server that is slow, drops, lies, refuses, repeats itself or never ends; no test waits."""

from __future__ import annotations

import gzip
import logging
import ssl
import threading
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import pandas as pd
import pytest
import requests
import urllib3
from japan_customs_bytes import catalogue, totals_file, zipped

from forecasting.catalogue import Catalogue
from forecasting.errors import CatalogueError, DataError, SourceError, UnreachableError
from forecasting.sources.base import Address, Ask, Raw
from forecasting.sources.fetching import Client, Limits, gather, redacted
from forecasting.sources.japan_customs_series import SOURCE as SERIES
from forecasting.sources.registry import SOURCES, source

Answer = Callable[[BaseHTTPRequestHandler, int], None]
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
WHOLE = bytes(range(256)) * 40


def send(handler: BaseHTTPRequestHandler, content: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    told = {name.replace("_", "-"): value for name, value in headers.items()}
    for name, value in {"Content-Length": str(len(content)), **told}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


@dataclass
class Server:
    """A server of this machine: what each path answers, and what it was asked."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: dict[str, list[dict[str, str]]] = field(default_factory=lambda: defaultdict(list))
    over: threading.Event = field(default_factory=threading.Event)
    url: str = ""

    def says(self, path: str, *answers: Answer) -> Address:
        """This path answers so, one after another, the last for ever."""
        self.answers[path] = lambda handler, count: answers[min(count, len(answers) - 1)](handler, count)
        return Address(f"{self.url}{path}", "a CSV of trade")


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def end_headers(self) -> None:
            self.send_header("Connection", "close")
            super().end_headers()

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            made.asked[path].append({**dict(self.headers), "path": self.path})
            self.close_connection = True
            with suppress(OSError):
                made.answers[path](self, len(made.asked[path]) - 1)

        def log_message(self, *_: object) -> None: ...

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"http://127.0.0.1:{http.server_address[1]}"
    yield made
    made.over.set()
    http.shutdown()
    thread.join()
    http.server_close()


@dataclass
class Clock:
    """A clock that moves only when someone sleeps."""

    at: float = 1000.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.at += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def client(clock: Clock) -> Client:
    limits = Limits(connect=10.0, read=10.0, tries=3, most_bytes=100_000)
    return Client(
        ("www.customs.go.jp",), limits=limits, sleep=clock.sleep, clock=lambda: clock.at, now=lambda: NOW,
        jitter=lambda: 0.5, insecure_local=True,
    )  # fmt: skip


def refused(client: Client, address: Address) -> str:
    """The one line that says where, what was expected, and what to do."""
    with pytest.raises(SourceError) as error:
        client.get(address)
    said = str(error.value)
    assert "\n" not in said
    assert said.startswith(redacted(address.url))
    assert f"expected {address.expected}" in said
    assert error.value.__suppress_context__ or error.value.__context__ is None
    return said


def test_what_is_there_comes_as_it_is(server: Server, client: Client) -> None:
    told: list[tuple[str, int, int | None]] = []
    address = server.says("/a.csv", lambda handler, _: send(handler, WHOLE))
    raw = replace(client, progress=lambda *one: told.append(one)).get(address)
    assert raw == Raw(WHOLE, address.url, NOW)
    assert raw.digest == sha256(WHOLE).hexdigest()
    assert told[-1] == (address.url, len(WHOLE), len(WHOLE))
    assert "tradecast" in server.asked["/a.csv"][0]["User-Agent"]


def test_the_fragment_is_not_sent_but_stays_in_the_address(server: Server, client: Client) -> None:
    address = server.says("/a.csv", lambda handler, _: send(handler, WHOLE))
    raw = client.get(Address(f"{address.url}?x=1#covers=2026-08", "a CSV"))
    assert raw is not None
    assert raw.address.endswith("/a.csv?x=1#covers=2026-08")
    assert server.asked["/a.csv"][0]["path"] == "/a.csv?x=1"


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503, 504])
def test_a_passing_failure_is_tried_again_with_growing_pauses(
    server: Server, client: Client, clock: Clock, status: int
) -> None:
    busy = lambda handler, _: send(handler, b"busy", status)  # noqa: E731
    raw = client.get(server.says("/a.csv", busy, busy, lambda handler, _: send(handler, WHOLE)))
    assert raw is not None
    assert raw.content == WHOLE
    assert clock.slept == [2.0, 4.0]


def test_pauses_are_shaken_within_bounds_and_the_same_in_every_run(
    clock: Clock, server: Server, client: Client
) -> None:
    address = server.says("/a.csv", lambda handler, _: send(handler, b"", 500))
    runs = []
    for _ in range(2):
        mine = Clock()
        fresh = Client(
            ("x.example",), limits=client.limits, sleep=mine.sleep, clock=lambda: 0.0, now=lambda: NOW,
            insecure_local=True,
        )  # fmt: skip
        refused(fresh, address)
        runs.append([one for one in mine.slept if one != client.limits.pause])
    assert runs[0] == runs[1]
    assert 1.0 <= runs[0][0] <= 3.0
    assert 2.0 <= runs[0][1] <= 6.0


def test_a_lasting_failure_is_said(server: Server, client: Client) -> None:
    assert "found a server error (500) (3 tries): try again later" in refused(
        client, server.says("/a.csv", lambda handler, _: send(handler, b"", 500))
    )
    assert len(server.asked["/a.csv"]) == 3


@pytest.mark.parametrize("asked", ["17", "Sun, 22 Nov 2026 12:00:17 GMT"])
def test_a_server_that_asks_to_wait_is_waited_for(server: Server, client: Client, clock: Clock, asked: str) -> None:
    busy = lambda handler, _: send(handler, b"", 429, Retry_After=asked)  # noqa: E731
    assert client.get(server.says("/a.csv", busy, lambda handler, _: send(handler, WHOLE)))
    assert clock.slept == [17.0]


def test_a_server_that_asks_to_wait_for_long_is_left(server: Server, client: Client, clock: Clock) -> None:
    address = server.says("/a.csv", lambda handler, _: send(handler, b"", 429, Retry_After="3600"))
    assert "too many requests (429): try again in 60 minutes" in refused(client, address)
    assert not clock.slept


@pytest.mark.parametrize("asked", ["soon", "-5", "Sun, 22 Nov 2020 12:00:00 GMT", ""])
def test_a_senseless_wait_is_no_wait(server: Server, client: Client, clock: Clock, asked: str) -> None:
    busy = lambda handler, _: send(handler, b"", 503, Retry_After=asked)  # noqa: E731
    assert client.get(server.says("/a.csv", busy, lambda handler, _: send(handler, WHOLE)))
    assert clock.slept == [2.0]


def test_nothing_there_is_an_answer_only_where_it_may_be(server: Server, client: Client) -> None:
    address = server.says("/a.xml", lambda handler, _: send(handler, b"<html>no</html>", 404))
    assert client.get(replace(address, optional=True)) is None
    assert "found nothing there (404)" in refused(client, address)


@pytest.mark.parametrize(("status", "said"), [(403, "check the key"), (401, "check the key"), (418, "status 418")])
def test_a_refusal_is_not_repeated(server: Server, client: Client, status: int, said: str) -> None:
    assert said in refused(client, server.says("/a.csv", lambda handler, _: send(handler, b"", status)))
    assert len(server.asked["/a.csv"]) == 1


def hang(server: Server) -> Answer:
    return lambda handler, _: server.over.wait(5.0) and None


def test_a_server_that_does_not_answer_is_left(server: Server, client: Client) -> None:
    impatient = replace(client, limits=replace(client.limits, read=0.1, tries=2))
    assert "no answer in time (2 tries)" in refused(impatient, server.says("/a.csv", hang(server)))


def test_a_server_that_stops_in_the_middle_is_left(server: Server, client: Client) -> None:
    def half(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"x" * 10)
        handler.wfile.flush()
        server.over.wait(5.0)

    impatient = replace(client, limits=replace(client.limits, read=0.1, tries=1))
    assert "no answer in time" in refused(impatient, server.says("/a.csv", half))


def test_a_server_that_drips_is_left(server: Server, client: Client, clock: Clock) -> None:
    def drip(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not server.over.is_set():
            handler.wfile.write(b"1,2,3\n" * 20_000)

    slow = replace(client, limits=replace(client.limits, tries=1, whole=60.0, most_bytes=10**9))
    ticking = replace(slow, progress=lambda *_: clock.sleep(10.0))
    assert "no answer in time" in refused(ticking, server.says("/a.csv", drip))


def drop(handler: BaseHTTPRequestHandler, _: int) -> None:
    handler.connection.close()


def test_a_dropped_connection_is_tried_again(server: Server, client: Client) -> None:
    raw = client.get(server.says("/a.csv", drop, lambda handler, _: send(handler, WHOLE)))
    assert raw is not None
    assert raw.content == WHOLE
    assert "no connection (3 tries)" in refused(client, server.says("/b.csv", drop))


def test_nobody_at_home_is_said(client: Client, server: Server) -> None:
    address = Address("http://127.0.0.1:9/a.csv", "a CSV")  # the port of "discard", closed
    assert "no connection" in refused(replace(client, limits=replace(client.limits, tries=1)), address)


def unopened(*_: object, **__: object) -> requests.Response:
    raise requests.exceptions.ConnectionError(
        urllib3.exceptions.MaxRetryError(
            None, "/a.csv", urllib3.exceptions.NameResolutionError("x", None, OSError("Name or service not known"))
        )
    )


def no_proxy(*_: object, **__: object) -> requests.Response:
    inner = urllib3.exceptions.NewConnectionError(None, "[Errno 111] Connection refused")
    outer = urllib3.exceptions.ProxyError("Unable to connect to proxy", inner)
    raise requests.exceptions.ProxyError(urllib3.exceptions.MaxRetryError(None, "/a.csv", outer))


@pytest.mark.parametrize("world", [None, unopened, no_proxy])
def test_a_host_that_cannot_be_reached_is_waited_for_once_in_a_run(
    client: Client, clock: Clock, server: Server, monkeypatch: pytest.MonkeyPatch, world: Callable | None
) -> None:
    if world:
        monkeypatch.setattr(requests.Session, "get", world)
    shared: set[str] = set()
    unhurried = replace(client.limits, tries=4, pause=0.0)
    runs = [replace(client, limits=unhurried, unopened=shared) for _ in range(3)]
    for one in runs:
        for _ in range(2):
            with pytest.raises(UnreachableError, match="found no connection: check the network"):
                one.get(Address("http://127.0.0.1:9/a.csv", "a CSV"))
    assert clock.slept == [2.0]
    assert shared == {"127.0.0.1:9"}


def test_a_host_that_answers_again_is_tried_as_often_as_any(server: Server, client: Client, clock: Clock) -> None:
    address = server.says("/a.csv", lambda handler, _: send(handler, b"", 500))
    host = server.url.removeprefix("http://")
    assert "(3 tries)" in refused(mine := replace(client, unopened={host}), address)
    assert clock.slept == [2.0, 4.0]
    assert not mine.unopened


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectTimeout(
            urllib3.exceptions.MaxRetryError(None, "/", urllib3.exceptions.ConnectTimeoutError("timed out"))
        ),
        requests.exceptions.ConnectionError(urllib3.exceptions.ProtocolError("aborted", ConnectionResetError(104))),
        requests.exceptions.ReadTimeout(),
    ],
)
def test_what_was_slow_or_broke_keeps_its_tries(
    client: Client, clock: Clock, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fails(*_: object, **__: object) -> requests.Response:
        raise error

    monkeypatch.setattr(requests.Session, "get", fails)
    with pytest.raises(SourceError, match="3 tries") as caught:
        client.get(Address("http://127.0.0.1:9/a.csv", "a CSV"))
    assert not isinstance(caught.value, UnreachableError)
    assert clock.slept == [2.0, 4.0]


def half_of(content: bytes, at: int, **headers: str) -> Answer:
    """Announces all of it and breaks off."""

    def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(200)
        for name, value in {"Content-Length": str(len(content)), **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        handler.wfile.write(content[:at])

    return answer


def rest_of(content: bytes, etag: str) -> Answer:
    """Goes on where it is asked to while the ETag is the same, as the standard of HTTP has it."""

    def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
        wanted = handler.headers.get("Range", "")
        if not wanted or handler.headers.get("If-Range") != etag:
            return send(handler, content, ETag=etag)
        start = int(wanted.removeprefix("bytes=").rstrip("-"))
        span = f"bytes {start}-{len(content) - 1}/{len(content)}"
        return send(handler, content[start:], 206, ETag=etag, Content_Range=span)

    return answer


def test_half_a_file_is_no_file(server: Server, client: Client) -> None:
    said = refused(client, server.says("/a.csv", half_of(WHOLE, 3000)))
    assert "a connection that broke after 3,000 bytes" in said
    assert "Range" not in server.asked["/a.csv"][-1]  # nothing tells whether it would be the same file


def test_a_broken_download_goes_on_where_it_ended(server: Server, client: Client) -> None:
    raw = client.get(server.says("/a.csv", half_of(WHOLE, 3000, ETag='"v1"'), rest_of(WHOLE, '"v1"')))
    assert raw is not None
    assert raw.content == WHOLE
    again = server.asked["/a.csv"][1]
    assert (again["Range"], again["If-Range"]) == ("bytes=3000-", '"v1"')


def in_chunks(content: bytes, whole: bool, **headers: str) -> Answer:
    """An answer of unknown length, as servers of made pages give it; ended, or broken off."""

    def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(200)
        for name, value in {"Transfer-Encoding": "chunked", **headers}.items():
            handler.send_header(name, value)
        handler.end_headers()
        for at in range(0, len(content), 1000):
            piece = content[at : at + 1000]
            handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
        handler.wfile.write(b"0\r\n\r\n" if whole else b"ff\r\nbroken")

    return answer


def test_an_answer_in_chunks_is_whole_or_continued(server: Server, client: Client) -> None:
    raw = client.get(server.says("/a.csv", in_chunks(WHOLE, True)))
    assert raw is not None
    assert raw.content == WHOLE
    broken = in_chunks(WHOLE[:5000], False, ETag='"v1"')
    raw = client.get(server.says("/b.csv", broken, rest_of(WHOLE[:5000] + b"broken" + WHOLE, '"v1"')))
    assert raw is not None
    assert raw.content == WHOLE[:5000] + b"broken" + WHOLE
    assert "a connection that broke" in refused(client, server.says("/c.csv", in_chunks(WHOLE, False)))


def test_a_file_that_changed_meanwhile_is_fetched_anew(server: Server, client: Client) -> None:
    other = b"another file altogether"
    raw = client.get(server.says("/a.csv", half_of(WHOLE, 3000, ETag='"v1"'), rest_of(other, '"v2"')))
    assert raw is not None
    assert raw.content == other


def test_a_server_that_goes_on_at_the_wrong_place_is_not_believed(server: Server, client: Client) -> None:
    wrong = lambda handler, _: send(handler, WHOLE[10:], 206, Content_Range="bytes 10-99/100")  # noqa: E731
    whole = lambda handler, _: send(handler, WHOLE)  # noqa: E731
    raw = client.get(server.says("/a.csv", half_of(WHOLE, 3000, ETag='"v1"'), wrong, whole))
    assert raw is not None
    assert raw.content == WHOLE


def test_a_broken_download_goes_on_in_the_next_run(server: Server, client: Client, tmp_path: Path) -> None:
    mindful = replace(client, memory=tmp_path, limits=replace(client.limits, tries=1))
    address = server.says("/a.csv", half_of(WHOLE, 3000, ETag='"v1"'), rest_of(WHOLE, '"v1"'))
    refused(mindful, address)
    raw = replace(mindful).get(address)
    assert raw is not None
    assert raw.content == WHOLE
    assert server.asked["/a.csv"][1]["Range"] == "bytes=3000-"
    assert not list(tmp_path.glob("*.part*"))


def test_damaged_remains_of_a_download_are_not_used(server: Server, client: Client, tmp_path: Path) -> None:
    mindful = replace(client, memory=tmp_path, limits=replace(client.limits, tries=1))
    address = server.says("/a.csv", half_of(WHOLE, 3000, ETag='"v1"'), rest_of(WHOLE, '"v1"'))
    refused(mindful, address)
    next(tmp_path.glob("*.part")).write_bytes(b"damaged")
    raw = mindful.get(address)
    assert raw is not None
    assert raw.content == WHOLE
    assert "Range" not in server.asked["/a.csv"][1]


def unchanged(content: bytes, etag: str) -> Answer:
    def answer(handler: BaseHTTPRequestHandler, _: int) -> None:
        if handler.headers.get("If-None-Match") == etag:
            handler.send_response(304)
            handler.end_headers()
        else:
            send(handler, content, ETag=etag, Last_Modified="Sun, 22 Nov 2026 10:00:00 GMT")

    return answer


def test_what_has_not_changed_is_not_sent_again(server: Server, client: Client, tmp_path: Path) -> None:
    kept: dict[str, bytes] = {}
    mindful = replace(client, memory=tmp_path, kept=kept.get)
    address = server.says("/a.csv", unchanged(WHOLE, 'W/"v1"'))
    first = mindful.get(address)
    assert first is not None
    kept[first.digest] = first.content
    second = mindful.get(address)
    assert second is not None
    assert second.content == WHOLE
    asked = server.asked["/a.csv"][1]
    assert (asked["If-None-Match"], asked["If-Modified-Since"]) == ('W/"v1"', "Sun, 22 Nov 2026 10:00:00 GMT")
    kept.clear()
    third = mindful.get(address)
    assert third is not None
    assert third.content == WHOLE
    assert "If-None-Match" not in server.asked["/a.csv"][2]


def test_an_endless_answer_stops_at_the_limit(server: Server, client: Client) -> None:
    sent = []

    def endless(handler: BaseHTTPRequestHandler, _: int) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not server.over.is_set():
            handler.wfile.write(b"0" * 65536)
            sent.append(65536)

    assert "more than 100,000 bytes: stopped at the limit" in refused(client, server.says("/a.csv", endless))
    assert len(server.asked["/a.csv"]) == 1


def test_ten_gigabytes_announced_are_not_begun(server: Server, client: Client) -> None:
    address = server.says("/a.csv", lambda handler, _: send(handler, b"x", Content_Length="10000000000"))
    assert "10,000,000,000 bytes announced" in refused(client, address)


def test_an_answer_that_swells_when_unpacked_stops_at_the_limit(server: Server, client: Client) -> None:
    packed = gzip.compress(b"0" * 5_000_000)
    address = server.says("/a.csv", lambda handler, _: send(handler, packed, Content_Encoding="gzip"))
    assert "more than 100,000 bytes" in refused(client, address)
    raw = client.get(
        server.says("/b.csv", lambda handler, _: send(handler, gzip.compress(WHOLE), Content_Encoding="gzip"))
    )
    assert raw is not None
    assert raw.content == WHOLE


def test_redirects_are_followed_within_the_hosts_only(server: Server, client: Client) -> None:
    server.says("/b.csv", lambda handler, _: send(handler, WHOLE))
    raw = client.get(server.says("/a.csv", lambda handler, _: send(handler, b"", 302, Location="/b.csv")))
    assert raw is not None
    assert (raw.content, raw.address) == (WHOLE, f"{server.url}/a.csv")
    away = server.says("/c.csv", lambda handler, _: send(handler, b"", 302, Location="https://evil.example/x"))
    assert "found the host evil.example, which is not one of www.customs.go.jp" in refused(client, away)
    plain = server.says("/d.csv", lambda handler, _: send(handler, b"", 301, Location="http://www.customs.go.jp/x"))
    assert "in place of plain https" in refused(client, plain)
    circle = server.says("/e.csv", lambda handler, _: send(handler, b"", 302, Location="/e.csv"))
    assert "more than 5 redirects" in refused(client, circle)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("http://www.customs.go.jp/a.csv", "https only"),
        ("https://www.customs.go.jp.evil.example/a.csv", "not one of www.customs.go.jp, mine.example"),
        ("https://evil.example/www.customs.go.jp", "the host evil.example"),
        ("https://user:pass@www.customs.go.jp/a.csv", "https only"),
        ("https://127.0.0.1/a.csv", "the host 127.0.0.1"),
        ("file:///etc/passwd", "https only"),
        ("https://[bad/a.csv", "an address that"),
    ],
)
def test_only_https_and_only_the_hosts_that_are_named(client: Client, url: str, said: str) -> None:
    strict = replace(client, insecure_local=False, also=("mine.example",))
    with pytest.raises(SourceError) as error:
        strict.get(Address(url, "a CSV"))
    assert said in str(error.value)
    assert "pass" not in str(error.value).replace("passwd", "")


def test_a_host_that_the_user_names_is_asked(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def no_network(_: requests.Session, url: str, **__: object) -> requests.Response:
        asked.append(url)
        raise requests.exceptions.ConnectionError

    monkeypatch.setattr(requests.Session, "get", no_network)
    named = replace(client, also=("mine.example",), insecure_local=False)
    assert "no connection" in refused(named, Address("https://mine.example/a.csv", "a CSV"))
    assert asked == ["https://mine.example/a.csv"] * 3


def test_a_certificate_that_nobody_vouches_for_is_refused(client: Client, tmp_path: Path) -> None:
    http = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(_own_certificate(tmp_path))
    http.socket = context.wrap_socket(http.socket, server_side=True)
    http.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    said = refused(client, Address(f"https://127.0.0.1:{http.server_address[1]}/a.csv", "a CSV"))
    http.shutdown()
    thread.join()
    http.server_close()
    assert "a certificate that cannot be checked" in said


def _own_certificate(folder: Path) -> Path:
    x509 = pytest.importorskip("cryptography.x509")
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "127.0.0.1")])
    made = x509.CertificateBuilder(name, name, key.public_key(), 1, NOW - timedelta(9999), NOW + timedelta(9999))
    plain = serialization.NoEncryption()
    both = made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM) + key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain
    )
    (folder / "own.pem").write_bytes(both)
    return folder / "own.pem"


KEY = "s3cr3t-k3y"


def test_a_key_is_sent_and_seen_nowhere(
    server: Server, client: Client, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    told: list[str] = []
    kept: dict[str, bytes] = {}
    mindful = replace(client, memory=tmp_path, kept=kept.get, progress=lambda address, *_: told.append(address))
    server.says("/a.json", unchanged(WHOLE, '"v1"'))
    server.says("/b.json", lambda handler, _: send(handler, b"", 500))
    server.says("/c.json", drop)
    server.says("/d.json", lambda handler, _: send(handler, b"", 302, Location=f"http://x.example/?appId={KEY}"))
    raw = mindful.get(Address(f"{server.url}/a.json?appId={KEY}&lang=E", "JSON", {"Ocp-Apim-Subscription-Key": KEY}))
    assert raw is not None
    assert KEY in server.asked["/a.json"][0]["path"]
    seen = [raw.address, *told, caplog.text, *(one.read_text() for one in tmp_path.iterdir())]
    for path in ("/b.json", "/c.json", "/d.json"):
        seen.append(refused(mindful, Address(f"{server.url}{path}?subscription-key={KEY}", "JSON")))
    seen += [caplog.text, repr(mindful)]
    assert "urllib3" in caplog.text
    # Another key is the same address: what is remembered is not named after keys.
    mindful.get(Address(f"{server.url}/a.json?appId=other&lang=E", "JSON"))
    assert len(list(tmp_path.glob("*.json"))) == 1
    assert not [one for one in seen if KEY in one]
    assert raw.address == f"{server.url}/a.json?appId=…&lang=E"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("https://a.example/x?appId=1&b=2", "https://a.example/x?appId=…&b=2"),
        (
            "https://a.example/x?SUBSCRIPTION-KEY=1#covers=2026-08",
            "https://a.example/x?SUBSCRIPTION-KEY=…#covers=2026-08",
        ),
        ("https://u:p@a.example/x", "https://a.example/x"),
        ("https://a.example/x?files=1:2,3:4&period=202507", "https://a.example/x?files=1:2,3:4&period=202507"),
    ],
)
def test_addresses_are_shown_without_keys(url: str, shown: str) -> None:
    assert redacted(url) == shown


def test_requests_to_a_host_keep_their_distance(server: Server, client: Client, clock: Clock) -> None:
    address = server.says("/a.csv", lambda handler, _: send(handler, WHOLE))
    began = []
    for _ in range(3):
        client.get(address)
        began.append(clock.at)
    assert all(later - earlier >= client.limits.pause for earlier, later in pairwise(began))


def test_a_part_that_is_asked_for_is_a_part(server: Server, client: Client, tmp_path: Path) -> None:
    head = lambda handler, _: send(handler, WHOLE[:512], 206, ETag='"v"', Content_Range="bytes 0-511/999")  # noqa: E731
    address = replace(server.says("/a.csv", head), headers={"Range": "bytes=0-511"})
    raw = replace(client, memory=tmp_path).get(address)
    assert raw is not None
    assert raw.content == WHOLE[:512]
    assert not list(tmp_path.iterdir())


# A source through the client


def fetch(server: Server, client: Client, known: Catalogue) -> list[pd.DataFrame]:
    """What the reader of the time series makes of what this server says in place of the publisher."""
    ask = Ask(known, tuple(known), None, pd.Period("2026-08", "M"))

    def get(address: Address) -> Raw | None:
        return client.get(replace(address, url=f"{server.url}/{address.url.rpartition('/')[2]}"))

    return [SERIES.parse(raw, known).records for raw in gather(SERIES, ask, get)]


RUSSIA = catalogue(("jp_ru.exports.value", "mn_jpy"))
FILE = totals_file({"2026/01": (900, 800, 30_000, 50_000), "2026/02": (0, 0, 0, 0)}, ("224",), "中東欧", "C&E EUROPE")


def test_from_server_to_records(server: Server, client: Client) -> None:
    server.says("/d42ma006.csv", lambda handler, _: send(handler, FILE))
    (made,) = fetch(server, client, RUSSIA)
    assert made["value"].tolist() == [30.0]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (
            b"<!DOCTYPE html><html><head><title>Sorry, maintenance</title></head></html>",
            "web page 'Sorry, maintenance'",
        ),
        (FILE.replace(b"Exp-224", b"Export-224"), "found 'Export-224'"),
        (FILE.replace("千円".encode("cp932"), b"yen").replace(b"thousand ", b""), "expected figures in thousand yen"),
    ],
)
def test_something_else_in_place_of_a_file_is_said(server: Server, client: Client, content: bytes, said: str) -> None:
    server.says("/d42ma006.csv", lambda handler, _: send(handler, content))
    with pytest.raises(DataError) as error:
        fetch(server, client, RUSSIA)
    assert str(error.value).startswith(f"{server.url}/d42ma006.csv: expected ")
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_a_bomb_in_a_zip_is_refused_by_its_address(server: Server, client: Client) -> None:
    from forecasting.sources.japan_customs_files import SOURCE as FILES

    bomb = zipped(a_csv=b"Exp or Imp,Year" + b"0" * 30_000_000)
    assert len(bomb) < client.limits.most_bytes
    raw = client.get(server.says("/a.zip", lambda handler, _: send(handler, bomb)))
    assert raw is not None
    with pytest.raises(DataError, match=r"127\.0\.0\.1.*zip bomb"):
        FILES.parse(raw, RUSSIA)


def test_sources_are_known_by_name() -> None:
    assert {source(name).name for name in SOURCES} == set(SOURCES)
    for name in SOURCES:
        one = source(name)
        assert one.hosts
        assert one.licence
        assert one.attribution
    with pytest.raises(CatalogueError, match="Did you mean comtrade"):
        source("comtrad")

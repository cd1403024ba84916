"""Who may see the page, and what a stranger is answered."""

import asyncio
import logging
import re
import socket
from contextlib import closing

import pytest

from edgesr.runtime.sinks.base import Sink
from edgesr.runtime.sinks.web.address import Address

aiohttp = pytest.importorskip("aiohttp", reason="the page needs pip install 'edgesr[web]'")
pytest.importorskip("prometheus_client", reason="the page needs pip install 'edgesr[web]'")
cv2 = pytest.importorskip("cv2", reason="the page needs OpenCV")

from tests.runtime.sinks.feeder import LIMIT_S
from tests.runtime.sinks.web import TOKEN, asked, frame, watching

PATHS = ("/", "/page.js", "/watch", "/snapshot", "/snapshot/high.png", "/stats", "/metrics", "/healthz", "/nothing")


@pytest.mark.parametrize("path", PATHS)
def test_nothing_is_answered_without_the_token(guarded: Sink, path: str) -> None:
    for settings in (
        {},
        {"params": {"token": TOKEN[:-1]}},
        {"params": {"token": ""}},
        {"headers": {"Authorization": "Bearer tökën"}},
        {"headers": {"Authorization": f"Basic {TOKEN}"}},
        {"cookies": {"edgesr_viewer": TOKEN}},
    ):
        status, body, answer = asked(guarded, path, **settings)
        assert status == 401 and b"needs the token" in body and "Set-Cookie" not in answer.headers


def test_the_token_is_given_once_and_a_cookie_remembers_it(guarded: Sink) -> None:
    async def visit() -> None:
        jar = aiohttp.CookieJar(unsafe=True)  # an address of numbers
        async with aiohttp.ClientSession(guarded.title, cookie_jar=jar) as session:
            async with session.get("/", params={"token": TOKEN}) as answer:
                assert answer.status == 200
                cookie = answer.headers["Set-Cookie"]
                assert "HttpOnly" in cookie and "SameSite=Strict" in cookie and TOKEN not in cookie
            async with session.get("/stats") as answer:
                assert answer.status == 200
            async with session.ws_connect("/watch") as channel:
                assert "state" in await channel.receive_json()

    asyncio.run(visit())


def test_prometheus_gives_the_token_as_a_bearer(guarded: Sink) -> None:
    assert asked(guarded, "/metrics", headers={"Authorization": f"Bearer {TOKEN}"})[0] == 200


def test_the_token_is_shown_nowhere(guarded: Sink, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    said = [guarded.title, *guarded.notes, repr(Address.parse(f"//0.0.0.0:1?token={TOKEN}"))]
    for path in PATHS:
        _, body, answer = asked(guarded, path, params={"token": TOKEN})
        said += [body.decode(errors="replace"), str(answer.headers)]
    said += [record.getMessage() for record in caplog.records if not record.name.startswith("aiohttp.client")]
    assert not [text for text in said if TOKEN in text]


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8080", "127.0.0.1.evil.example", "", "[::1", "a b"])
def test_a_name_that_is_not_ours_is_refused(sink: Sink, host: str) -> None:
    status, body, _ = asked(sink, "/stats", headers={"Host": host})
    assert status in (400, 403) and b"state" not in body


@pytest.mark.parametrize("host", ["localhost:9000", "127.0.0.1", "[::1]:8080", "LOCALHOST"])
def test_a_tunnel_to_this_machine_is_answered(sink: Sink, host: str) -> None:
    assert asked(sink, "/stats", headers={"Host": host})[0] == 200


@pytest.mark.parametrize(
    "headers", [{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}]
)
def test_another_site_may_not_watch(sink: Sink, headers: dict[str, str]) -> None:
    async def watch() -> None:
        with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
            async with watching(sink, headers=headers):
                pass

    asyncio.run(watch())
    assert asked(sink, "/snapshot/high.png", headers=headers)[0] == 403


def test_our_own_page_may_watch(sink: Sink) -> None:
    async def watch() -> None:
        async with watching(sink, headers={"Origin": sink.title, "Sec-Fetch-Site": "same-origin"}) as viewer:
            await viewer.until(lambda: "state" in viewer.figures)

    asyncio.run(watch())
    assert asked(sink, "/", headers={"Sec-Fetch-Site": "cross-site"})[0] == 200, "a link to the page is fine"


@pytest.mark.parametrize(
    "path", ["/server.py", "/../server.py", "/%2e%2e/server.py", "//etc/passwd", "/page.html/..", "/snapshot/x.png"]
)
def test_no_file_but_the_page_is_served(sink: Sink, path: str) -> None:
    with closing(socket.create_connection(("127.0.0.1", int(sink.title.rsplit(":", 1)[1])), LIMIT_S)) as raw:
        raw.sendall(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
        assert b" 404 " in raw.recv(100)


def test_the_browser_is_told_to_load_nothing_from_elsewhere(sink: Sink) -> None:
    for path in PATHS[:1] + PATHS[3:]:
        headers = asked(sink, path)[2].headers
        assert "default-src 'none'" in headers["Content-Security-Policy"] and "Server" not in headers
        assert headers["X-Content-Type-Options"] == "nosniff" and headers["Referrer-Policy"] == "no-referrer"
    page = asked(sink)[1].decode()
    assert not re.findall(r"(?:src|href)=\"(?:https?:)?//", page)


@pytest.mark.parametrize(
    "data", [b"\0" * 9000, b"GET / HTTP/9.9\r\n\r\n", b"POST /watch HTTP/1.1\r\nContent-Length: -1\r\n\r\n"]
)
def test_what_is_no_http_breaks_nothing(sink: Sink, data: bytes) -> None:
    with closing(socket.create_connection(("127.0.0.1", int(sink.title.rsplit(":", 1)[1])), LIMIT_S)) as raw:
        raw.sendall(data)
    sink.write(frame())
    assert asked(sink, "/healthz")[0] == 200

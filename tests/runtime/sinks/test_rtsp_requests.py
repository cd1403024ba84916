"""The RTSP server and strangers: what it answers, and that no nonsense ends or blocks it."""

import random
import socket
import threading
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from tests.runtime.sinks.live import LIVE, WAIT_S, grey, wait_for

from edgesr.runtime.frame import Frame
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sinks.rtsp import connection as connection_module
from edgesr.runtime.sinks.rtsp import server as server_module
from edgesr.runtime.sinks.rtsp.credentials import Credentials
from edgesr.runtime.sinks.rtsp.rtp import PAYLOAD, Packetiser, nal_units, parameter_sets, sender_report


@pytest.fixture
def sink() -> Iterator[Any]:
    with open_sink("rtsp://:0/sr", LIVE) as served:
        served.write(Frame(grey(0), 0, 0))
        yield served


def dial(sink: Any) -> socket.socket:
    return socket.create_connection(("127.0.0.1", sink._server.port), timeout=WAIT_S)


def ask(connection: socket.socket, method: str, uri: str, **headers: str) -> tuple[int, dict[str, str], str]:
    """One request and its answer: status, headers, body."""
    lines = [f"{method} {uri} RTSP/1.0", "CSeq: 7", *(f"{name}: {value}" for name, value in headers.items())]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += connection.recv(65536)
    head, _blank, body = answer.partition(b"\r\n\r\n")
    first, *rest = head.decode().split("\r\n")
    found = {name.lower(): value for name, value in (line.split(": ", 1) for line in rest)}
    assert found["cseq"] == "7"
    while len(body) < int(found.get("content-length", "0")):
        body += connection.recv(65536)
    return int(first.split()[1]), found, body.decode()


def test_a_session_from_its_beginning_to_its_end(sink: Any) -> None:
    uri = sink.title
    with dial(sink) as viewer:
        assert "DESCRIBE" in ask(viewer, "OPTIONS", uri)[1]["public"]
        status, headers, sdp = ask(viewer, "DESCRIBE", uri, Accept="application/sdp")
        assert status == 200 and headers["content-base"] == f"{uri}/"
        assert "m=video 0 RTP/AVP 96\r\n" in sdp and "sprop-parameter-sets=Z" in sdp
        status, headers, _none = ask(viewer, "SETUP", f"{uri}/video", Transport="RTP/AVP/TCP;unicast;interleaved=2-3")
        session = headers["session"].partition(";")[0]
        assert status == 200 and headers["transport"].startswith("RTP/AVP/TCP;unicast;interleaved=2-3;ssrc=")
        assert ask(viewer, "PLAY", uri, Session="another")[0] == 454
        assert ask(viewer, "PLAY", uri, Session=session)[0] == 200
        assert sink._server.is_watched and ask(viewer, "SETUP", uri, Transport="RTP/AVP/TCP")[0] == 455
        sink.write(Frame(grey(1), 1, 10**8))
        assert viewer.recv(2) == b"$\x02"
    with dial(sink) as viewer:
        session = ask(viewer, "SETUP", f"{uri}/video", Transport="RTP/AVP/TCP")[1]["session"].partition(";")[0]
        assert ask(viewer, "PLAY", uri, Session=session)[0] == 200
        assert ask(viewer, "PAUSE", uri, Session=session)[0] == 200 and not sink._server.is_watched
        assert ask(viewer, "GET_PARAMETER", uri, Session=session)[0] == 200
        assert ask(viewer, "TEARDOWN", uri, Session=session)[0] == 200
        assert viewer.recv(100) == b""


@pytest.mark.parametrize(
    ("method", "uri", "headers", "status"),
    [
        ("DESCRIBE", "rtsp://h/other", {}, 404),
        ("DESCRIBE", "rtsp://[::1/sr", {}, 404),
        ("RECORD", "rtsp://h/sr", {}, 405),
        ("PLAY", "rtsp://h/sr", {}, 454),
        ("SETUP", "rtsp://h/sr", {}, 461),
        ("SETUP", "rtsp://h/sr", {"Transport": "RTP/AVP;multicast"}, 461),
        ("SETUP", "rtsp://h/sr", {"Transport": "RTP/AVP;unicast"}, 461),
        ("SETUP", "rtsp://h/sr", {"Transport": "RTP/AVP;unicast;client_port=0-1"}, 461),
        ("SETUP", "rtsp://h/sr", {"Transport": "RTP/AVP;unicast;client_port=70000-70001"}, 461),
        ("SETUP", "rtsp://h/sr", {"Transport": "RTP/AVP/TCP;interleaved=x"}, 461),
        ("SETUP", "rtsp://h/sr", {"Transport": "RTP/AVP/TCP;interleaved=255-256"}, 461),
        ("SETUP", "rtsp://h/sr", {"Transport": "RAW/RAW, RTP/AVP/TCP;interleaved=4-5"}, 200),
        ("SETUP", "rtsp://h/sr", {"Require": "implicit-play"}, 551),
    ],
)
def test_what_cannot_be_served_is_refused(
    method: str, uri: str, headers: dict[str, str], status: int, sink: Any
) -> None:
    with dial(sink) as viewer:
        assert ask(viewer, method, uri, **headers)[0] == status
        assert ask(viewer, "OPTIONS", uri)[0] == 200


@pytest.mark.parametrize(
    "nonsense",
    [
        b"GET / HTTP/1.1\r\nHost: h\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq: -1\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nno colon\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: 99999\r\n\r\n",
        b"OPTIONS * RTSP/1.0\r\nCSeq: 1\r\nContent-Length: -5\r\n\r\n",
        b"A" * 100_000,
        b"\x00\xff\xfe" * 100 + b"\r\n\r\n",
    ],
)
def test_nonsense_ends_its_connection_and_no_other(nonsense: bytes, sink: Any) -> None:
    with dial(sink) as other, dial(sink) as stranger:
        assert ask(other, "OPTIONS", "*")[0] == 200
        try:
            stranger.sendall(nonsense)
            while stranger.recv(65536):
                pass
        except ConnectionError:  # it hung up on what was still coming
            pass
        assert ask(other, "OPTIONS", "*")[0] == 200


def test_damaged_requests_never_end_or_block_the_server(sink: Any, caplog: pytest.LogCaptureFixture) -> None:
    whole = (
        f"OPTIONS {sink.title} RTSP/1.0\r\nCSeq: 1\r\n\r\nDESCRIBE {sink.title} RTSP/1.0\r\nCSeq: 2\r\n\r\n"
        f"SETUP {sink.title}/video RTSP/1.0\r\nCSeq: 3\r\nTransport: RTP/AVP/TCP;unicast;interleaved=0-1\r\n\r\n"
        f"SETUP {sink.title}/video RTSP/1.0\r\nCSeq: 4\r\nTransport: RTP/AVP;unicast;client_port=5000-5001\r\n\r\n"
        f"PLAY {sink.title} RTSP/1.0\r\nCSeq: 5\r\nSession: 1\r\nAuthorization: Digest x=1\r\n\r\n$\x00\x00\x04abcd"
    ).encode()
    dice = random.Random(0)
    for _round in range(150):
        damaged = bytearray(whole[: dice.randrange(1, len(whole))])
        for _hit in range(dice.randrange(6)):
            damaged[dice.randrange(len(damaged))] = dice.randrange(256)
        with dial(sink) as stranger:
            stranger.sendall(damaged)
            stranger.shutdown(socket.SHUT_WR)
            try:
                while stranger.recv(65536):
                    pass
            except ConnectionError:
                pass
    wait_for(lambda: not sink._server._connections, "all connections gone")
    with dial(sink) as viewer:
        assert ask(viewer, "DESCRIBE", sink.title)[0] == 200
    assert sink._server._thread.is_alive() and not caplog.records


def test_who_says_nothing_is_sent_away(sink: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "REQUEST_LIMIT_S", 0.3)
    with dial(sink) as silent:
        silent.sendall(b"OPTIONS * RTSP/1.0\r\n")
        assert silent.recv(100) == b""


def test_more_viewers_than_there_is_room_for_are_refused(sink: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MOST_VIEWERS", 1)
    monkeypatch.setattr(server_module, "MOST_CONNECTIONS", 2)
    with dial(sink) as first, dial(sink) as second:
        assert ask(first, "SETUP", sink.title, Transport="RTP/AVP/TCP")[0] == 200
        assert ask(second, "SETUP", sink.title, Transport="RTP/AVP/TCP")[0] == 453
        with dial(sink) as third, pytest.raises(ConnectionError):
            third.sendall(b"OPTIONS")
            assert third.recv(100)
            raise AssertionError("a third connection was answered")


def test_who_asks_before_the_first_frame_waits_for_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with open_sink("rtsp://:0", LIVE) as sink, dial(sink) as viewer:
        later = threading.Timer(0.3, lambda: sink.write(Frame(grey(0), 0, 0)))
        later.start()
        assert ask(viewer, "DESCRIBE", f"{sink.title}/")[0] == 200
        later.join()
        monkeypatch.setattr(connection_module, "DESCRIPTION_LIMIT_S", 0.1)
    with open_sink("rtsp://:0", LIVE) as sink, dial(sink) as viewer:
        assert ask(viewer, "DESCRIBE", sink.title)[0] == 503


def test_digest_credentials_are_those_of_the_standard() -> None:
    """RFC 2069's way with the name, realm and password of ours; the response was computed with md5sum."""
    right = 'Digest username="eve", realm="edgesr", nonce="n1", uri="rtsp://h/sr", response="{}"'
    response = "e73fb6d03a771938c4e86a44820df48e"
    credentials = Credentials("eve", "secret")
    assert credentials.fit(right.format(response), "DESCRIBE", "n1")
    assert not credentials.fit(right.format(response), "PLAY", "n1")
    assert not credentials.fit(right.format(response), "DESCRIBE", "n2")
    assert not credentials.fit(right.format(""), "DESCRIBE", "n1")
    assert not credentials.fit("Basic ZXZlOnNlY3JldA==", "DESCRIBE", "n1")
    assert "secret" not in repr(credentials)


def test_large_units_are_cut_into_fragments_that_make_them_whole_again() -> None:
    small, large = b"\x67" + b"\x01" * 20, b"\x65" + bytes(range(1, 256)) * 20
    stream = b"\x00\x00\x00\x01" + small + b"\x00\x00\x01" + large + b"\x00\x00"
    assert list(nal_units(stream)) == [small, large]
    unit = Packetiser().packets(stream, 3000, keyframe=True, captured_ns=0)
    assert all(len(packet) <= 12 + PAYLOAD for packet in unit.packets)
    first, *fragments = (packet[12:] for packet in unit.packets)
    assert first == small
    assert [fragment[1] & 0xC0 for fragment in fragments] == [0x80, *[0] * (len(fragments) - 2), 0x40]
    header = bytes((fragments[0][0] & 0xE0 | fragments[0][1] & 0x1F,))
    assert header + b"".join(fragment[2:] for fragment in fragments) == large
    assert [packet[1] >> 7 for packet in unit.packets] == [0] * len(fragments) + [1]
    sequence = [int.from_bytes(packet[2:4], "big") for packet in unit.packets]
    assert [(b - a) % 65536 for a, b in pairwise(sequence)] == [1] * len(fragments)


def test_a_unit_one_byte_too_large_makes_two_fragments() -> None:
    for size, packets in ((PAYLOAD, 1), (PAYLOAD + 1, 2)):
        stream = b"\x00\x00\x01" + b"\x65" * size
        assert len(Packetiser().packets(stream, 0, keyframe=True, captured_ns=0).packets) == packets


@pytest.mark.parametrize("stream", [b"", b"\x00\x00\x01", b"\x00\x00\x01\x67\x01", b"nonsense"])
def test_what_holds_no_parameter_sets_gives_none(stream: bytes) -> None:
    assert parameter_sets(stream) is None


def test_a_report_tells_the_wall_clock() -> None:
    report = sender_report(source=1, rtp_time=2, unix_ns=1_500_000_000, packets=3, octets=4)
    assert report.hex() == "80c800060000000183aa7e8180000000000000020000000300000004"

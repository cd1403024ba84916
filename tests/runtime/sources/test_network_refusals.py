"""What a network source refuses, each in one line without a secret."""

import base64
import socket
import traceback
from pathlib import Path

import pytest
from tests.runtime.servers import MJPEGServer, RTSPServer, free_port, grey, jpeg, silent_server, write_mp4

from edgesr.runtime.errors import EdgeSRError, InputError
from edgesr.runtime.sources import open_source
from edgesr.runtime.sources.yuv import BT709


def refusal(uri: str) -> str:
    """The one line with which a source is refused; no secret in it, nor in what a traceback would show."""
    with pytest.raises(EdgeSRError) as caught:
        open_source(uri)
    line = str(caught.value)
    assert "\n" not in line
    for secret in ("s3cret", "s3%25cret"):
        assert secret not in line
        assert secret not in "".join(traceback.format_exception_only(caught.value))
        assert caught.value.__cause__ is None or secret not in str(caught.value.__cause__)
    return line


@pytest.mark.parametrize("way", ["basic", "digest"])
def test_credentials_are_used_and_wrong_ones_never_printed(way: str, capfd: pytest.CaptureFixture[str]) -> None:
    with RTSPServer(login=(way, "me", "s3%cret")) as server:
        assert "wants a name and a password" in refusal(server.uri)
        assert "or other ones (401)" in refusal(server.uri_of("me", "wrong-s3cret"))
        with open_source(server.uri_of("me", "s3%25cret")) as source:
            assert source.read() is not None and "s3" not in source.info.title
    said = capfd.readouterr()
    assert "s3" not in said.err + said.out


def test_http_wants_credentials_too() -> None:
    login = base64.b64encode(b"me:s3cret").decode()
    with MJPEGServer([jpeg(grey(9))], login=login) as server:
        assert "(401)" in refusal(server.uri)
        with open_source(server.uri.replace("//", "//me:s3cret@")) as source:
            assert source.read() is not None


def test_what_a_server_has_that_is_no_stream_is_said(tmp_path: Path) -> None:
    with RTSPServer() as server:
        assert "no such stream (404)" in refusal(server.uri + "2")
    write_mp4(tmp_path / "a.mp4", grey(9), BT709)
    files = {
        "/text": b"no picture\n" * 500,
        "/film.mp4": (tmp_path / "a.mp4").read_bytes(),
        "/picture.jpg": jpeg(grey(9)),
        "/live.m3u8": b"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:2,\nfilm.mp4\n",
    }
    with MJPEGServer([jpeg(grey(9))], files=files) as page:
        assert "no such stream (404)" in refusal(page.uri + "2")
        assert "playlist" in refusal(page.uri.replace("stream", "live.m3u8"))
        assert "is a file of" in refusal(page.uri.replace("stream", "film.mp4"))
        assert "is a single picture" in refusal(page.uri.replace("stream", "picture.jpg"))
        assert "gives nothing that FFmpeg reads" in refusal(page.uri.replace("stream", "text"))


@pytest.mark.parametrize(
    ("uri", "says"),
    [
        ("rtsp://127.0.0.1:1/x", "refuses the connection"),
        ("http://me:s3cret@127.0.0.1:1/x", "http://***@127.0.0.1:1/x refuses the connection"),
        ("rtsp://nowhere.invalid/x", "the name nowhere.invalid is unknown"),
        ("rtsp:///x", "names no host"),
        ("rtsp://camera:99999/x", "no number from 1 to 65535"),
        ("rtsp://me:s3cret[@h/x", "is no address"),
        ("udp://", "has no port"),
        ("rtsp://h/x#latency=5", "has no option 'latency'; expected some of transport, timeout, reorder_ms"),
        ("rtsp://h/x#transport=http", "expected tcp or udp"),
        ("rtsp://me:s3#cret@h/x", "a # in a name or password is written %23"),
        ("ftp://me:s3cret@h/x", "ftp: is no known source; expected an image"),
    ],
)
def test_an_address_that_cannot_be_used_is_refused(uri: str, says: str) -> None:
    assert says in refusal(uri)


def test_a_live_stream_has_no_beginning_to_count_from() -> None:
    with pytest.raises(InputError, match="has no time in it"):
        open_source("rtsp://127.0.0.1:1/x", start_s=1.0)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_a_server_that_never_answers_is_given_up(scheme: str) -> None:
    with silent_server() as port:
        assert "gave no data for 0.5 s" in refusal(f"{scheme}://127.0.0.1:{port}/x#timeout=0.5")


def test_a_port_that_nobody_sends_to_is_given_up() -> None:
    assert "gave no data for 0.5 s" in refusal(f"udp://127.0.0.1:{free_port(socket.SOCK_DGRAM)}#timeout=0.5")


def test_a_port_in_use_is_said() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        assert f"port {port} is in use" in refusal(f"udp://127.0.0.1:{port}")

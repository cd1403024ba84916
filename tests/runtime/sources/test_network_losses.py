"""Network streams that break, pause or fall silent, from real servers on loopback."""

import signal
import threading
import time
from collections.abc import Iterator

import pytest
from tests.runtime.servers import MJPEGServer, RTSPServer, UDPSender, grey, jpeg, last_of, opened, wait_until

from edgesr.runtime.errors import SourceFailed
from edgesr.runtime.sources import Reconnection, open_source

BACK_SOON = Reconnection(wait_s=0.2, longest_wait_s=0.2, frozen_s=10)


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    before = set(threading.enumerate())
    yield
    wait_until(lambda: set(threading.enumerate()) <= before)


def test_a_killed_server_that_comes_back_is_survived() -> None:
    with RTSPServer() as server, open_source(server.uri, reconnection=BACK_SOON) as source:
        told: list[str] = []
        source.events = told.append
        before = last_of(source, 5).index
        server.kill()
        reader = threading.Timer(1.0, server.start)
        reader.start()
        while not any("is back" in line for line in told):
            last_of(source, 1)
        assert last_of(source, 5).index > before + 5
        reader.join()
    assert told[0] == f"lost: {server.uri} was ended by the server" or told[0].startswith(f"lost: {server.uri} ")
    assert any("refuses the connection" in line for line in told[1:])


def test_a_sender_that_pauses_is_survived_and_one_that_stays_away_is_lost() -> None:
    with UDPSender(lambda _: grey(100)) as sender:
        source = opened(f"{sender.uri}#timeout=1.5")
        last_of(source, 3)
    with source:
        with UDPSender(lambda _: grey(100), port=sender.port):
            last_of(source, 20)
        with pytest.raises(SourceFailed, match=r"gave no data for 1\.5 s"):
            last_of(source, 100)


@pytest.mark.parametrize("scheme", ["rtsp", "http"])
def test_an_interrupt_ends_a_read_from_a_silent_server(scheme: str) -> None:
    server = RTSPServer() if scheme == "rtsp" else MJPEGServer([jpeg(grey(9))])
    with server, opened(f"{server.uri}#timeout=2") as source:
        last_of(source, 2)
        if isinstance(server, RTSPServer):
            server.signal(signal.SIGSTOP)
        else:
            server.stalled.set()
        took_s: list[float] = []

        def read() -> None:
            while source.read() is not None:
                pass
            took_s.append(time.monotonic())

        reader = threading.Thread(target=read)
        reader.start()
        time.sleep(0.3)  # what was on its way is read
        begin_s = time.monotonic()
        source.interrupt()
        reader.join(20)
        assert took_s[0] - begin_s < 0.5
        begin_s = time.monotonic()
        source.close()
        assert time.monotonic() - begin_s < 3

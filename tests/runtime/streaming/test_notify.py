"""What systemd hears, through a real socket."""

import os
import socket
from pathlib import Path

import pytest

from edgesr.runtime.streaming.notify import Notifier


class Systemd:
    def __init__(self, address: str) -> None:
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind(address)
        self.socket.setblocking(False)

    def heard(self) -> list[str]:
        lines: list[str] = []
        while True:
            try:
                lines += self.socket.recv(4096).decode().splitlines()
            except BlockingIOError:
                return [line for line in lines if not line.startswith("STATUS")]


def environment(address: str, **more: str) -> dict[str, str]:
    return {"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "4000000", **more}


@pytest.mark.parametrize("abstract", [False, True])
def test_ready_with_the_first_frame_then_alive_while_frames_come(tmp_path: Path, abstract: bool) -> None:
    name = f"edgesr-test-{os.getpid()}"
    systemd = Systemd("\0" + name if abstract else str(tmp_path / "notify"))
    now = [100.0]
    notifier = Notifier(environment("@" + name if abstract else str(tmp_path / "notify")), lambda: now[0])
    notifier.frames(0)
    assert systemd.heard() == []
    notifier.frames(1, "1 frame")
    assert systemd.heard() == ["READY=1", "WATCHDOG=1"]
    notifier.frames(2)
    assert systemd.heard() == []  # a quarter of the limit has not passed
    now[0] += 1.0
    notifier.frames(2)
    assert systemd.heard() == []  # time passed, and no frame came out
    notifier.frames(3)
    assert systemd.heard() == ["WATCHDOG=1"]
    notifier.stopping()
    assert systemd.heard() == ["STOPPING=1"]
    systemd.socket.close()


def test_a_watchdog_of_another_process_is_not_fed(tmp_path: Path) -> None:
    systemd = Systemd(str(tmp_path / "notify"))
    notifier = Notifier(environment(str(tmp_path / "notify"), WATCHDOG_PID="1"))
    notifier.frames(1)
    assert systemd.heard() == ["READY=1"]
    systemd.socket.close()


def test_without_systemd_nothing_happens(tmp_path: Path) -> None:
    Notifier({}).frames(1)
    gone = Notifier(environment(str(tmp_path / "gone")))
    gone.frames(1)
    systemd = Systemd(str(tmp_path / "gone"))
    gone.frames(2)
    assert "READY=1" in systemd.heard()  # told as soon as there is somebody to tell
    systemd.socket.close()

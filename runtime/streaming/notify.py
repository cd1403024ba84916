"""What systemd wants to hear (sd_notify): ready, alive, stopping. Alive means that frames really came out."""

import os
import socket
import time
from collections.abc import Callable, Mapping

__all__ = ["Notifier"]


class Notifier:
    """Speaks to the socket that systemd names in NOTIFY_SOCKET; silent where there is none.

    The watchdog (WATCHDOG_USEC) is fed when the count of frames has grown, at most four times in its limit; so a stream that
    stands still is restarted.
    """

    def __init__(
        self, environment: Mapping[str, str] = os.environ, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._address = environment.get("NOTIFY_SOCKET", "")
        limit_s = int(environment.get("WATCHDOG_USEC", "0") or 0) / 1e6
        ours = environment.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._pause_s = limit_s / 4 if limit_s and ours else None
        self._clock = clock
        self._fed_s = -float("inf")
        self._count = 0
        self._ready = False

    def frames(self, count: int, status: str = "") -> None:
        """`count` frames came out so far; the first makes the service ready."""
        if count <= self._count:
            return
        self._count = count
        now = self._clock()
        if not self._ready:
            self._ready = True
            self._say("READY=1", f"STATUS={status}")
        if self._pause_s is not None and now - self._fed_s >= self._pause_s:
            self._fed_s = now
            self._say("WATCHDOG=1", f"STATUS={status}")

    def stopping(self) -> None:
        self._say("STOPPING=1")

    def _say(self, *lines: str) -> None:
        if not self._address:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as to_systemd:
            try:
                to_systemd.connect(address)
                to_systemd.sendall("\n".join(line for line in lines if not line.endswith("=")).encode())
            except OSError:  # systemd is being restarted, say; the next frame speaks again
                self._ready = self._ready and lines[0] != "READY=1"

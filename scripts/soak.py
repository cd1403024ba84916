"""Streams for half an hour, with faults on purpose: what they hold, what they lose, how they come back.

    python scripts/soak.py --minutes 30 -o benchmarks/results/soak.json --page docs/soak.md

Two streams share one network in this process: `pattern:` to the browser page, and an RTSP source in another process to nothing. By
turns the RTSP source is killed and started again, one of two viewers of the page stops reading, the log's wall clock is set by
hours, and a recording in a third process meets a full disk. Memory, open files and threads are read every few seconds.
"""

import asyncio
import json
import os
import resource
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path

import aiohttp
from rich.console import Console
from soak_report import FPS, SIZE, Sample, growth, page

from edgesr.benchmarks.machine import this_machine
from edgesr.runtime.backends import open_backend
from edgesr.runtime.command import Parser, command
from edgesr.runtime.errors import InputError
from edgesr.runtime.files import check_output, replaced
from edgesr.runtime.sinks import open_sink
from edgesr.runtime.sources import open_source
from edgesr.runtime.streaming.figures import Figures
from edgesr.runtime.streaming.log import Log
from edgesr.runtime.streaming.loop import run
from edgesr.runtime.streaming.network import Network
from edgesr.runtime.streaming.stream import Stream

SAMPLE_S = 5.0
FAULT_EVERY_S = 60.0
DOWN_S = 6.0
STALL_S = 20.0
CLOCK_STEPS_S = (3600.0, -7200.0, 86400.0)
DISK_BYTES = 300_000


@dataclass
class Course:
    """What happened."""

    samples: list[Sample] = field(default_factory=list)
    faults: list[tuple[float, str]] = field(default_factory=list)
    unexpected: list[str] = field(default_factory=list)


class WallClock:
    """The log's clock, which is set by hours now and then."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset_s


class RtspSource:
    """`edgesr-run pattern: rtsp:` in a process of its own, killed as a power cut would."""

    def __init__(self, folder: Path) -> None:
        self.uri = f"rtsp://127.0.0.1:{free_port()}/soak"
        self._log = folder / "rtsp.log"
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        pattern = f"pattern:natural?live=1&fps={FPS}&size={SIZE}&scale=1&timecode=1"
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "edgesr.runtime",
                    pattern,
                    self.uri,
                    "--model",
                    "bicubic:2",
                    "--roi",
                    "0,0,80,44",
                    "--quiet",
                ],
                stdout=log,
                stderr=log,
            )
        host, port = self.uri.removeprefix("rtsp://").split("/")[0].split(":")
        wait_for(
            lambda: answers(host, int(port)), 60, f"no RTSP server at {self.uri}; it said: {self._log.read_text()}"
        )

    def kill(self) -> None:
        assert self._process is not None
        self._process.send_signal(signal.SIGKILL)
        self._process.wait()


def answers(host: str, port: int) -> bool:
    with suppress(OSError), socket.create_connection((host, port), 1):
        return True
    return False


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def wait_for(condition: Callable[[], bool], limit_s: float, otherwise: str) -> None:
    end = time.monotonic() + limit_s
    while not condition():
        if time.monotonic() > end:
            raise InputError(otherwise)
        time.sleep(0.1)


class Viewers(threading.Thread):
    """Two browsers' stand-ins: one reads all that it is sent, the other stops for a while when told to."""

    def __init__(self, port: int) -> None:
        super().__init__(name="viewers", daemon=True)
        self._url = f"http://127.0.0.1:{port}"
        self.stalled = threading.Event()
        self.over = threading.Event()
        self.received = [0, 0]

    def run(self) -> None:
        asyncio.run(self._watch())

    async def _watch(self) -> None:
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(self._view(session, 0), self._view(session, 1))

    async def _view(self, session: aiohttp.ClientSession, number: int) -> None:
        """As the page does: every picture is acknowledged, and nothing more comes to who does not."""
        while not self.over.is_set():
            with suppress(aiohttp.ClientError, OSError, asyncio.TimeoutError):
                async with session.ws_connect(f"{self._url}/watch", max_msg_size=0) as connection:
                    while not self.over.is_set():
                        while number and self.stalled.is_set() and not self.over.is_set():
                            await asyncio.sleep(0.2)
                        message = await connection.receive(timeout=5)
                        if message.type == aiohttp.WSMsgType.BINARY:
                            length = int.from_bytes(message.data[:4], "little")
                            await connection.send_str(f"seen {json.loads(message.data[4 : 4 + length])['number']}")
                            self.received[number] += 1
                        elif message.type != aiohttp.WSMsgType.TEXT:
                            break
            await asyncio.sleep(0.5)


SMALL_DISK = f"""
import resource, signal, sys
from edgesr.runtime.__main__ import main_run
from edgesr.runtime.command import command
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({DISK_BYTES}, {DISK_BYTES}))
sys.exit(command(main_run, sys.argv[1:]))
"""


def record_until_the_disk_is_full(folder: Path) -> str:
    """A recording in another process that may write few bytes only; what was wrong with how it ended, or ""."""
    arguments = [
        f"pattern:natural?live=1&fps=30&size={SIZE}&scale=1",
        str(folder / "recording.mp4"),
        "--quiet",
        "--force",
    ]
    process = subprocess.Popen([sys.executable, "-c", SMALL_DISK, *arguments], stderr=subprocess.PIPE, text=True)
    try:
        _, told = process.communicate(timeout=120)
    except subprocess.TimeoutExpired:
        process.kill()
        return "the recording did not end when its disk was full"
    if process.returncode != 1 or told.count("\n") != 1 or "disk full" not in told:
        return f"the recording ended with {process.returncode}: {told}"
    return ""


def sample(began_s: float) -> Sample:
    resident = int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() // 1024
    return Sample(time.monotonic() - began_s, resident, len(os.listdir("/proc/self/fd")), threading.active_count())


def trouble(
    course: Course,
    over: threading.Event,
    began_s: float,
    source: RtspSource,
    viewers: Viewers,
    clock: WallClock,
    folder: Path,
) -> None:
    """A fault a minute, by turns, until the run is over."""

    def stall() -> None:
        viewers.stalled.set()
        over.wait(STALL_S)
        viewers.stalled.clear()

    def cut() -> None:
        source.kill()
        over.wait(DOWN_S)
        source.start()

    def step_clock() -> None:
        clock.offset_s += CLOCK_STEPS_S[len(course.faults) % len(CLOCK_STEPS_S)]

    def fill_disk() -> None:
        if wrong := record_until_the_disk_is_full(folder):
            course.unexpected.append(wrong)

    faults = {
        "RTSP source killed, started again": cut,
        "viewer stalls": stall,
        "wall clock stepped": step_clock,
        "disk full": fill_disk,
    }
    while not over.wait(min(FAULT_EVERY_S, 10.0) if not course.faults else FAULT_EVERY_S):
        name = list(faults)[len(course.faults) % len(faults)]
        course.faults.append((round(time.monotonic() - began_s, 1), name))
        try:
            faults[name]()
        except Exception as error:  # noqa: BLE001 - told in the report
            course.unexpected.append(f"{name}: {error}")


def soak(minutes: float, tell: Callable[[str], None]) -> dict[str, object]:
    machine = this_machine()
    started = datetime.now().astimezone().isoformat(timespec="seconds")
    course, clock, over = Course(), WallClock(), threading.Event()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="edgesr-soak-")))
        source = RtspSource(folder)
        stack.callback(source.kill)
        port = free_port()
        network = stack.enter_context(Network(lambda: [open_backend(threads=1)]))
        pattern = stack.enter_context(open_source(f"pattern:natural?live=1&fps={FPS}&size={SIZE}&scale=1&timecode=1"))
        rtsp = stack.enter_context(open_source(source.uri))
        streams = [
            Stream(
                pattern, [stack.enter_context(open_sink(f"http://:{port}", pattern.info))], "newest", time_code=True
            ),
            Stream(rtsp, [stack.enter_context(open_sink("null:", rtsp.info))], "newest", figures=Figures()),
        ]
        log = stack.enter_context(Log(folder / "soak.jsonl", clock=clock))
        for number, stream in enumerate(streams):
            log.follow(stream.figures, number)
        viewers = Viewers(port)
        viewers.start()
        began_s = time.monotonic()
        troubling = threading.Thread(
            target=trouble, args=(course, over, began_s, source, viewers, clock, folder), name="trouble", daemon=True
        )
        troubling.start()
        last_s = -SAMPLE_S

        def tick() -> None:
            nonlocal last_s
            now_s = time.monotonic() - began_s
            if now_s - last_s >= SAMPLE_S:
                last_s = now_s
                course.samples.append(sample(began_s))
                tell(f"{now_s / 60:.1f} of {minutes:g} minutes, {course.samples[-1].memory_kib // 1024} MiB")
            if now_s >= minutes * 60:
                over.set()
                for stream in streams:
                    stream.controls.stop()

        run(network, streams, on_tick=tick)
        over.set()
        viewers.over.set()
        troubling.join(180)
        viewers.join(10)
        log_lines = sum(1 for _ in (folder / "soak.jsonl").open())
    return {
        "kind": "edgesr soak",
        "schema": 1,
        "started": started,
        "minutes": minutes,
        "machine": asdict(machine),
        "growth": growth(course.samples),
        "samples": [asdict(one) for one in course.samples],
        "faults": course.faults,
        "unexpected": course.unexpected,
        "viewers_received": viewers.received,
        "log_lines": log_lines,
        "losses": getattr(rtsp, "losses", 0),
        "reconnections": getattr(rtsp, "reconnections", 0),
        "streams": {
            name: stream.figures.snapshot().to_dict() for name, stream in zip(("pattern", "rtsp"), streams, strict=True)
        },
    }


def main(arguments: Sequence[str]) -> None:
    parser = Parser("soak.py", "Run streams for a long time with faults on purpose.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON")
    parser.add_argument("--page", type=Path, help="Markdown")
    parser.add_argument("--force", action="store_true")
    options = parser.parse_args(arguments)
    if not options.minutes > 0:
        raise InputError(f"minutes is {options.minutes:g}; expected more than 0")
    for path in (options.output, options.page):
        if path is not None:
            check_output(path, force=options.force)
    with Console(stderr=True).status("starting") as status:
        report = soak(options.minutes, lambda line: status.update(line))
    with replaced(options.output) as beside:
        beside.write_text(json.dumps(report, indent=1) + "\n")
    text = page(report)
    if options.page is not None:
        with replaced(options.page) as beside:
            beside.write_text(text)
    print(text)


if __name__ == "__main__":
    sys.exit(command(main))

"""One size of a model's input in a process of its own: so that its memory can be told apart, and its turns interleaved."""

import signal
from contextlib import closing, suppress
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from types import TracebackType

import numpy as np

from edgesr.benchmarks.contenders import NETWORK, open_contender
from edgesr.runtime.errors import BackendFailed, EdgeSRError, FrameTooLarge
from edgesr.runtime.timing import StageTimings

__all__ = ["SizeProcess", "resident_mib"]

CLOSE_S = 10.0

Answer = tuple[list[int], float | None]
"""Network times in nanoseconds, and the process's peak memory until then in MiB."""


class SizeProcess:
    """Opens the model in a new process and takes a first frame there. Whoever makes it closes it; a context manager does so.

    start_mib: resident before the model was opened: Python and the libraries. peak_mib: the most until now. Both None where
    the system does not tell.
    Raises what opening the model and a frame of that size raise; FrameTooLarge also where the system killed the process.
    """

    def __init__(self, model: str, width: int, height: int, threads: int | None = None) -> None:
        self.title = f"{width}x{height}"
        context = get_context("spawn")  # a fork would start with our memory, and with ONNX Runtime's threads gone
        self._pipe, theirs = context.Pipe()
        arguments = (theirs, model, width, height, threads)
        self._process = context.Process(target=_serve, args=arguments, name=f"edgesr {self.title}", daemon=True)
        self._process.start()
        theirs.close()
        try:
            self.start_mib = self._answer()[1]
            self.peak_mib = self._answer()[1]
        except BaseException:
            self.close()
            raise

    def turn(self, frames: int) -> StageTimings:
        """So many frames, one after the other; network times alone."""
        with suppress(OSError):  # it is gone: waiting for the answer tells why
            self._pipe.send(frames)
        samples, self.peak_mib = self._answer()
        timings = StageTimings()
        for sample in samples:
            timings.add(NETWORK, sample)
        return timings

    def close(self) -> None:
        """A second call does nothing."""
        self._pipe.close()
        self._process.join(CLOSE_S)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def __enter__(self) -> "SizeProcess":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _answer(self) -> Answer:
        try:
            answer: Answer | EdgeSRError = self._pipe.recv()
        except (EOFError, ConnectionResetError):
            self._process.join(CLOSE_S)
            if self._process.exitcode == -signal.SIGKILL:
                raise FrameTooLarge(
                    f"the system killed the process of {self.title}, as it does without memory"
                ) from None
            raise BackendFailed(f"the process of {self.title} ended by itself, code {self._process.exitcode}") from None
        if isinstance(answer, EdgeSRError):
            raise answer
        return answer


def resident_mib(key: str) -> float | None:
    """Of this process: "VmRSS" now, "VmHWM" the most so far. None where /proc does not tell.

    getrusage's ru_maxrss would start with the peak of the process that started this one."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{key}:"))
    except (OSError, StopIteration, ValueError, IndexError):
        return None


def _serve(pipe: Connection, model: str, width: int, height: int, threads: int | None) -> None:
    """The child: answers until the pipe is closed. Ctrl-C is the parent's to act on."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
        pipe.send(([], resident_mib("VmRSS")))
        with closing(open_contender(model, threads)) as contender:
            frames = 1
            while True:
                samples = []
                for _ in range(frames):
                    contender.check(pixels)
                    samples.append(contender.network_ns)
                pipe.send((samples, resident_mib("VmHWM")))
                frames = pipe.recv()
    except (EOFError, BrokenPipeError):
        pass
    except EdgeSRError as error:
        pipe.send(error)
    except MemoryError:
        pipe.send(FrameTooLarge(f"memory ran out at {width}x{height}"))

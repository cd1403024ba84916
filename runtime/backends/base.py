"""The contract of a backend: something that super-resolves a frame."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType, TracebackType

from edgesr.runtime.card import Profile
from edgesr.runtime.errors import InputError
from edgesr.runtime.frame import Pixels
from edgesr.runtime.layer_times import ProfiledFrames
from edgesr.runtime.spec import ModelSpec

__all__ = ["Backend"]


class Backend(ABC):
    """Bytes in, bytes out. Not for several threads at once. Whoever opens it closes it; a context manager does so.

    title: for tables: model and what runs it.
    network_ns: how long the network alone took in the last `infer`; on a GPU between events around it, without
        the copies.
    copies_ns: how long `upload` and `download` took then, where there is a GPU with memory of its own; else empty.
    settings: what it was opened with and on what it runs, for reports.
    profiles: the sizes of frames that it was built for; empty: whatever its `spec` takes.
    bytes_per_pixel: about what `infer` holds in memory for one pixel of the input; 0 where that is not known.
    """

    spec: ModelSpec
    title: str
    network_ns: int
    copies_ns: Mapping[str, int] = MappingProxyType({})
    settings: dict[str, str | int]
    profiles: tuple[Profile, ...] = ()
    bytes_per_pixel: float = 0.0

    @abstractmethod
    def infer(self, pixels: Pixels) -> Pixels:
        """uint8 (H, W, 3) BGR -> uint8 (H*scale, W*scale, 3) BGR.

        The result lives until the next call; copy it to keep it. Raises InputError for a frame it cannot take,
        FrameTooLarge before memory runs out, BackendFailed where inference gives way.
        """

    def layer_times(self, pixels: Pixels, frames: int) -> ProfiledFrames | None:
        """What each layer takes, over so many frames with the runtime's profiler; None where it has none.

        Profiling costs time, and may go on: open a backend for this alone, and close it after. Raises what `infer` raises.
        """
        return None

    def close(self) -> None:  # noqa: B027 - not every backend holds something
        """Let go of the model; a second call does nothing."""

    def check(self, pixels: Pixels) -> None:
        """Raise InputError where `pixels` is not a frame that the model takes."""
        if pixels.dtype.name != "uint8" or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise InputError(f"the frame is {pixels.dtype} {pixels.shape}; expected uint8 (height, width, 3), BGR")
        self.spec.check_size(pixels.shape[1], pixels.shape[0])

    def __enter__(self) -> "Backend":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

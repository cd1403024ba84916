"""The contract of a sink: something that takes frames."""

from abc import ABC, abstractmethod
from types import TracebackType

from edgesr.runtime.frame import Frame
from edgesr.runtime.streaming.controls import Controls
from edgesr.runtime.streaming.figures import Figures

__all__ = ["Sink"]


class Sink(ABC):
    """Takes `Frame`s in order. As a context manager it finishes when the block ends well (`close`) and leaves
    nothing behind when it does not (`discard`); Ctrl-C counts as not well.


    main_thread: `write` must be called from the program's main thread, as windows demand.
    one_size: all frames must have the size of the first, as a video file demands; a viewer's region may then move, not grow.
    """

    title: str
    notes: list[str]
    main_thread = False
    one_size = False

    def attach(self, figures: Figures, controls: Controls) -> None:  # noqa: B027 - most sinks only take frames
        """Before a stream's first frame: what it tells of itself, and what a viewer may change."""

    @abstractmethod
    def write(self, frame: Frame) -> None:
        """Take one frame; its pixels may change after this returns, so what is kept is copied.
        Raises OutputFailed where disk or encoder refuse, InputError for a frame it cannot take."""

    def idle(self) -> None:  # noqa: B027 - only windows have a life of their own
        """For `main_thread` sinks: called many times a second, also while no frame comes."""

    @property
    def wants_more(self) -> bool:
        """False once the sink has had enough, such as a window that was closed."""
        return True

    def close(self) -> None:  # noqa: B027 - most sinks have nothing to finish
        """Finish: what was written takes its name. A second call does nothing."""

    def discard(self) -> None:  # noqa: B027
        """Give up: nothing half-written stays. A second call, or one after `close`, does nothing."""

    def __enter__(self) -> "Sink":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

"""The models of a run, in the one thread that may touch them: a GPU's context belongs to the thread that made it."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from edgesr.runtime.backends.base import Backend
from edgesr.runtime.card import Profile
from edgesr.runtime.errors import InputError
from edgesr.runtime.spec import ModelSpec

__all__ = ["Model", "Network"]

T = TypeVar("T")


@dataclass(frozen=True)
class Model:
    """What other threads may know of an open backend."""

    title: str
    spec: ModelSpec
    settings: dict[str, str | int]
    profiles: tuple[Profile, ...]

    def check_size(self, width: int, height: int) -> None:
        """Raise InputError where it cannot take a frame of width x height."""
        self.spec.check_size(width, height)
        if self.profiles and not any(profile.takes(width, height) for profile in self.profiles):
            built = "; ".join(profile.title for profile in self.profiles)
            raise InputError(
                f"the frame is {width}x{height}; {self.title} was built for {built}: cut frames with --tile auto, or build it anew "
                f"from its checkpoint with edgesr-export … --size {width}x{height}"
            )


class Network:
    """One model, or several of one scale, best first, of which a deadline chooses. A context manager.

    open_models: called in the thread that will run them; what it raises is raised here.
    Raises InputError where the scales differ.
    """

    def __init__(self, open_models: Callable[[], Sequence[Backend]]) -> None:
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="network")
        self._backends: Sequence[Backend] = ()
        try:
            self._backends = self._thread.submit(open_models).result()
            self.models = [Model(b.title, b.spec, b.settings, b.profiles) for b in self._backends]
            if len({model.spec.scale for model in self.models}) > 1:
                titles = ", ".join(model.spec.title for model in self.models)
                raise InputError(f"the models have several scales ({titles}); expected one scale for all of a run")
        except BaseException:
            self.close()
            raise

    @property
    def scale(self) -> int:
        return self.models[0].spec.scale

    def start(self, work: Callable[[Sequence[Backend]], T]) -> "Future[T]":
        """`work(backends)` in the network's thread."""
        return self._thread.submit(work, self._backends)

    def close(self) -> None:
        """Let go of the models, in their thread; waits for what runs there."""
        backends, self._backends = self._backends, ()
        for backend in backends:
            self._thread.submit(backend.close).result()
        self._thread.shutdown()

    def __enter__(self) -> "Network":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

"""The page's sink, for the files that test it."""

from collections.abc import Iterator

import pytest

from edgesr.runtime.sinks.base import Sink


@pytest.fixture
def sink() -> Iterator[Sink]:
    """Open to this machine, on a free port, with figures and controls."""
    from tests.runtime.sinks.web import INFO

    from edgesr.runtime.sinks.web import open_web
    from edgesr.runtime.streaming.controls import Controls
    from edgesr.runtime.streaming.figures import Figures

    with open_web("//:0", INFO, False) as opened:
        opened.attach(Figures(), Controls())
        yield opened


@pytest.fixture
def guarded() -> Iterator[Sink]:
    """The same behind a token."""
    from tests.runtime.sinks.web import INFO, TOKEN

    from edgesr.runtime.sinks.web import open_web

    with open_web(f"//127.0.0.1:0?token={TOKEN}", INFO, False) as opened:
        yield opened

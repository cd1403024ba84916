"""A machine with a fake GPU for each test that asks for one."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest
from tests.nvidia.machine import FakeMachine
from tests.nvidia.machine import machine as play


@pytest.fixture
def machine() -> Iterator[Callable[..., FakeMachine]]:
    """`machine(version, **knobs)`: until the test ends, or until it asks for another one."""
    with ExitStack() as stack:

        def make(version: str = "10.3.0", **knobs: Any) -> FakeMachine:
            stack.close()
            return stack.enter_context(play(version, **knobs))

        yield make

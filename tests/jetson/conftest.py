from collections.abc import Callable
from pathlib import Path

import pytest
from tests.jetson.orin_tree import write_orin

Write = Callable[[str, str | bytes], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Put a file into a machine's tree, whose root is `tmp_path`: write("/etc/os-release", "...")."""

    def put(path: str, content: str | bytes) -> Path:
        file = tmp_path / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content.encode() if isinstance(content, str) else content)
        return file

    return put


@pytest.fixture
def orin(write: Write) -> None:
    """An Orin Nano's sensors, below `tmp_path`."""
    write_orin(write)

"""Three small images, and where they are prepared to."""

from pathlib import Path

import pytest
from tests.train.data.made import picture

from edgesr.runtime.images import write_image


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, (height, width) in enumerate(((41, 50), (62, 35), (30, 30))):
        write_image(folder / f"{i}.png", picture(height, width, i))
    return folder


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "set.h5"

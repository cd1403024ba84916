"""A recipe that trains in seconds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgesr.runtime.images import write_image

RECIPE = """
seed_everything: 1
trainer: {{max_steps: 12, accelerator: cpu, log_every_n_steps: 1}}
model: {{network: ecbsr, scale: 2, options: {{blocks: 1, width: 4}}, learning_rate: 0.005, schedule: {{warmup_steps: 2}}}}
data: {{root: {root}, train: [photos], validate: [photos], test: [photos], patch: 8, batch_size: 2, samples_per_epoch: 8}}
"""


@pytest.fixture(scope="session")
def written() -> Callable[[Path, str], Path]:
    """Writes two photographs of 80x64 below a folder, and a recipe over them, {root} being the folder."""

    def write(root: Path, text: str) -> Path:
        data = pytest.importorskip("skimage.data")
        (root / "photos").mkdir()
        for name in ("coffee", "chelsea"):
            pixels = np.ascontiguousarray(getattr(data, name)()[:64, :80, ::-1])
            write_image(root / "photos" / f"{name}.png", pixels)
        path = root / "tiny.yaml"
        path.write_text(text.format(root=root))
        return path

    return write


@pytest.fixture
def recipe(tmp_path: Path, written: Callable[[Path, str], Path]) -> Path:
    """Twelve steps in three epochs."""
    return written(tmp_path, RECIPE)

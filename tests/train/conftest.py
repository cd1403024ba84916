"""A recipe that trains in seconds."""

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


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """Twelve steps in three epochs on two photographs of 80x64."""
    data = pytest.importorskip("skimage.data")
    (tmp_path / "photos").mkdir()
    for name in ("coffee", "chelsea"):
        write_image(tmp_path / "photos" / f"{name}.png", np.ascontiguousarray(getattr(data, name)()[:64, :80, ::-1]))
    path = tmp_path / "tiny.yaml"
    path.write_text(RECIPE.format(root=tmp_path))
    return path

"""The photographs in scikit-image's wheel: what `pattern:photo` pans over."""

from dataclasses import dataclass
from functools import lru_cache
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from edgesr.runtime.errors import InputError, MissingDependency
from edgesr.runtime.frame import Pixels
from edgesr.runtime.installed import pip_install

__all__ = ["PHOTOS", "Photo", "fitting_photos", "photo_folder", "read_photo"]


@dataclass(frozen=True)
class Photo:
    """A picture in scikit-image's wheel, checked for 0.25 and 0.26; it is never downloaded."""

    file: str
    width: int
    height: int
    everyday: bool = True


PHOTOS = {
    "coffee": Photo("coffee.png", 600, 400),
    "motorcycle": Photo("motorcycle_left.png", 741, 500),
    "astronaut": Photo("astronaut.png", 512, 512),
    "rocket": Photo("rocket.jpg", 640, 427),
    "chelsea": Photo("chelsea.png", 451, 300),
    "hubble": Photo("hubble_deep_field.jpg", 1000, 872, everyday=False),
    "retina": Photo("retina.jpg", 1411, 1411, everyday=False),
}


def fitting_photos(content: str, width: int, height: int, scale: int) -> list[str]:
    """Names of the photographs that hold width x height: the everyday ones where there are any."""
    photo_folder()
    asked = PHOTOS if content == "photo" else {content: PHOTOS[content]}
    large = {name: photo for name, photo in asked.items() if photo.width >= width and photo.height >= height}
    if not large:
        name, best = max(asked.items(), key=lambda item: item[1].width * item[1].height)
        raise InputError(
            f"a pattern of {width // scale}x{height // scale} at x{scale} needs a photograph of {width}x{height}; the "
            f"largest is {name}, {best.width}x{best.height}, so at most {best.width // scale}x{best.height // scale}: "
            "choose a smaller size, or pattern:natural"
        )
    return [name for name, photo in large.items() if photo.everyday] or list(large)


def photo_folder() -> Path:
    found = find_spec("skimage")
    if found is None or found.origin is None:
        raise MissingDependency(
            f"pattern:photo needs scikit-image: {pip_install('bench')}, or use pattern:natural, which needs nothing"
        )
    return Path(found.origin).parent / "data"


@lru_cache(maxsize=len(PHOTOS))
def read_photo(name: str) -> Pixels:
    """uint8 (H, W, 3) BGR, read with scikit-image alone, so that OpenCV is not needed."""
    file = photo_folder() / PHOTOS[name].file
    if not file.is_file():
        raise MissingDependency(f"this scikit-image carries no {file.name}: {pip_install('bench')} --upgrade")
    rgb: Pixels = import_module("skimage.io").imread(file)
    return np.ascontiguousarray(rgb[..., 2::-1])

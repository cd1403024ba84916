"""The folders of this repository are the parts of the package: ./train is edgesr.train, and so on.

Everything else about the distribution stands in pyproject.toml.
"""

from setuptools import find_packages, setup

PARTS = ("train", "export", "runtime", "benchmarks", "jetson")


def packages(part: str) -> list[str]:
    return [f"edgesr.{part}", *(f"edgesr.{part}.{name}" for name in find_packages(part))]


setup(
    packages=[name for part in PARTS for name in packages(part)],
    package_dir={f"edgesr.{part}": part for part in PARTS},
    package_data={
        "": ["py.typed"],
        "edgesr.train": ["recipes/*.yaml", "recipes/shipped/*.yaml"],
        "edgesr.runtime": ["models/*.onnx"],
        "edgesr.runtime.sinks.web": ["page.html", "*.css", "*.js"],
        "edgesr.benchmarks": ["matrices/*.yaml", "page/*", "networks.json", "roofline.json"],
        "edgesr.jetson": ["boards.json", "bundle_install.sh", "containers/*"],
    },
    include_package_data=False,  # otherwise setuptools warns that data folders "would be ignored"
)

"""Which board this is and which release it runs: device tree, /etc/nv_tegra_release, dpkg."""

import re
from dataclasses import dataclass
from pathlib import Path

from edgesr.jetson.facts import Fact, first, one_line, read_fact, read_text
from edgesr.jetson.known import Module, Release, Soc, known
from edgesr.jetson.packages import Packages

__all__ = ["Board", "module_of", "parse_compatible", "parse_l4t", "read_board", "soc_of"]

DEVICE_TREE = ("/proc/device-tree", "/sys/firmware/devicetree/base")  # the first is a link to the second on a board
L4T_FILE = "/etc/nv_tegra_release"
DMI = "/sys/class/dmi/id"


@dataclass(frozen=True)
class Board:
    """`module`, `soc` and `release` are None where boards.json does not know them; the raw strings are kept beside."""

    model: Fact
    """The board's own name: from the device tree, on a PC from the firmware (DMI)."""
    compatible: tuple[str, ...]
    compatible_problem: str
    tegra: str | None
    """The chip as the device tree names it, known or not: tegra234."""
    dts_file: Fact
    """The name of the device tree's source, which L4T up to 35 leaves there."""
    soc: Soc | None
    module: Module | None
    l4t: Fact
    jetpack: Fact
    release: Release | None

    @property
    def is_jetson(self) -> bool:
        """Also true in a container on a Jetson, where the device tree is masked but the L4T release is there."""
        return self.tegra is not None or bool(self.l4t.source)


def parse_compatible(text: str) -> tuple[str, ...]:
    """The device tree's list of names, each ended by NUL, the most exact first."""
    names = tuple(name for name in text.split("\0") if name.strip())
    if not names or not all(re.fullmatch(r"[\w,.+-]+", name, re.ASCII) for name in names):
        raise ValueError(f"expected names such as nvidia,tegra234, each ended by NUL; found {text[:60]!r}")
    return names


def parse_l4t(text: str) -> str:
    """`# R36 (release), REVISION: 4.3, GCID: ...` gives 36.4.3."""
    found = re.search(r"^#\s*R(\d+)\s*\(release\),\s*REVISION:\s*(\d+)(?:\.(\d+))?", text, re.MULTILINE)
    if found is None:
        raise ValueError(f"expected a line such as '# R36 (release), REVISION: 4.3, ...', found {text[:60]!r}")
    return ".".join(part or "0" for part in found.groups())


def parse_dts_file(text: str) -> str:
    """The last part of a path on NVIDIA's build server: tegra234-p3767-0003-p3768-0000-a0.dts."""
    return one_line(text).rsplit("/", 1)[-1]


def module_of(compatible: tuple[str, ...]) -> Module | None:
    """The first P-number that we know: in `nvidia,p3768-0000+p3767-0005-super` the carrier is p3768, the module p3767."""
    numbers = (number for name in compatible for number in re.findall(r"\bp\d{4}-\d{4}\b", name))
    return next((known().modules[number] for number in numbers if number in known().modules), None)


def soc_of(compatible: tuple[str, ...]) -> str | None:
    chips = (re.fullmatch(r"nvidia,(tegra\d+)", name) for name in compatible)
    return next((chip[1] for chip in chips if chip), None)


def read_board(root: Path, packages: Packages) -> Board:
    compatible, problem = _read_compatible(root)
    tegra = soc_of(compatible)
    l4t = first((read_fact(root, L4T_FILE, parse_l4t), packages.fact("nvidia-l4t-core")))
    return Board(
        model=_read_model(root),
        compatible=compatible,
        compatible_problem=problem,
        tegra=tegra,
        dts_file=first(read_fact(root, f"{tree}/nvidia,dtsfilename", parse_dts_file) for tree in DEVICE_TREE),
        soc=known().socs.get(tegra or ""),
        module=module_of(compatible),
        l4t=l4t,
        jetpack=_jetpack(l4t, packages),
        release=known().releases.get(l4t.value or ""),
    )


def _read_compatible(root: Path) -> tuple[tuple[str, ...], str]:
    problem = ""
    for path in (f"{tree}/compatible" for tree in DEVICE_TREE):
        try:
            text = read_text(root, path)
            if text is not None:
                return parse_compatible(text), problem
        except OSError as error:
            problem = problem or f"{path}: {error.strerror}"
        except ValueError as error:
            problem = problem or f"{path}: {error}"
    return (), problem


def _read_model(root: Path) -> Fact:
    model = first(read_fact(root, f"{tree}/model", one_line) for tree in DEVICE_TREE)
    if model != Fact():
        return model
    product = read_fact(root, f"{DMI}/product_name", one_line)
    vendor = read_fact(root, f"{DMI}/sys_vendor", one_line)
    return Fact(f"{vendor.value} {product.value}", product.source) if vendor.value and product.value else product


def _jetpack(l4t: Fact, packages: Packages) -> Fact:
    """The metapackage says it where it is installed (it often is not); else NVIDIA's table of releases does."""
    installed = packages.fact("nvidia-jetpack")
    if installed.value is not None or l4t.value is None:
        return installed
    release = known().releases.get(l4t.value)
    if release is None:
        return Fact(problem=f"L4T {l4t.value} is not in boards.json and the package nvidia-jetpack is not installed")
    return Fact(release.jetpack, f"boards.json, by L4T {l4t.value}")

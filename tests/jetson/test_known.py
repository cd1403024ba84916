import json
import re
from pathlib import Path

import edgesr.jetson.known
from edgesr.jetson.known import known

DATA = json.loads(Path(edgesr.jetson.known.__file__).with_name("boards.json").read_text("utf-8"))


def test_every_line_names_its_sources() -> None:
    used = set()
    for table in ("socs", "modules", "releases", "arm_cores"):
        for key, entry in DATA[table].items():
            assert entry["source"], f"{table} {key}"
            used |= set(entry["source"])
    assert used == set(DATA["sources"])


def test_every_module_has_a_known_chip_and_its_capability() -> None:
    for number, module in known().modules.items():
        assert re.fullmatch(r"p\d{4}-\d{4}", number)
        assert module.number == number
        assert known().socs[module.soc].sm == module.sm
        assert module.gpu.startswith(known().socs[module.soc].gpu)


def test_every_release_is_a_full_l4t_number() -> None:
    for l4t, release in known().releases.items():
        assert re.fullmatch(r"\d\d\.\d+\.\d+", l4t)
        assert release.l4t == l4t


def test_the_boards_of_the_brief() -> None:
    """Checked by hand against NVIDIA's tables, so that a slip in boards.json shows."""
    assert known().modules["p3767-0005"].encoder is False  # Orin Nano has no NVENC
    assert known().modules["p3767-0000"].encoder is True
    assert known().modules["p2972-0000"].memory_gb == (16, 32)
    assert (known().releases["36.3.0"].jetpack, known().releases["36.3.0"].tensorrt) == ("6.0", "8.6.2")
    assert (known().releases["36.4.3"].jetpack, known().releases["36.4.3"].tensorrt) == ("6.2", "10.3.0")
    assert (known().releases["35.4.1"].jetpack, known().releases["35.4.1"].cuda) == ("5.1.2", "11.4")
    assert (known().releases["38.2.0"].jetpack, known().releases["38.2.0"].python) == ("7.0", "3.12")

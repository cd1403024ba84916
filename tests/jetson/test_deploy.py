"""Deploying rehearsed, the whole way and all that is about the connection over a real ssh connection to this machine; the
board's programs are stand-ins that need no GPU."""

import getpass
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.jetson.ssh_server import SshServer, free_port, make_key, ssh_server

import edgesr.jetson.__main__ as command
from edgesr.jetson.deploy import DeploySettings, _Steps, deploy
from edgesr.jetson.errors import BoardUnfit, NotHere, ProgramFailed, WrongRequest
from edgesr.jetson.programs import Done
from edgesr.jetson.ssh import Remote, Tell, _run, reason_of

PROGRAM = """#!/bin/sh
name=$(basename "$0")
echo "$name $*" >> {board}/log
[ -e {board}/broken-$name ] && {{ cat {board}/broken-$name; exit 1; }}
case "$name $*" in
"python -c "*) ;;
"edgesr-jetson doctor --json") cat {board}/doctor; grep -q '"fail"' {board}/doctor && exit 1 ;;
"edgesr-export inspect "*) echo '{{"verdicts": []}}' ;;
"edgesr-export "*)
    if [ -e "$3" ] && [ "$6" != --force ]; then
        cmp -s "$1" "$3.made-of" && {{ echo "$3 is up to date"; exit 0; }}
        echo "$3 exists already; choose another name or add --force" >&2; exit 2
    fi
    cp "$1" "$3.made-of"; echo plan > "$3"; echo "wrote $3" ;;
"edgesr-bench latency "*) echo "30 rounds"; echo '{{"options": "'"$*"'"}}' > "$6" ;;
esac
exit 0
"""
PYTHON = """#!/bin/sh
echo "python3 $1 $2" >> {board}/log
case "$1" in
-c) cat {board}/version ;;
-m) mkdir -p "$5/bin"
    echo "include-system-site-packages = true" > "$5/pyvenv.cfg"
    for name in python edgesr-jetson edgesr-export edgesr-bench; do cp {board}/program "$5/bin/$name"; done ;;
esac
"""
HEALTHY = {"schema": 1, "verdict": "warn", "checks": [{"name": "disk", "verdict": "ok", "reason": "", "fix": ""}]}
UNFIT = {
    "schema": 1,
    "verdict": "fail",
    "checks": [{"name": "TensorRT", "verdict": "fail", "reason": "not found", "fix": "sudo apt-get install it"}],
}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshServer]:
    with ssh_server(tmp_path_factory.mktemp("sshd")) as one:
        yield one


@pytest.fixture
def board(tmp_path: Path) -> Path:
    folder = tmp_path / "board"
    folder.mkdir()
    for name, script in (("program", PROGRAM), ("python3", PYTHON)):
        (folder / name).write_text(script.format(board=folder))
        (folder / name).chmod(0o755)
    (folder / "version").write_text("python: 3 10\n")
    (folder / "doctor").write_text(json.dumps(HEALTHY))
    return folder


@pytest.fixture
def settings(tmp_path: Path, board: Path) -> DeploySettings:
    (tmp_path / "edgesr-0.1.0-py3-none-any.whl").write_bytes(b"wheel")
    (tmp_path / "net_x2.onnx").write_bytes(b"model")
    (tmp_path / "results").mkdir()
    return DeploySettings(
        wheel=tmp_path / "edgesr-0.1.0-py3-none-any.whl",
        model=tmp_path / "net_x2.onnx",
        results=tmp_path / "results",
        directory=str(board / "home"),
        python=str(board / "python3"),
        bench=("--budget", "5m;touch here"),
    )


def remote(server: SshServer, **changed: object) -> Remote:
    known = {"address": f"{getpass.getuser()}@127.0.0.1", "port": server.port, "config": server.config}
    return Remote(**{**known, **changed})


def deployed(server: SshServer, settings: DeploySettings) -> list[str]:
    told: list[str] = []
    deploy(remote(server), settings, told.append)
    return told


class Here(Remote):
    """The board is this very machine, without ssh between: for what is not about the connection, which costs most of the time."""

    @contextmanager
    def shared(self) -> Iterator[Remote]:
        yield self

    def run(self, command: str, *, tell: Tell | None = None) -> Done:
        return _run(["sh", "-c", f"LC_ALL=C; export LC_ALL; {command}"], tell)

    def _copy(self, source: str, target: str) -> None:
        shutil.copyfile(*(path.removeprefix(f"{self.address}:") for path in (source, target)))


def deployed_here(settings: DeploySettings) -> list[str]:
    told: list[str] = []
    deploy(Here("here"), settings, told.append)
    return told


def log(board: Path) -> list[str]:
    return (board / "log").read_text().splitlines()


def test_the_whole_way_and_its_results(server: SshServer, board: Path, settings: DeploySettings) -> None:
    told = deployed(server, settings)
    assert [line for line in told if line[1:3] == "/9"] == [
        next(line for line in told if line.startswith(f"{number}/9 ")) for number in range(1, 10)
    ]
    assert "30 rounds" in told
    results = {
        name: json.loads((settings.results / f"{name}.json").read_text()) for name in ("doctor", "inspect", "bench")
    }
    assert results["doctor"] == HEALTHY
    plan = f"{board}/home/engines/net_x2-320x180.engine"
    bench = f"latency {plan} --size 320x180 --json {board}/home/results/bench.json --force --budget 5m;touch here"
    assert results["bench"] == {"options": bench}
    wheel = f"{board}/home/wheels/{settings.wheel.name}"
    pip = "python -m pip --disable-pip-version-check --no-input install"
    assert f"{pip} {wheel}[engine] numpy<2" in log(board)
    assert f"{pip} --quiet --no-deps --force-reinstall {wheel}" in log(board)
    assert list((board / "home").rglob("*.part")) == []


def test_a_later_run_does_only_what_is_not_done(board: Path, settings: DeploySettings) -> None:
    deployed_here(settings)
    (board / "log").unlink()
    told = deployed_here(settings)
    assert sum("already" in line for line in told) == 4
    assert not any("pip" in line or "venv" in line for line in log(board))
    assert f"{board}/home/engines/net_x2-320x180.engine is up to date" in told

    settings.wheel.write_bytes(b"newer wheel")
    settings.model.write_bytes(b"other model")
    (board / "log").unlink()
    assert any("building it anew" in line for line in deployed_here(settings))
    assert sum("install" in line for line in log(board)) == 2
    assert (board / "home/engines/net_x2-320x180.engine.made-of").read_bytes() == b"other model"


def test_it_goes_on_where_it_broke_off(board: Path, settings: DeploySettings) -> None:
    broken = board / "broken-edgesr-export"
    broken.write_text("something gave way\n")
    with pytest.raises(ProgramFailed, match="failed: something gave way"):
        deployed_here(settings)
    broken.unlink()
    told = deployed_here(settings)
    assert told[1].endswith("is there already") and told[-1].startswith("9/9")


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        # pip 22.0.2 with a full disk, and without a network; Python 3.10's venv on Ubuntu; PyCUDA without the CUDA toolkit
        ("ERROR: Could not install packages due to an OSError: [Errno 28] No space left on device", "its disk is full"),
        (
            "ERROR: Could not find a version that satisfies the requirement numpy<2 (from versions: none)",
            "edgesr-jetson bundle",
        ),
        ("src/cpp/cuda.hpp:14:10: fatal error: cuda.h: No such file or directory", "is CUDA complete"),
    ],
)
def test_what_pip_says_is_explained(settings: DeploySettings, said: str, meant: str) -> None:
    failed = _Steps(Remote("board"), settings, print).failed("install", Done(1, f"Looking\n{said}\n"))
    assert meant in str(failed) and "\n" not in str(failed)


def test_a_python_that_is_too_old(board: Path, settings: DeploySettings) -> None:
    (board / "version").write_text("python: 3 8\n")
    with pytest.raises(ProgramFailed, match=r"is Python 3\.8; edgesr needs 3\.10.*JetPack 5"):
        deployed_here(settings)
    assert not (board / "home/venv").exists()


def test_a_disk_without_room(settings: DeploySettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgesr.jetson.deploy.NEEDED_KIB", 2**50)
    with pytest.raises(ProgramFailed, match=r"MiB are free for .*/home, \d+ are needed"):
        deployed_here(settings)


def test_a_disk_that_fills_up_while_copying(server: SshServer, tmp_path: Path) -> None:
    large = tmp_path / "large"
    large.write_bytes(bytes(100_000))
    with pytest.raises(ProgramFailed, match="its disk is full"):
        remote(server)._copy(str(large), remote(server)._file("/dev/full"))


def test_the_doctor_stops_it_unless_told_otherwise(board: Path, settings: DeploySettings) -> None:
    (board / "doctor").write_text(json.dumps(UNFIT))
    with pytest.raises(BoardUnfit, match=r"says no to TensorRT .*--anyway"):
        deployed_here(settings)
    assert json.loads((settings.results / "doctor.json").read_text()) == UNFIT
    assert not list((board / "home/engines").iterdir())
    anyway = DeploySettings(**{**vars(settings), "anyway": True})
    assert "  TensorRT: not found → sudo apt-get install it" in deployed_here(anyway)


def test_a_doctor_that_answers_nonsense(board: Path, settings: DeploySettings) -> None:
    (board / "doctor").write_text("[1")
    with pytest.raises(ProgramFailed, match="doctor failed"):
        deployed_here(settings)


def test_no_such_port(server: SshServer) -> None:
    with pytest.raises(ProgramFailed, match="nothing listens on this port"):
        remote(server, port=free_port()).run("true")


def test_no_such_name(server: SshServer) -> None:
    with pytest.raises(ProgramFailed, match="no machine of this name"):
        remote(server, address="nobody@no-such-board.invalid").run("true")


def test_a_rejected_key(server: SshServer, tmp_path: Path) -> None:
    make_key(tmp_path / "stranger")
    config = tmp_path / "config"
    config.write_text(server.config.read_text().replace(str(server.key), str(tmp_path / "stranger")))
    with pytest.raises(ProgramFailed, match="rejects our key; put it there: ssh-copy-id"):
        remote(server, config=config).run("true")


@pytest.mark.parametrize(("changed", "meant"), [(True, r"ssh-keygen -R '\[127"), (False, "not known here yet")])
def test_a_host_key_that_is_new_or_another(server: SshServer, tmp_path: Path, changed: bool, meant: str) -> None:
    make_key(tmp_path / "other")
    known, config = tmp_path / "known_hosts", tmp_path / "config"
    known.write_text(f"[127.0.0.1]:{server.port} {(tmp_path / 'other.pub').read_text()}" if changed else "")
    config.write_text(server.config.read_text().replace(str(server.known_hosts), str(known)))
    with pytest.raises(ProgramFailed, match=meant) as caught:
        remote(server, config=config).send(config, "/nowhere")
    assert "\n" not in str(caught.value)


def test_a_wrong_ssh_configuration(server: SshServer, tmp_path: Path) -> None:
    (tmp_path / "config").write_text("Speed high\n")
    with pytest.raises(ProgramFailed, match="configuration is wrong"):
        remote(server, config=tmp_path / "config").run("true")


@pytest.mark.parametrize(
    ("said", "meant"),
    [  # as OpenSSH 9.2 says it; the rest is provoked above
        ("ssh: connect to host orin port 22: Connection timed out", "does not answer"),
        ("ssh: connect to host 10.9.9.9 port 22: No route to host", "does not answer"),
        ("client_loop: send disconnect: Broken pipe", "broke off"),
        ("Timeout, server orin not responding.", "broke off"),
        ("Connection to orin closed by remote host.", "broke off"),
        ("kex_exchange_identification: Connection closed by remote host", "broke off"),
    ],
)
def test_words_of_ssh_are_understood(said: str, meant: str) -> None:
    assert meant in str(reason_of(said))


def test_unknown_words_are_passed_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "ssh").write_text("#!/bin/sh\necho 'a {new} kind of failure' >&2\nexit 255\n")
    (tmp_path / "ssh").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(ProgramFailed, match=r"board: ssh failed: a \{new\} kind of failure"):
        Remote("board").run("true")


def test_no_ssh_on_this_machine(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(NotHere, match="openssh-client"):
        Remote("board").run("true")


@pytest.mark.parametrize("address", ["", "-oProxyCommand=x", "a b", "user@", "user@-h", "x;y", "@host"])
def test_addresses_that_are_none(address: str) -> None:
    with pytest.raises(WrongRequest, match="expected user@host"):
        Remote(address)


@pytest.mark.parametrize(
    "wrong",
    [{"size": "big"}, {"directory": "a b"}, {"directory": "a/../b"}, {"directory": "-x"}, {"directory": "$(x)"}],
)
def test_wrong_settings(settings: DeploySettings, wrong: dict[str, str]) -> None:
    with pytest.raises(WrongRequest, match="expected"):
        DeploySettings(**{**vars(settings), **wrong})


def test_an_address_of_version_six_is_bracketed_for_scp() -> None:
    assert Remote("user@fe80::1%eth0")._file("x") == "user@[fe80::1%eth0]:x"


def test_the_command(
    server: SshServer, board: Path, settings: DeploySettings, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["deploy", f"{getpass.getuser()}@127.0.0.1", "--port", str(server.port), "--ssh-config", str(server.config)]
    words += ["--model", str(settings.model), "--wheel", str(settings.wheel), "--python", settings.python]
    words += ["--directory", settings.directory, "--output", str(settings.results / "here"), "--", "--rounds", "5"]
    assert command.main(words) == 0
    assert "9/9 bench: " in capsys.readouterr().out
    assert "--rounds 5" in (settings.results / "here/bench.json").read_text()

    assert command.main([*words[:4], "--wheel", "nothing.whl"]) == 2
    assert "there is no such file" in capsys.readouterr().err
    shutil.rmtree(board / "home/venv")
    (board / "version").write_text("python: 3 8\n")
    assert command.main(words) == 1
    assert capsys.readouterr().err.count("\n") == 1

"""Another machine over the system's own ssh and scp: its commands, its files, and every failure in one clear line."""

import os
import re
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from edgesr.jetson.errors import NotHere, ProgramFailed, WrongRequest
from edgesr.jetson.programs import Done

__all__ = ["DISK_FULL", "Remote", "Tell", "reason_of"]

Tell = Callable[[str], None]

ALWAYS = ("BatchMode=yes", "ConnectTimeout=15", "ServerAliveInterval=15", "ServerAliveCountMax=4")
"""No question is ever asked, and a board that went silent is given up after a minute."""

PERSIST_S = 30
"""What a shared connection outlives us, where we were killed."""

OWN_FAILURE = 255
"""ssh's exit code where the connection failed; every other one is the command's."""

FAILURES = (
    (r"Could not resolve hostname", "no machine of this name is known; check the name, or give its address"),
    (r"Connection refused", "nothing listens on this port; start ssh there (sudo systemctl start ssh), or give --port"),
    (
        r"timed out|No route to host|Network is unreachable",
        "it does not answer; is it switched on, and in the same network?",
    ),
    (
        r"REMOTE HOST IDENTIFICATION HAS CHANGED",
        "its host key has changed; where the board was flashed anew: ssh-keygen -R {known_as}; else distrust it",
    ),
    (
        r"Host key verification failed",
        "its host key is not known here yet; connect by hand once and compare it: ssh {options}{address}",
    ),
    (
        r"Permission denied \(|Too many authentication failures",
        "it rejects our key; put it there: ssh-copy-id {options}{address}",
    ),
    (r"Bad configuration option|Can't open user config file|terminating, \d+ bad", "the ssh configuration is wrong"),
    (
        r"Broken pipe|Connection (closed|reset)|closed by remote host|not responding|kex_exchange|banner exchange",
        "the connection broke off; run the same again, it goes on where it stopped",
    ),
)
"""What ssh says (OpenSSH 8.9 to 9.6, which name them alike), and what it means here. The first that fits is taken."""

DISK_FULL = re.compile(r"No space left on device|Disk quota exceeded|ENOSPC")


def reason_of(text: str) -> str | None:
    """The meaning of ssh's own words, with the places {address}, {options}, {known_as} to fill; None for unknown ones."""
    return next((meaning for words, meaning in FAILURES if re.search(words, text)), None)


@dataclass(frozen=True)
class Remote:
    """`address`: user@host or host, or a name of ssh's configuration. `config`: another file than ~/.ssh/config.
    `socket`: of a connection that several commands share."""

    address: str
    port: int | None = None
    config: Path | None = None
    socket: Path | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(\w[\w.+-]*@)?[\w:][\w.:%-]*", self.address):
            raise WrongRequest(f"{self.address!r}: expected user@host, such as nvidia@192.168.55.1")
        if self.port is not None and not 1 <= self.port <= 65535:
            raise WrongRequest(f"--port {self.port}: expected 1 to 65535")
        if self.config is not None and not self.config.is_file():
            raise WrongRequest(f"--ssh-config {self.config}: there is no such file")

    @contextmanager
    def shared(self) -> Iterator["Remote"]:
        """One connection for all commands inside: a key exchange takes a board half a second and more."""
        with tempfile.TemporaryDirectory(prefix="edgesr-ssh-") as folder:
            one = replace(self, socket=Path(folder) / "s")
            try:
                yield one
            finally:
                if one.socket is not None and one.socket.exists():
                    _run([_program("ssh"), *one._options("-p"), "-O", "exit", one.address], None)

    def run(self, command: str, *, tell: Tell | None = None) -> Done:
        """`command` is a shell's. Its output goes to `tell` line by line, where that is given. Raises ProgramFailed where
        the connection fails; the command's exit code is the caller's to judge."""
        words = [_program("ssh"), *self._options("-p"), self.address, f"LC_ALL=C; export LC_ALL; {command}"]
        done = _run(words, tell)
        if done.code == OWN_FAILURE:
            raise self._failed(done)
        return done

    def send(self, file: Path, path: str) -> None:
        """Whole or not at all: under another name first. Raises ProgramFailed."""
        part = f"{path}.part"
        self._copy(str(file.resolve()), self._file(part))
        done = self.run(shlex.join(("mv", part, path)))
        if done.code != 0:
            raise ProgramFailed(f"{self.address}: {path} cannot be written: {done.last_line}")

    def fetch(self, path: str, file: Path) -> None:
        """Whole or not at all. Raises ProgramFailed."""
        handle, beside = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
        os.close(handle)
        try:
            self._copy(self._file(path), beside)
            os.chmod(beside, 0o644)
            os.replace(beside, file)
        finally:
            Path(beside).unlink(missing_ok=True)

    def _copy(self, source: str, target: str) -> None:
        done = _run([_program("scp"), *self._options("-P"), source, target], None)
        if done.code == 0:
            return
        if DISK_FULL.search(done.text) or re.search(r"write remote .*: Failure", done.text):  # how SFTP says it
            raise ProgramFailed(f"{self.address}: its disk is full; make room there (df -h), then run the same again")
        raise self._failed(done)

    def _file(self, path: str) -> str:
        user, at, host = self.address.rpartition("@")
        return f"{user}{at}{f'[{host}]' if ':' in host else host}:{path}"

    def _options(self, port: str) -> list[str]:
        config = ["-F", str(self.config)] if self.config else []
        shared = (
            (f"ControlPath={self.socket}", "ControlMaster=auto", f"ControlPersist={PERSIST_S}") if self.socket else ()
        )
        always = [word for option in (*ALWAYS, *shared) for word in ("-o", option)]
        return [*config, *always, *([port, str(self.port)] if self.port else [])]

    def _failed(self, done: Done) -> ProgramFailed:
        meaning = reason_of(done.text)
        if meaning is None:
            return ProgramFailed(f"{self.address}: ssh failed: {done.last_line}")
        host = self.address.rpartition("@")[2]
        options = (f"-F {self.config} " if self.config else "") + (f"-p {self.port} " if self.port else "")
        known_as = f"'[{host}]:{self.port}'" if self.port not in (None, 22) else host
        told = meaning.format(address=self.address, options=options, known_as=known_as)
        return ProgramFailed(f"{self.address}: {told}")


def _run(words: Sequence[str], tell: Tell | None) -> Done:
    try:
        with subprocess.Popen(
            words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        ) as child:
            assert child.stdout is not None
            lines = []
            try:
                for line in child.stdout:
                    lines.append(line.decode("utf-8", "replace"))
                    if tell:
                        tell(lines[-1].rstrip())
            except BaseException:
                child.kill()
                raise
            return Done(child.wait(), "".join(lines))
    except OSError as error:
        raise ProgramFailed(f"{words[0]} cannot be started: {error.strerror}") from error


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise NotHere(f"{name} is not on PATH; install OpenSSH's client: sudo apt-get install openssh-client")
    return path

"""Keys are made once and kept to oneself; what they sign, the runtime believes."""

import os
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from tests.runtime.cards import CARD, HERE, engine

from edgesr.export.sign import make_key_pair, private_key_fingerprint, sign_card
from edgesr.runtime.card import trusted_plan
from edgesr.runtime.errors import InputError, MissingDependency, MissingFile, OutputExists, OutputFailed
from edgesr.runtime.trust import key_fingerprint, verify_card

pytest.importorskip("cryptography", reason="signatures need cryptography: pip install 'edgesr[trust]'")

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)


def test_a_new_pair_signs_and_verifies(tmp_path: Path) -> None:
    private, public = make_key_pair(tmp_path / "my.robot")
    assert (private.name, public.name) == ("my.robot.key", "my.robot.pub")
    card = sign_card(CARD, private)
    verify_card(card, public)
    assert replace(card, signer="", signature="") == CARD
    assert card.signer == private_key_fingerprint(private) == key_fingerprint(public)
    assert trusted_plan(engine(tmp_path, card), trust=public, **HERE)[0] == card
    again = sign_card(replace(card, built="later"), private)
    verify_card(again, public)
    assert again.signature != card.signature


def test_the_private_key_is_never_open_to_others_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        private, public = make_key_pair(tmp_path / "robot")
    finally:
        os.umask(before)
    assert private.stat().st_mode & 0o777 == 0o600 and public.stat().st_mode & 0o777 == 0o644
    assert b"PRIVATE" not in public.read_bytes()


@pytest.mark.parametrize("there", ["robot.key", "robot.pub"])
def test_a_key_is_never_overwritten_and_no_half_pair_is_left(tmp_path: Path, there: str) -> None:
    (tmp_path / there).write_text("precious")
    with pytest.raises(OutputExists, match=f"{there} exists already, and a key is never overwritten"):
        make_key_pair(tmp_path / "robot")
    assert [path.name for path in tmp_path.iterdir()] == [there] and (tmp_path / there).read_text() == "precious"


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "robot.key").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OutputExists):
        make_key_pair(tmp_path / "robot")
    assert not (tmp_path / "elsewhere").exists()


def test_a_pair_that_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(OutputFailed, match="No such file"):
        make_key_pair(tmp_path / "nowhere" / "robot")
    with pytest.raises(InputError, match="is no name for a key"):
        make_key_pair(Path("."))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputFailed, match="No space left"):
        make_key_pair(tmp_path / "robot")
    assert list(tmp_path.iterdir()) == []


def test_a_private_key_that_others_may_read_signs_nothing(tmp_path: Path) -> None:
    private, _ = make_key_pair(tmp_path / "my robot")
    for mode in (0o640, 0o604, 0o660):
        private.chmod(mode)
        with pytest.raises(InputError, match=rf"mode {mode:04o}\): chmod 600 '") as caught:
            sign_card(CARD, private)
    subprocess.run(shlex.split(str(caught.value).rpartition(": ")[2]), check=True)
    sign_card(CARD, private)


def test_a_file_that_is_no_ed25519_private_key_is_one_line(tmp_path: Path) -> None:
    private, public = make_key_pair(tmp_path / "robot")
    key = load_pem_private_key(private.read_bytes(), None)
    odd = {
        "is a public key; expected its private half": public.read_bytes(),
        "is encrypted, and nobody is there to be asked": key.private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"secret")
        ),
        "a key of another kind .*RSA": rsa.generate_private_key(65537, 1024).private_bytes(
            Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
        ),
        "no private key in PEM form": private.read_bytes()[:-40],
        "holds no private key": key.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption()),
        "too large": b"-" * 70_000,
    }
    for reason, data in odd.items():
        private.write_bytes(data)
        with pytest.raises(InputError, match=reason) as caught:
            sign_card(CARD, private)
        assert "\n" not in str(caught.value)
    with pytest.raises(MissingFile):
        sign_card(CARD, tmp_path / "none.key")


def test_without_the_package_one_line_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    private, _ = make_key_pair(tmp_path / "robot")
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization", None)
    with pytest.raises(MissingDependency, match=r"pip install .*\[trust\]'"):
        make_key_pair(tmp_path / "other")
    with pytest.raises(MissingDependency, match=r"pip install .*\[trust\]'"):
        sign_card(CARD, private)

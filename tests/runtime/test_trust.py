"""Signatures on cards: whose they are, and what a changed card or an odd key is called."""

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from tests.runtime.cards import CARD, HERE, engine

from edgesr.runtime.card import EngineCard, trusted_plan
from edgesr.runtime.errors import InputError, MissingDependency, MissingFile, UntrustedEngine
from edgesr.runtime.trust import fingerprint, key_fingerprint, signed_message, verify_card

pytest.importorskip("cryptography", reason="signatures need cryptography: pip install 'edgesr[trust]'")

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(32))
RSA = rsa.generate_private_key(65537, 1024)


def pem(public: Any) -> bytes:
    return bytes(public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))


def signed(card: EngineCard = CARD, key: Ed25519PrivateKey = KEY) -> EngineCard:
    card = replace(card, signer=fingerprint(key.public_key()), signature="")
    return replace(card, signature=key.sign(signed_message(card)).hex())


@pytest.fixture
def public(tmp_path: Path) -> Path:
    path = tmp_path / "robot.pub"
    path.write_bytes(pem(KEY.public_key()))
    return path


def test_a_signed_engine_is_run_by_those_who_trust_the_key(tmp_path: Path, public: Path) -> None:
    card, _ = trusted_plan(engine(tmp_path, signed()), trust=public, **HERE)
    assert card == signed() and card.signer == key_fingerprint(public) == "56475aa75463474c0285df5dbf2bcab7"


def test_the_signature_comes_before_all_other_checks(tmp_path: Path, public: Path) -> None:
    path = engine(tmp_path, tensorrt="other")
    path.write_bytes(b"other bytes")
    with pytest.raises(UntrustedEngine, match=rf"made x4 engine has no signature; expected one by {public}"):
        trusted_plan(path, trust=public, **HERE)


def test_an_unsigned_a_foreign_and_a_changed_card_are_told_apart(public: Path) -> None:
    verify_card(signed(), public)
    with pytest.raises(UntrustedEngine, match="has no signature"):
        verify_card(CARD, public)
    with pytest.raises(UntrustedEngine, match=rf"by another key \({fingerprint(OTHER.public_key())}\); .*56475aa7"):
        verify_card(signed(key=OTHER), public)
    with pytest.raises(UntrustedEngine, match=r"by another key \(unnamed\)"):
        verify_card(replace(signed(key=OTHER), signer=""), public)
    for signature in ("00", "zz", "é", "0" * 128, signed().signature[:-2], signed().signature + "00"):
        with pytest.raises(UntrustedEngine, match="damaged signature, or its card was changed"):
            verify_card(replace(signed(), signature=signature), public)


def changed(value: Any) -> Any:
    if isinstance(value, str):
        return value + "x"
    if isinstance(value, (int, float)):
        return value + 1
    if isinstance(value, dict):
        return {**value, "x": "y"}
    return (*value, value[0]) if isinstance(value, tuple) else [*value, {}]


@pytest.mark.parametrize("name", sorted({field.name for field in fields(EngineCard)} - {"spec", "signature"}))
def test_every_entry_is_covered_by_the_signature(public: Path, name: str) -> None:
    card = replace(signed(), **{name: changed(getattr(CARD, name))})
    with pytest.raises(UntrustedEngine):
        verify_card(card, public)


def test_the_spec_is_covered_and_the_purpose_is_part_of_what_is_signed(public: Path) -> None:
    with pytest.raises(UntrustedEngine):
        verify_card(replace(signed(), spec=replace(CARD.spec, scale=2, scales=(2,))), public)
    bare = KEY.sign(signed().signed_bytes()).hex()
    with pytest.raises(UntrustedEngine):
        verify_card(replace(signed(), signature=bare), public)


PRIVATE = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (PRIVATE, "is a private key; expected its public half"),
        (pem(RSA.public_key()), "a key of another kind .*RSA.*; expected Ed25519"),
        (pem(ec.generate_private_key(ec.SECP256R1()).public_key()), "a key of another kind"),
        (KEY.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH), "no public key in PEM form"),
        (KEY.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw), "no public key in PEM form"),
        (pem(KEY.public_key())[:-40], "no public key in PEM form"),
        (pem(KEY.public_key()).replace(b"MCow", b"MCox"), "no public key in PEM form"),
        (b"", "no public key in PEM form"),
        (b"\0" * 70_000, "too large for a key"),
    ],
)
def test_a_file_that_is_no_ed25519_public_key_is_one_line(public: Path, data: bytes, reason: str) -> None:
    public.write_bytes(data)
    with pytest.raises(InputError, match=reason) as caught:
        verify_card(signed(), public)
    assert not isinstance(caught.value, UntrustedEngine), "the key is to blame, not the engine"
    assert str(caught.value).isprintable()


def test_a_missing_key_is_said_even_for_an_unsigned_card(tmp_path: Path) -> None:
    for path in (tmp_path / "none.pub", tmp_path):
        with pytest.raises(MissingFile, match="does not exist; expected a key"):
            verify_card(CARD, path)


def test_without_the_package_one_line_says_what_to_install(public: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.hazmat.primitives.serialization", None)
    with pytest.raises(MissingDependency, match=r"pip install .*\[trust\]'"):
        verify_card(CARD, public)


def test_cards_are_read_without_the_package() -> None:
    code = "import sys; import edgesr.runtime.card, edgesr.export.sign; assert 'cryptography' not in sys.modules"
    root = Path(__file__).parent.parent.parent
    subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": str(root / ".links")}, check=True)

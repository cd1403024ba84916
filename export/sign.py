"""Key pairs, and signatures on engine cards; what a signature says is checked in `edgesr.runtime.trust`."""

import os
import shlex
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from edgesr.runtime.card import EngineCard
from edgesr.runtime.errors import InputError, OutputExists, OutputFailed
from edgesr.runtime.trust import fingerprint, key_fingerprint, missing_cryptography, read_key, signed_message

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

__all__ = ["key_fingerprint", "make_key_pair", "private_key_fingerprint", "sign_card"]

OTHERS = 0o077
"""Permissions of group and others."""


def make_key_pair(path: Path) -> tuple[Path, Path]:
    """Write a new pair: `NAME.key`, for the owner's eyes only, and `NAME.pub`, for every board. Both PEM, unencrypted.

    Raises InputError where `path` has no name; OutputExists where one of them is there, which is never overwritten; OutputFailed, and then neither is left;
    MissingDependency.
    """
    try:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
    except ImportError as error:
        raise missing_cryptography(error) from error
    if not path.name:
        raise InputError(f"{path} is no name for a key; expected one such as keys/robot")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    public = key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    files = (path.with_name(path.name + ".key"), path.with_name(path.name + ".pub"))
    with ExitStack() as undo:
        for file, data, mode in zip(files, (private, public), (0o600, 0o644), strict=True):
            _write_new(file, data, mode, undo)
        undo.pop_all()
    return files


def _write_new(path: Path, data: bytes, mode: int, undo: ExitStack) -> None:
    """Written in place: a file that never existed under another name or with other permissions."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        undo.callback(path.unlink)
        with open(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(handle)
    except FileExistsError as error:
        raise OutputExists(f"{path} exists already, and a key is never overwritten; choose another name") from error
    except OSError as error:
        raise OutputFailed(f"{path} cannot be written: {error.strerror}") from error


def sign_card(card: EngineCard, private_key: Path) -> EngineCard:
    """The card with signer and signature; an older signature is replaced.

    Raises InputError for a file that is no Ed25519 private key, is encrypted, or may be read by others; MissingFile,
    MissingDependency.
    """
    key = _private_key(private_key)
    named = replace(card, signer=fingerprint(key.public_key()), signature="")
    return replace(named, signature=key.sign(signed_message(named)).hex())


def private_key_fingerprint(private_key: Path) -> str:
    """That of its public half, after all checks of `sign_card`: to be asked before a build that takes minutes."""
    return fingerprint(_private_key(private_key).public_key())


def _private_key(path: Path) -> "Ed25519PrivateKey":
    try:
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
        from cryptography.hazmat.primitives.serialization import load_pem_private_key
    except ImportError as error:
        raise missing_cryptography(error) from error
    data, name = read_key(path), shlex.quote(str(path))
    if b"PUBLIC KEY-----" in data:
        raise InputError(f"{path} is a public key; expected its private half (NAME.key) to sign with")
    if (mode := path.stat().st_mode) & OTHERS:
        raise InputError(f"{path} may be used by others (mode {mode & 0o777:04o}): chmod 600 {name}")
    try:
        key = load_pem_private_key(data, password=None)
    except TypeError as error:  # cryptography's word for "it is encrypted"
        raise InputError(
            f"{path} is encrypted, and nobody is there to be asked while an engine is built; decrypt it for that time: "
            f"(umask 077; openssl pkey -in {name} -out plain.key)"
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputError(
            f"{path} holds no private key in PEM form; expected an Ed25519 one, such as edgesr-export keygen makes (NAME.key)"
        ) from error
    if not isinstance(key, Ed25519PrivateKey):
        raise InputError(f"{path} holds a key of another kind ({type(key).__name__}); expected Ed25519")
    return key

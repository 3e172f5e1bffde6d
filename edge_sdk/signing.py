"""Ed25519 keys: making, keeping, signing, checking."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from edge_sdk.errors import ConfigError, UntrustedBundle
from edge_sdk.files import read_bytes, sha256_hex, write_atomic

PRIVATE_NAME, PUBLIC_NAME = "signing.key", "signing.pub"


def generate_keys(folder: Path) -> tuple[Path, Path]:
    """Write a new key pair as PEM into ``folder``; the private one is readable by its owner alone.

    Raises:
        ConfigError: There is a private key already; it is never overwritten.
    """
    private_path, public_path = folder / PRIVATE_NAME, folder / PUBLIC_NAME
    if private_path.exists():
        raise ConfigError(f"{private_path} exists already", remedy="choose another folder, or remove it yourself")
    key = Ed25519PrivateKey.generate()
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    write_atomic(private_path, private, mode=0o600)
    write_atomic(public_path, _public_pem(key.public_key()))
    return private_path, public_path


def load_private_key(path: Path) -> Ed25519PrivateKey:
    """Read a PEM private key.

    Raises:
        ConfigError: Missing, or not an unencrypted Ed25519 private key.
    """
    try:
        key = serialization.load_pem_private_key(read_bytes(path, what="signing key"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise _not_a_key(path, "private") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise _not_a_key(path, "private")
    return key


def load_public_key(path: Path) -> Ed25519PublicKey:
    """Read a PEM public key.

    Raises:
        ConfigError: Missing, or not an Ed25519 public key.
    """
    try:
        key = serialization.load_pem_public_key(read_bytes(path, what="trusted key"))
    except (ValueError, UnsupportedAlgorithm) as error:
        raise _not_a_key(path, "public") from error
    if not isinstance(key, Ed25519PublicKey):
        raise _not_a_key(path, "public")
    return key


def fingerprint(key: Ed25519PublicKey) -> str:
    """Return the first 16 hexadecimal digits of the SHA-256 of the raw public key, for people."""
    return sha256_hex(key.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw))[:16]


def check_signature(message: bytes, signature: bytes, *, trusted: Sequence[Ed25519PublicKey]) -> None:
    """Return if one of the trusted keys signed exactly this message.

    Raises:
        UntrustedBundle: None of them did.
    """
    for key in trusted:
        try:
            key.verify(signature, message)
        except InvalidSignature:
            continue
        return
    names = ", ".join(fingerprint(key) for key in trusted) or "none"
    raise UntrustedBundle(
        f"bundle was not signed by a trusted key (trusted: {names}), or was altered after signing",
        remedy="get it again from its maker, or add the maker's signing.pub to the trusted keys",
    )


def _public_pem(key: Ed25519PublicKey) -> bytes:
    return key.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)


def _not_a_key(path: Path, kind: str) -> ConfigError:
    return ConfigError(f"{path} is not an Ed25519 {kind} key in PEM", remedy="make one with 'edge-convert keygen'")

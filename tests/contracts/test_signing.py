"""Keys: made once, kept private, and refused when they are not what they should be."""

import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk.errors import ConfigError, StorageUnavailable, UntrustedBundle
from edge_sdk.signing import check_signature, fingerprint, generate_keys, load_private_key, load_public_key

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PEM, PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


def private_pem(
    key: Ed25519PrivateKey | rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey, password: bytes = b""
) -> bytes:
    encryption = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    return key.private_bytes(PEM, PKCS8, encryption)


def test_a_new_pair_signs_and_checks(tmp_path: Path):
    private, public = generate_keys(tmp_path / "keys")
    signature = load_private_key(private).sign(b"message")
    check_signature(b"message", signature, trusted=[load_public_key(public)])


def test_the_private_key_is_readable_by_its_owner_alone(tmp_path: Path):
    private, public = generate_keys(tmp_path)
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE(public.stat().st_mode) == 0o644
    assert sorted(tmp_path.iterdir()) == [private, public]


def test_a_private_key_is_never_overwritten(tmp_path: Path):
    private, public = generate_keys(tmp_path)
    before = private.read_bytes(), public.read_bytes()
    with pytest.raises(ConfigError, match="exists already"):
        generate_keys(tmp_path)
    assert (private.read_bytes(), public.read_bytes()) == before


def test_keys_cannot_be_made_inside_a_file(tmp_path: Path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StorageUnavailable):
        generate_keys(tmp_path / "file")


@pytest.mark.parametrize("load", [load_private_key, load_public_key])
def test_a_missing_key_is_refused(tmp_path: Path, load: type):
    with pytest.raises(ConfigError, match="does not exist"):
        load(tmp_path / "none.pem")


@pytest.mark.parametrize("load", [load_private_key, load_public_key])
@given(content=st.binary(max_size=200))
def test_what_is_no_key_is_refused(tmp_path_factory: pytest.TempPathFactory, load: type, content: bytes):
    path = tmp_path_factory.mktemp("key") / "key.pem"
    for data in (content, b"-----BEGIN PRIVATE KEY-----\n" + content + b"\n-----END PRIVATE KEY-----\n"):
        path.write_bytes(data)
        with pytest.raises(ConfigError, match="is not an Ed25519"):
            load(path)


@pytest.mark.parametrize(
    "content",
    [
        private_pem(rsa.generate_private_key(public_exponent=65537, key_size=2048)),
        private_pem(ec.generate_private_key(ec.SECP256R1())),
        private_pem(KEY, password=b"secret"),
    ],
    ids=["RSA", "elliptic curve", "encrypted"],
)
def test_a_private_key_of_another_kind_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "key.pem"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="is not an Ed25519 private key"):
        load_private_key(path)


def test_a_public_key_of_another_kind_is_refused(tmp_path: Path):
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048).public_key()
    path = tmp_path / "key.pem"
    path.write_bytes(key.public_bytes(PEM, serialization.PublicFormat.SubjectPublicKeyInfo))
    with pytest.raises(ConfigError, match="is not an Ed25519 public key"):
        load_public_key(path)


def test_the_halves_of_a_pair_cannot_be_confused(tmp_path: Path):
    private, public = generate_keys(tmp_path)
    with pytest.raises(ConfigError):
        load_private_key(public)
    with pytest.raises(ConfigError):
        load_public_key(private)


@given(message=st.binary(max_size=60), other=st.binary(max_size=60), signature=st.binary(max_size=70))
def test_only_the_signature_of_exactly_this_message_counts(message: bytes, other: bytes, signature: bytes):
    true = KEY.sign(message)
    check_signature(message, true, trusted=[KEY.public_key()])
    for wrong_message, wrong_signature in ((message, signature), (other + b"x" + message, true), (message, true[:-1])):
        with pytest.raises(UntrustedBundle):
            check_signature(wrong_message, wrong_signature, trusted=[KEY.public_key()])


def test_a_fingerprint_is_short_and_names_the_key():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32)).public_key()
    assert len(fingerprint(KEY.public_key())) == 16
    assert fingerprint(KEY.public_key()) != fingerprint(other)
    with pytest.raises(UntrustedBundle, match=fingerprint(other)):
        check_signature(b"", bytes(64), trusted=[other])

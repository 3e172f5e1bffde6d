"""Bundles: sealed alike every time, opened only if exactly what a trusted key signed."""

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from edge_sdk import bundle
from edge_sdk.bundle import MANIFEST, SIGNATURE, Bundle, file_entries, open_bundle, pack, unpack, write_bundle
from edge_sdk.errors import ConfigError, IncompatibleBundle, ManifestError, UntrustedBundle
from edge_sdk.manifest import Manifest, encode_manifest
from tests.contracts import samples

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
STRANGER = Ed25519PrivateKey.from_private_bytes(bytes(32))
TRUSTED = [KEY.public_key()]
MEMBERS = samples.members()
SEALED = pack(samples.manifest(), MEMBERS, key=KEY)
OPENED = unpack(SEALED, trusted=TRUSTED)


def zipped(members: Mapping[str, bytes], *, compression: int = zipfile.ZIP_STORED, comment: bytes = b"") -> bytes:
    """Return a zip as anyone could make it, signed by nobody in particular."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.comment = comment
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def signed(manifest: bytes, members: Mapping[str, bytes] = MEMBERS, **options: Any) -> bytes:
    """Return a bundle with any manifest at all, rightly signed by a trusted key."""
    return zipped({MANIFEST: manifest, SIGNATURE: KEY.sign(manifest), **members}, **options)


def sealed_with(**changed: Any) -> bytes:
    """Return a rightly signed bundle with some fields of its manifest changed."""
    fields = msgspec.to_builtins(samples.manifest()) | changed
    return signed(msgspec.json.encode(fields))


def assert_refused(data: bytes) -> None:
    with pytest.raises((UntrustedBundle, ManifestError)):
        unpack(data, trusted=TRUSTED)


def assert_refused_or_the_same(data: bytes) -> None:
    """A zip has bytes that mean nothing here, such as a file's time: then what is opened is what was signed."""
    try:
        opened = unpack(data, trusted=TRUSTED)
    except (UntrustedBundle, ManifestError):
        return
    assert opened.manifest == OPENED.manifest
    assert opened.members == OPENED.members


class TestSealing:
    def test_what_is_sealed_can_be_opened(self):
        assert OPENED.manifest == samples.manifest()
        assert OPENED.members == MEMBERS

    def test_the_same_inputs_give_the_same_bytes(self):
        shuffled = dict(reversed(MEMBERS.items()))
        assert pack(samples.manifest(), shuffled, key=KEY) == SEALED

    def test_a_written_bundle_is_the_packed_one(self, tmp_path: Path):
        path = tmp_path / "made" / "sample.edge"
        write_bundle(path, samples.manifest(), MEMBERS, key=KEY)
        assert path.read_bytes() == SEALED
        assert open_bundle(path, trusted=TRUSTED) == OPENED

    def test_members_stand_stored_in_a_fixed_order(self):
        with zipfile.ZipFile(io.BytesIO(SEALED)) as archive:
            infos = archive.infolist()
        assert [info.filename for info in infos] == [MANIFEST, SIGNATURE, *sorted(MEMBERS)]
        assert {info.compress_type for info in infos} == {zipfile.ZIP_STORED}

    def test_a_manifest_of_other_files_cannot_be_sealed(self):
        with pytest.raises(ManifestError, match="other files"):
            pack(samples.manifest(), {**MEMBERS, "extra": b""}, key=KEY)

    def test_a_manifest_that_nobody_could_read_cannot_be_sealed(self):
        report = msgspec.structs.replace(samples.manifest().verification, agreement=float("nan"))
        with pytest.raises(ManifestError, match="agreement"):
            pack(msgspec.structs.replace(samples.manifest(), verification=report), MEMBERS, key=KEY)

    def test_the_self_test_comes_back(self):
        (case,) = OPENED.self_test.cases
        assert case.expected.numpy().tolist() == [0.75, 0.25]
        assert case.inputs["ecg"].numpy().shape == (8, 1)

    def test_the_digest_is_of_the_whole_file(self):
        assert OPENED.sha256 == bundle.sha256_hex(SEALED)


class TestAlteration:
    @pytest.mark.parametrize("bit", [0, 7])
    def test_a_flipped_bit_anywhere_is_refused_or_changes_nothing(self, bit: int):
        for index in range(len(SEALED)):
            altered = bytearray(SEALED)
            altered[index] ^= 1 << bit
            assert_refused_or_the_same(bytes(altered))

    def test_a_flipped_bit_in_any_content_is_refused(self):
        with zipfile.ZipFile(io.BytesIO(SEALED)) as archive:
            contents = {info.filename: archive.read(info) for info in archive.infolist()}
        for data in contents.values():
            start = SEALED.index(data)
            for index in range(start, start + len(data), 7):
                altered = bytearray(SEALED)
                altered[index] ^= 0x10
                assert_refused(bytes(altered))

    @given(st.data())
    def test_any_replaced_stretch_is_refused_or_changes_nothing(self, data: st.DataObject):
        start = data.draw(st.integers(0, len(SEALED)))
        end = data.draw(st.integers(start, min(len(SEALED), start + 40)))
        assert_refused_or_the_same(SEALED[:start] + data.draw(st.binary(max_size=40)) + SEALED[end:])

    @given(st.data())
    def test_any_altered_directory_is_refused_or_changes_nothing(self, data: st.DataObject):
        directory = SEALED.index(b"PK\x01\x02")
        altered = bytearray(SEALED)
        for _ in range(data.draw(st.integers(1, 4))):
            altered[data.draw(st.integers(directory, len(SEALED) - 1))] = data.draw(st.integers(0, 255))
        assert_refused_or_the_same(bytes(altered))

    def test_a_truncated_bundle_is_refused_wherever_it_ends(self):
        for length in range(len(SEALED)):
            assert_refused(SEALED[:length])

    @given(st.binary(max_size=300))
    def test_random_bytes_are_refused(self, data: bytes):
        assert_refused(data)
        assert_refused(data + SEALED[-22:])

    @pytest.mark.parametrize("name", [*MEMBERS, MANIFEST, SIGNATURE])
    def test_a_missing_member_is_refused(self, name: str):
        with zipfile.ZipFile(io.BytesIO(SEALED)) as archive:
            kept = {info.filename: archive.read(info) for info in archive.infolist() if info.filename != name}
        assert_refused(zipped(kept))

    def test_an_added_member_is_refused(self):
        assert_refused(signed(encode_manifest(samples.manifest()), {**MEMBERS, "extra.py": b"print(1)"}))

    def test_a_member_swapped_for_another_genuine_one_is_refused(self):
        swapped = dict(zip(MEMBERS, reversed(MEMBERS.values()), strict=True))
        assert_refused(signed(encode_manifest(samples.manifest()), swapped))

    @pytest.mark.parametrize("name", MEMBERS)
    def test_a_member_replaced_by_another_of_its_size_is_refused(self, name: str):
        altered = {**MEMBERS, name: bytes(len(MEMBERS[name]))}
        with pytest.raises(UntrustedBundle, match=f"altered {name}"):
            unpack(signed(encode_manifest(samples.manifest()), altered), trusted=TRUSTED)

    def test_something_after_the_bundle_is_refused(self):
        assert_refused(SEALED + b"\x00")
        assert_refused(signed(encode_manifest(samples.manifest()), comment=b"hello"))


class TestTrust:
    def test_a_strangers_bundle_is_refused(self):
        with pytest.raises(UntrustedBundle, match="not signed by a trusted key"):
            unpack(pack(samples.manifest(), MEMBERS, key=STRANGER), trusted=TRUSTED)

    def test_one_trusted_key_of_several_is_enough(self):
        keys = [STRANGER.public_key(), *TRUSTED]
        assert unpack(SEALED, trusted=keys) == OPENED

    def test_without_a_trusted_key_nothing_is_opened(self):
        with pytest.raises(UntrustedBundle, match="trusted: none"):
            unpack(SEALED, trusted=[])

    def test_another_bundles_signature_is_refused(self):
        other = msgspec.structs.replace(samples.manifest(), model_version="9.9.9")
        manifest = encode_manifest(samples.manifest())
        assert_refused(zipped({MANIFEST: manifest, SIGNATURE: KEY.sign(encode_manifest(other)), **MEMBERS}))

    @pytest.mark.parametrize("signature", [b"", bytes(64), bytes(63), bytes(65), bytes(10_000)])
    def test_what_is_no_signature_is_refused(self, signature: bytes):
        assert_refused(zipped({MANIFEST: encode_manifest(samples.manifest()), SIGNATURE: signature, **MEMBERS}))

    def test_a_bundle_is_not_parsed_before_its_signature_is_verified(self):
        unparsable = zipped({MANIFEST: b"not even JSON", SIGNATURE: bytes(64), **MEMBERS})
        with pytest.raises(UntrustedBundle, match="not signed by a trusted key"):
            unpack(unparsable, trusted=TRUSTED)


class TestTricks:
    @pytest.mark.parametrize(
        "name",
        [
            "../models/cpu.tflite",
            "models/../../x",
            "/etc/passwd",
            "..",
            ".",
            "./x",
            "a//b",
            "folder/",
            "a\\b",
            "..\\x",
            "C:x",
            ".hidden",
            "a\nb",
            "a b",
            "modèle",
            "a\x00b",
        ],
    )
    def test_a_name_that_could_lead_elsewhere_is_refused_even_if_signed(self, name: str):
        members = {**MEMBERS, name: b"x"}
        assert_refused(signed(encode_manifest(samples.manifest(members)), members))

    def test_a_name_used_twice_is_refused(self):
        buffer = io.BytesIO(SEALED)
        with pytest.warns(UserWarning, match="Duplicate name"), zipfile.ZipFile(buffer, "a") as archive:
            archive.writestr(samples.ARTIFACT, b"another model")
        with pytest.raises(UntrustedBundle, match="twice"):
            unpack(buffer.getvalue(), trusted=TRUSTED)

    def test_a_manifest_that_lists_a_file_twice_is_refused(self):
        files = msgspec.to_builtins(samples.manifest().files)
        with pytest.raises(ManifestError, match="twice"):
            unpack(sealed_with(files=[*files, files[0]]), trusted=TRUSTED)

    def test_deflated_members_are_read(self):
        deflated = signed(encode_manifest(samples.manifest()), compression=zipfile.ZIP_DEFLATED)
        assert unpack(deflated, trusted=TRUSTED).members == MEMBERS

    @given(st.data())
    def test_altered_deflated_members_are_refused_or_change_nothing(self, data: st.DataObject):
        altered = bytearray(signed(encode_manifest(samples.manifest()), compression=zipfile.ZIP_DEFLATED))
        altered[data.draw(st.integers(0, len(altered) - 1))] ^= data.draw(st.integers(1, 255))
        assert_refused_or_the_same(bytes(altered))

    @pytest.mark.parametrize("compression", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
    def test_other_compressions_are_refused(self, compression: int):
        with pytest.raises(UntrustedBundle, match="in an unknown way"):
            unpack(signed(encode_manifest(samples.manifest()), compression=compression), trusted=TRUSTED)

    @pytest.mark.parametrize("name", [MANIFEST, SIGNATURE, samples.ARTIFACT])
    def test_a_member_that_declares_a_huge_size_is_refused(self, name: str):
        altered = bytearray(SEALED)
        entry = SEALED.index(name.encode(), SEALED.index(b"PK\x01\x02")) - 46  # its entry in the directory
        assert SEALED[entry : entry + 4] == b"PK\x01\x02"
        struct.pack_into("<II", altered, entry + 20, 0xFFFFFFF0, 0xFFFFFFF0)
        assert_refused(bytes(altered))

    def test_a_member_that_inflates_beyond_its_declared_size_is_refused(self):
        bomb = {**MEMBERS, samples.ARTIFACT: bytes(50_000_000)}
        data = bytearray(signed(encode_manifest(samples.manifest()), bomb, compression=zipfile.ZIP_DEFLATED))
        assert len(data) < 100_000
        for mark, offset in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):  # where each header keeps the true size
            header = data.index(mark, data.index(samples.ARTIFACT.encode()) - 60)
            struct.pack_into("<I", data, header + offset, len(MEMBERS[samples.ARTIFACT]))
        assert_refused(bytes(data))

    def test_an_unsigned_manifest_that_inflates_hugely_is_refused_before_it_does(self):
        bomb = zipped({MANIFEST: bytes(50_000_000), SIGNATURE: bytes(64)}, compression=zipfile.ZIP_DEFLATED)
        with pytest.raises(UntrustedBundle, match="declares 50000000 bytes"):
            unpack(bomb, trusted=TRUSTED)

    def test_files_that_are_huge_together_are_refused(self):
        files = msgspec.to_builtins(samples.manifest().files)
        huge = [file | {"size_bytes": bundle.MAX_BUNDLE_BYTES} for file in files]
        with pytest.raises(UntrustedBundle, match="the limit is"):
            unpack(sealed_with(files=huge), trusted=TRUSTED)

    def test_too_many_members_are_refused(self):
        with pytest.raises(UntrustedBundle, match="65 members"):
            unpack(zipped({f"m{index}": b"" for index in range(65)}), trusted=TRUSTED)

    def test_a_directory_of_a_million_members_is_refused_before_it_is_read(self):
        with pytest.raises(UntrustedBundle, match="no plain directory"):
            unpack(zipped({f"member-{index}": b"" for index in range(2000)}), trusted=TRUSTED)

    def test_a_directory_that_a_64_bit_record_replaces_is_refused(self):
        record = b"PK\x06\x06" + bytes(52)
        locator = b"PK\x06\x07" + struct.pack("<IQI", 0, len(SEALED) - 22, 1)
        with pytest.raises(UntrustedBundle, match="no plain directory"):
            unpack(SEALED[:-22] + record + locator + SEALED[-22:], trusted=TRUSTED)

    def test_a_member_that_needs_a_newer_zip_is_refused(self):
        altered = bytearray(SEALED)
        altered[SEALED.index(b"PK\x01\x02") + 6] = 99
        with pytest.raises(UntrustedBundle, match="zip file version"):
            unpack(bytes(altered), trusted=TRUSTED)

    def test_a_member_that_starts_beyond_any_file_is_refused(self):
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr(MANIFEST, b"")
            archive.writestr(SIGNATURE, bytes(64))
            archive.infolist()[0].extra = struct.pack("<HHQ", 1, 8, 2**64 - 1)  # its offset in 64 bits
        altered = bytearray(buffer.getvalue())
        struct.pack_into("<I", altered, altered.index(b"PK\x01\x02") + 42, 0xFFFFFFFF)
        assert_refused(bytes(altered))

    def test_an_encrypted_member_is_refused(self):
        altered = bytearray(SEALED)
        for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
            altered[SEALED.index(mark) + offset] |= 1
        assert_refused(bytes(altered))

    def test_a_file_over_the_limit_is_refused_unread(self, tmp_path: Path):
        path = tmp_path / "huge.edge"
        with path.open("wb") as stream:
            stream.truncate(2**36)  # all hole: takes no space, but no memory could hold it
        with pytest.raises(UntrustedBundle, match="the limit is"):
            open_bundle(path, trusted=TRUSTED)

    def test_a_missing_file_or_a_folder_is_the_persons_mistake(self, tmp_path: Path):
        for path in (tmp_path / "none.edge", tmp_path):
            with pytest.raises(ConfigError):
                open_bundle(path, trusted=TRUSTED)


class TestManifests:
    @pytest.mark.parametrize("version", ["2.0", "0.9", "10.0", "", "one"])
    def test_an_unknown_schema_major_is_refused_even_if_signed(self, version: str):
        with pytest.raises(ManifestError, match="schema version"):
            unpack(sealed_with(schema_version=version), trusted=TRUSTED)

    def test_a_newer_minor_version_with_a_field_we_do_not_know_is_read(self):
        assert unpack(sealed_with(schema_version="1.7", mood="good"), trusted=TRUSTED).members == MEMBERS

    @pytest.mark.parametrize(
        "data", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"[" * 100_000, b'{"schema_version": 1}', b"{}"]
    )
    def test_what_is_no_manifest_is_refused_even_if_signed(self, data: bytes):
        with pytest.raises(ManifestError):
            unpack(signed(data), trusted=TRUSTED)

    @pytest.mark.parametrize(
        "changed",
        [
            {"model_version": "1.2"},
            {"model_version": "01.2.3"},
            {"model_version": "1.2.3-rc1"},
            {"self_test": "elsewhere"},
            {"files": []},
            {"artifacts": [{"path": samples.ARTIFACT, "backend": "exec", "targets": [], "inputs": [], "outputs": []}]},
            {"files": [{"path": samples.SELF_TEST, "sha256": "short", "size_bytes": 1}]},
            {"verification": None},
        ],
    )
    def test_a_manifest_that_contradicts_itself_is_refused(self, changed: dict[str, Any]):
        assert_refused(sealed_with(**changed))

    @pytest.mark.parametrize(
        "wrong", [{"size_bytes": -1}, {"size_bytes": "1"}, {"sha256": "0" * 63}, {"sha256": "G" * 64}]
    )
    def test_an_impossible_size_or_digest_is_refused(self, wrong: dict[str, Any]):
        files = msgspec.to_builtins(samples.manifest().files)
        with pytest.raises(ManifestError):
            unpack(sealed_with(files=[files[0] | wrong, files[1]]), trusted=TRUSTED)

    def test_a_self_test_that_is_none_is_refused(self):
        members = {**MEMBERS, samples.SELF_TEST: b"\x93"}
        opened: Bundle = unpack(pack(samples.manifest(members), members, key=KEY), trusted=TRUSTED)
        with pytest.raises(ManifestError, match="self-test"):
            _ = opened.self_test

    def test_the_artifact_for_a_board_is_found_and_another_board_refused(self):
        manifest: Manifest = OPENED.manifest
        assert manifest.artifact_for("raspberry-pi-5").path == samples.ARTIFACT
        with pytest.raises(IncompatibleBundle, match="is for raspberry-pi-4b, raspberry-pi-5, not for coral-dev-board"):
            manifest.artifact_for("coral-dev-board")

    def test_files_are_listed_by_path_with_size_and_digest(self):
        entries = file_entries(MEMBERS)
        assert [entry.path for entry in entries] == sorted(MEMBERS)
        assert entries == OPENED.manifest.files

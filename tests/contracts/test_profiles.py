"""The hardware profiles: each board as data."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edge_sdk.errors import ProfileError
from edge_sdk.profiles import HardwareProfile, load_profile, profile_slugs, read_profile

REPOSITORY = Path(__file__).parents[2]
BOARD = REPOSITORY / "hardware_profiles" / "coral-dev-board.toml"
JETSON = BOARD.with_name("jetson-orin-nano.toml")
OLDEST_PYTHON_WE_SUPPORT = (3, 10)


def numbers(value: Any, key: str = "") -> Iterator[str]:
    """Yield the dotted keys of all numbers, and of strings that are numbers, like a compute capability."""
    if isinstance(value, dict):
        for name, part in value.items():
            yield from numbers(part, f"{key}.{name}".lstrip("."))
    elif isinstance(value, int | float) or (isinstance(value, str) and value.replace(".", "", 1).isdigit()):
        yield key


def edited(tmp_path: Path, old: str, new: str) -> Path:
    text = BOARD.read_text()
    assert text.count(old) == 1
    path = tmp_path / BOARD.name
    path.write_text(text.replace(old, new))
    return path


def test_the_boards_we_promise_are_there():
    promised = {"raspberry-pi-4b", "raspberry-pi-5", "raspberry-pi-zero-2-w"}
    promised |= {"jetson-orin-nano", "jetson-nano", "jetson-xavier-nx", "coral-usb-on-pi-4b", "coral-dev-board"}
    assert promised <= set(profile_slugs())


@pytest.mark.parametrize("slug", profile_slugs())
class TestEveryBoard:
    def test_loads_under_its_file_name(self, slug: str):
        assert load_profile(slug).slug == slug

    def test_has_exactly_one_source_for_every_number(self, slug: str):
        profile = load_profile(slug)
        fields = msgspec.to_builtins(profile)
        assert set(profile.sources) == set(numbers({key: fields[key] for key in fields if key != "sources"}))

    def test_names_a_document_and_its_address_as_source(self, slug: str):
        for source in load_profile(slug).sources.values():
            document, _, address = source.rpartition(": ")
            assert len(document) > 10
            assert address.startswith("https://")

    def test_is_fast_only_with_types_it_takes(self, slug: str):
        runtime = load_profile(slug).runtime
        assert runtime.fast_dtypes
        assert set(runtime.fast_dtypes) <= set(runtime.dtypes)

    def test_has_the_accelerator_its_runtime_needs(self, slug: str):
        profile = load_profile(slug)
        needed = {"litert": None, "edgetpu": "edgetpu", "tensorrt": "cuda"}[profile.runtime.backend]
        assert (profile.accelerator.kind if profile.accelerator else None) == needed

    def test_says_which_tensorrt_it_has_if_it_runs_that(self, slug: str):
        runtime = load_profile(slug).runtime
        assert bool(runtime.jetpack) == (runtime.backend == "tensorrt")

    def test_says_so_when_its_own_python_is_too_old_for_us(self, slug: str):
        profile = load_profile(slug)
        versions = [tuple(map(int, version.split("."))) for version in profile.system.python]
        if max(versions) < OLDEST_PYTHON_WE_SUPPORT:
            assert any("too old for this SDK" in note for note in profile.notes)


def test_an_unknown_board_is_refused_with_the_nearest_name():
    with pytest.raises(ProfileError, match="did you mean 'raspberry-pi-4b'"):
        load_profile("raspbery-pi-4")


def test_a_board_that_resembles_none_is_refused_with_all_names():
    with pytest.raises(ProfileError, match=r"known: .*jetson-orin-nano.*raspberry-pi-zero-2-w"):
        load_profile("zx81")


def test_a_board_cannot_be_named_by_a_path():
    with pytest.raises(ProfileError):
        load_profile("../hardware_profiles/raspberry-pi-4b")


@pytest.mark.parametrize(
    ("key", "meant"), [("clock_mhz = 1", "clock_hz"), ("core = 4", "cores"), ("zzzzzzzzz = 4", None)]
)
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path, key: str, meant: str | None):
    path = edited(tmp_path, "cores = 4", f"cores = 4\n{key}")
    with pytest.raises(ProfileError, match=key.split(maxsplit=1)[0]) as refusal:
        read_profile(path)
    assert refusal.value.remedy == (f"did you mean '{meant}'?" if meant else "remove it")


@pytest.mark.parametrize(
    ("line", "key"),
    [("cores = 4\n", "cores"), ("clock_hz = 1_500_000_000\n", "clock_hz"), ("supply_w = 15.0\n", "supply_w")],
)
def test_a_missing_number_is_refused_and_never_a_default(tmp_path: Path, line: str, key: str):
    with pytest.raises(ProfileError) as refusal:
        read_profile(edited(tmp_path, line, ""))
    assert refusal.value.remedy == f"add '{key}'"


@pytest.mark.parametrize("value", ["0", "-4", '"four"', "4.5", "true", "nan"])
def test_a_senseless_number_is_refused(tmp_path: Path, value: str):
    with pytest.raises(ProfileError, match="cores"):
        read_profile(edited(tmp_path, "cores = 4", f"cores = {value}"))


@pytest.mark.parametrize("value", ["0.0", "-5.0", "nan"])
def test_a_senseless_supply_is_refused(tmp_path: Path, value: str):
    with pytest.raises(ProfileError, match="supply_w"):
        read_profile(edited(tmp_path, "supply_w = 15.0", f"supply_w = {value}"))


def test_a_jetson_that_does_not_say_which_tensorrt_it_has_is_refused(tmp_path: Path):
    text = JETSON.read_text()
    path = tmp_path / JETSON.name
    path.write_text(re.sub(r"\[runtime\.jetpack\]\n(\".*\n)+", "", text))
    with pytest.raises(ProfileError, match=r"says in \[runtime\.jetpack\] which one it has"):
        read_profile(path)


def test_a_tensorrt_that_is_no_version_is_refused(tmp_path: Path):
    path = tmp_path / JETSON.name
    path.write_text(JETSON.read_text().replace('= "10.3"', '= "newest"'))
    with pytest.raises(ProfileError, match="'newest' is not a version like"):
        read_profile(path)


def test_a_board_in_another_boards_file_is_refused(tmp_path: Path):
    with pytest.raises(ProfileError, match="calls itself 'coral-dev-bored'"):
        read_profile(edited(tmp_path, 'slug = "coral-dev-board"', 'slug = "coral-dev-bored"'))


@pytest.mark.parametrize("content", [b"slug = ", b"\xff\xfe", b"x = " + b"[" * 5000], ids=["cut", "no UTF-8", "deep"])
def test_what_is_no_toml_is_refused(tmp_path: Path, content: bytes):
    path = tmp_path / "board.toml"
    path.write_bytes(content)
    with pytest.raises(ProfileError, match="is not TOML"):
        read_profile(path)


def test_a_profile_cannot_be_changed_by_its_reader():
    profile: Any = load_profile("raspberry-pi-5")
    assert isinstance(profile, HardwareProfile)
    with pytest.raises(AttributeError):
        profile.memory_bytes = 1


def test_the_table_in_the_documentation_is_current(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sys, "path", [str(REPOSITORY / "docs"), *sys.path])
    import generate  # type: ignore[import-not-found]

    written = (REPOSITORY / "docs" / "hardware.md").read_text()
    assert written == generate.hardware_page(), "run: python docs/generate.py"

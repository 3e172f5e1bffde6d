from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from converters.commands.emulator import emulator_command
from converters.commands.verify import verify_command
from converters.emulation.cache import cache_folder, is_whole, kept
from converters.emulation.qemu import find_qemu
from converters.emulation.setup import ready_emulator
from converters.parity import check, job_of, judge, verify_emulated
from converters.probing.here import ThisMachine
from converters.probing.jobs import litert_artifact
from edge_sdk.bundle import Bundle, open_bundle
from edge_sdk.errors import (
    ConfigError,
    IncompatibleBundle,
    MissingDependency,
    StorageUnavailable,
    Unavailable,
    VerificationError,
)
from edge_sdk.signing import load_public_key
from tests.conversion.commands import run
from tests.conversion.conftest import Converted
from tests.device.bundles import SignedBundle, artifact, make_bundle


@pytest.fixture(autouse=True)
def kept_emulator(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator is kept from one run of the tests to the next."""
    assert request.config.cache is not None
    monkeypatch.setenv("XDG_CACHE_HOME", str(request.config.cache.mkdir("emulator").resolve()))


@pytest.fixture(scope="module")
def beats(tmp_path_factory: pytest.TempPathFactory) -> SignedBundle:
    return make_bundle(tmp_path_factory.mktemp("beats"))


def opened(bundle: SignedBundle) -> Bundle:
    return open_bundle(bundle.path, trusted=[load_public_key(bundle.trusted_key)])


@pytest.mark.parametrize("recipe", ["int8", "float32"])
def test_a_convolution_answers_on_arm_as_it_does_here(
    recipe: str, converted: Callable[[str], Converted], materials: Path
) -> None:
    bundle = SignedBundle(path=converted(recipe).bundle, trusted_key=materials / "signing.pub")
    emulator = ready_emulator()

    outcomes = verify_emulated(opened(bundle), emulator)

    check(outcomes)
    assert [outcome.runtime.split()[0] for outcome in outcomes] == list(emulator.machines)
    comparable = [outcome for outcome in outcomes if outcome.runtime.split()[0] in emulator.here]
    assert all(outcome.identical is (True if recipe == "int8" else None) for outcome in comparable)
    assert outcomes[0].compared_with.startswith(outcomes[0].runtime)  # the very same version


def test_the_command_says_what_ran_and_that_it_tells_no_speed(beats: SignedBundle) -> None:
    said = run(verify_command, beats.path, "--trust", beats.trusted_key, "--emulate")

    assert said.exit_code == 0, said.output
    assert "passed  litert" in said.output
    assert "bit-identical to litert" in said.output
    assert "Cortex-A72 emulated by qemu" in said.output
    assert "nothing about a board's speed" in said.output


def test_an_emulator_that_is_there_is_not_made_again() -> None:
    first = run(emulator_command)

    second = run(emulator_command)

    assert first.exit_code == second.exit_code == 0, first.output
    assert "was there already" in second.output
    assert "fetching" not in second.output


def test_the_emulated_run_leaves_the_emulator_as_it_is(beats: SignedBundle) -> None:
    emulator = ready_emulator()

    verify_emulated(opened(beats), emulator)

    assert not ready_emulator().was_made


def test_verifying_here_needs_no_emulator(beats: SignedBundle) -> None:
    said = run(verify_command, beats.path, "--trust", beats.trusted_key)

    assert said.exit_code == 0, said.output
    assert "on this machine" in said.output


def test_a_bundle_whose_answers_are_others_fails(tmp_path: Path) -> None:
    spoiled = make_bundle(tmp_path, expected=lambda answer: answer + 1)

    said = run(verify_command, spoiled.path, "--trust", spoiled.trusted_key)

    assert said.exit_code == VerificationError.exit_code
    assert "FAILED" in said.output
    assert "the signed self-test allows" in said.output


def test_one_other_integer_fails_even_within_the_tolerance(beats: SignedBundle) -> None:
    bundle, described = opened(beats), artifact("beats_int8")
    here = ThisMachine().run(job_of(bundle, described, runtime="litert"))
    stored = here.outputs[0].copy()
    stored[0, 0, 0] += -1 if stored[0, 0, 0] > 0 else 1

    outcome = judge(replace(here, outputs=(stored,)), here, bundle.self_test, described, machine="another")

    assert outcome.signed_error <= outcome.tolerance
    assert outcome.different == pytest.approx(1 / stored.size)
    with pytest.raises(VerificationError, match="of its integers differ from litert"):
        check([outcome])


def test_an_answer_that_is_no_number_fails(beats: SignedBundle) -> None:
    bundle, described = opened(beats), artifact("beats_int8")
    here = ThisMachine().run(job_of(bundle, described, runtime="litert"))
    nowhere = tuple(np.full(output.shape, np.nan, np.float32) for output in here.outputs)

    outcome = judge(replace(here, outputs=nowhere), None, bundle.self_test, described, machine="another")

    assert not outcome.passed


def test_a_bundle_for_another_kind_of_board_is_refused_with_where_to_verify_it(tmp_path: Path) -> None:
    described = artifact("beats_int8")
    other = type(described)(
        **{**{name: getattr(described, name) for name in described.__struct_fields__}, "backend": "tensorrt"}
    )
    bundle = opened(make_bundle(tmp_path, artifacts=(other,)))

    with pytest.raises(IncompatibleBundle, match=r"no model for LiteRT: .*tensorrt.*edge-agent selftest"):
        litert_artifact(bundle)


def only(tmp_path: Path, *programs: str) -> str:
    """A PATH on which nothing but these programs is found."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for program in programs:
        (folder / Path(program).name).symlink_to(program)
    return str(folder)


def test_a_missing_emulator_is_named_with_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", only(tmp_path))

    with pytest.raises(MissingDependency, match="sudo apt-get install qemu-user-static"):
        ready_emulator()


def test_a_machine_without_apt_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", only(tmp_path, str(find_qemu())))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    with pytest.raises(MissingDependency, match="no apt-get: set the emulator up on Debian or Ubuntu"):
        ready_emulator()


def test_a_mirror_that_does_not_answer_is_worth_another_try(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    sources = tmp_path / "arm64.list"
    sources.write_text("deb http://127.0.0.1:9/debian nowhere main\n")

    with pytest.raises(Unavailable, match=r"could not be fetched .*check the network"):
        ready_emulator(sources=sources)
    assert not list(cache_folder().glob("emulator-*[0-9a-f]"))


def test_sources_without_arm64_are_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "Packages").touch()
    sources = tmp_path / "arm64.list"
    sources.write_text(f"deb [trusted=yes] file:{tmp_path} ./\n")

    with pytest.raises(ConfigError, match=r"no Python for arm64 .*--apt-sources"):
        ready_emulator(sources=sources)


def test_what_is_no_file_of_sources_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "notes.txt").touch()

    with pytest.raises(ConfigError, match=r"name a file that ends in \.list or \.sources"):
        ready_emulator(sources=tmp_path / "notes.txt")


def fill(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "file").write_text("whole")
    (folder / "link").symlink_to("deep")


@pytest.mark.parametrize("damage", ["file", "inventory", "more"])
def test_a_damaged_folder_is_made_anew(damage: str, tmp_path: Path) -> None:
    folder = tmp_path / "cache" / "thing"
    assert kept(folder, fill)
    assert not kept(folder, fill)
    {
        "file": lambda: (folder / "deep" / "file").write_text("who"),
        "inventory": lambda: (folder / "inventory.json").write_text("{"),
        "more": (folder / "deep" / "other").touch,
    }[damage]()

    assert kept(folder, fill)
    assert is_whole(folder)
    assert sorted(path.name for path in folder.parent.iterdir()) == ["thing", "thing.lock"]


def test_a_folder_that_could_not_be_filled_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise Unavailable("gone")

    with pytest.raises(Unavailable):
        kept(tmp_path / "thing", fail)

    assert [path.name for path in tmp_path.iterdir()] == ["thing.lock"]
    assert kept(tmp_path / "thing", fill)


def fill_slowly(folder: Path) -> None:
    fill(folder)
    os.sync()


def keep_in_child(folder: Path, results: multiprocessing.Queue[bool]) -> None:
    results.put(kept(folder, fill_slowly))


def test_of_two_that_set_up_at_once_one_waits_for_the_other(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    results: multiprocessing.Queue[bool] = context.Queue()
    children = [context.Process(target=keep_in_child, args=(tmp_path / "thing", results)) for _ in range(2)]
    for child in children:
        child.start()

    made = sorted(results.get(timeout=60) for _ in children)
    for child in children:
        child.join()

    assert made == [False, True]
    assert is_whole(tmp_path / "thing")


def test_a_cache_that_cannot_be_written_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "file").touch()

    with pytest.raises(StorageUnavailable, match="XDG_CACHE_HOME"):
        kept(tmp_path / "file" / "thing", fill)


def test_the_cache_is_where_the_desktop_standard_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    ignored = cache_folder()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "elsewhere"))

    assert ignored == tmp_path / ".cache" / "wearable-edge-sdk"
    assert cache_folder() == tmp_path / "elsewhere" / "wearable-edge-sdk"

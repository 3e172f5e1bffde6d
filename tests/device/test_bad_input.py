from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from device_agents.state_dir import StateDir
from tests.device.bundles import READS, artifact, make_bundle
from tests.device.gateways import GatewayFolder

COMMANDS = ("run", "check")
OUR_INPUT, UNAVAILABLE, MISSING = 2, 3, 4


def setting(old: str, new: str) -> Callable[[GatewayFolder], None]:
    return lambda gateway: gateway.change(old, new)


def put(name: str, content: bytes) -> Callable[[GatewayFolder], object]:
    return lambda gateway: (gateway.folder / name).write_bytes(content)


def remove(name: str) -> Callable[[GatewayFolder], None]:
    return lambda gateway: (gateway.folder / name).unlink()


def cut(name: str) -> Callable[[GatewayFolder], None]:
    def spoil(gateway: GatewayFolder) -> None:
        data = (gateway.folder / name).read_bytes()
        (gateway.folder / name).write_bytes(data[: len(data) // 2])

    return spoil


def altered_model(gateway: GatewayFolder) -> None:
    path = gateway.folder / "model.edge"
    data = path.read_bytes()
    at = data.index(b"TFL3")  # the flatbuffer's mark, stored as it is
    path.write_bytes(data[:at] + b"TFLx" + data[at + 4 :])


def rewritten(change: Callable[[dict[str, bytes]], object]) -> Callable[[GatewayFolder], None]:
    """The bundle's members changed by someone who knows zip."""

    def spoil(gateway: GatewayFolder) -> None:
        path = gateway.folder / "model.edge"
        with zipfile.ZipFile(path) as archive:
            members = {name: archive.read(name) for name in archive.namelist()}
        change(members)
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            for name, data in members.items():
                archive.writestr(name, data)
        path.write_bytes(buffer.getvalue())

    return spoil


def signed_by_a_stranger(gateway: GatewayFolder) -> None:
    shutil.copy(make_bundle(gateway.folder / "stranger").path, gateway.folder / "model.edge")


def for_other_hardware(gateway: GatewayFolder) -> None:
    other = make_bundle(gateway.folder / "other", artifacts=(artifact("beats_int8", targets=("raspberry-pi-5",)),))
    shutil.copy(other.path, gateway.folder / "model.edge")
    shutil.copy(other.trusted_key, gateway.folder / "maker.pub")


def for_features_of_another_version(gateway: GatewayFolder) -> None:
    told, seen = READS.inputs
    told = msgspec.structs.replace(told, features=("mood", *told.features[1:]))
    other = make_bundle(gateway.folder / "other", input=msgspec.structs.replace(READS, inputs=(told, seen)))
    shutil.copy(other.path, gateway.folder / "model.edge")
    shutil.copy(other.trusted_key, gateway.folder / "maker.pub")


def for_another_signal(gateway: GatewayFolder) -> None:
    header = gateway.folder / "troubled.hea"
    header.write_text(header.read_text().replace(" 360 ", " 250 "))


FAULTS = {
    "unknown key": (setting("record =", "recrod ="), OUR_INPUT, "unknown field `recrod`.*did you mean 'record'"),
    "missing key": (setting('site = "ward"', ""), OUR_INPUT, "missing required field `site`: add 'site'"),
    "no configuration": (remove("agent.toml"), OUR_INPUT, "agent.toml does not exist"),
    "not TOML": (put("agent.toml", b"site: ward"), OUR_INPUT, "is not TOML"),
    "binary configuration": (put("agent.toml", bytes(range(256))), OUR_INPUT, "is not TOML"),
    "a word for a number": (setting("speed = 0", 'speed = "fast"'), OUR_INPUT, "speed"),
    "a speed below zero": (setting("speed = 0", "speed = -1"), OUR_INPUT, "speed must be 0 or more"),
    "no source": (
        setting('[source]\ntype = "replay"\nrecord = "troubled"\nspeed = 0\n', ""), OUR_INPUT, "add .source."),
    "an unknown source": (setting('"replay"', '"telepathy"'), OUR_INPUT, "telepathy"),
    "an unknown runtime": (setting("[broker]", '[runtime]\nbackend = "pytorch"\n[broker]'), OUR_INPUT, "pytorch"),
    "a runtime not installed": (
        setting("[broker]", '[runtime]\nbackend = "tflite-runtime"\n[broker]'), MISSING, "pip install"),
    "an unknown board": (setting("raspberry-pi-4b", "raspberry-pi-4"), OUR_INPUT, "raspberry-pi-4b"),
    "a name no topic can hold": (setting('"gateway-1"', '"gateway/1"'), OUR_INPUT, "gateway/1"),
    "an address that is none": (setting("mqtt://", "http://"), OUR_INPUT, "is not like mqtt://host:1883"),
    "no password file": (setting("[broker]", '[broker]\npassword_file = "none"'), OUR_INPUT, "password file .* exist"),
    "no trusted key": (setting('["maker.pub"]', "[]"), OUR_INPUT, "trusts no key"),
    "a key that is not there": (remove("maker.pub"), OUR_INPUT, "maker.pub does not exist"),
    "a key that is none": (put("maker.pub", b"hello"), OUR_INPUT, "not an Ed25519 public key"),
    "no bundle": (remove("model.edge"), OUR_INPUT, "model.edge does not exist"),
    "another file as bundle": (put("model.edge", b"\x89PNG\r\n" * 99), OUR_INPUT, "not a readable bundle"),
    "an empty bundle": (put("model.edge", b""), OUR_INPUT, "not a readable bundle"),
    "a truncated bundle": (cut("model.edge"), OUR_INPUT, "not a readable bundle"),
    "a tampered model": (altered_model, OUR_INPUT, "bundle .*get it again from its maker"),
    "a model put in later": (rewritten(lambda has: has.update({"model.tflite": b"mine"})), OUR_INPUT, "model.tflite"),
    "a manifest changed later": (
        rewritten(lambda has: has.update({"manifest.json": has["manifest.json"].replace(b"Tiny", b"Tony")})),
        OUR_INPUT, "not signed by a trusted key"),
    "an unsigned bundle": (rewritten(lambda has: has.pop("signature")), OUR_INPUT, "has no signature"),
    "a stranger's bundle": (signed_by_a_stranger, OUR_INPUT, "not signed by a trusted key.*add the maker's"),
    "a bundle for other hardware": (for_other_hardware, OUR_INPUT, "is for raspberry-pi-5, not for raspberry-pi-4b"),
    "features of another version": (
        for_features_of_another_version, OUR_INPUT, "do not have: mood: use the SDK's version"),
    "no record": (remove("troubled.hea"), OUR_INPUT, "troubled.hea does not exist"),
    "a record cut short": (cut("troubled.dat"), OUR_INPUT, "get the record again"),
    "a missing channel": (setting("[broker]", 'channel = "V9"\n[broker]'), OUR_INPUT, "no channel V9; it has MLII, V1"),
    "another sample rate": (for_another_signal, OUR_INPUT, "250 Hz, and the model reads 360 Hz"),
    "a file as state_dir": (put("state", b""), OUR_INPUT, "state_dir .* cannot be used"),
}  # fmt: skip


@pytest.mark.parametrize(("spoil", "exit_code", "words"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("command", COMMANDS)
def test_bad_input_is_one_line_with_the_remedy_and_leaves_nothing_behind(
    command: str, spoil: Callable[[GatewayFolder], object], exit_code: int, words: str, gateway: GatewayFolder
) -> None:
    spoil(gateway)
    before = gateway.files()

    result = gateway.told(command)

    assert_one_line(result.stderr, words)
    assert result.exit_code == exit_code
    assert result.stdout == ""
    assert gateway.files() == before


def assert_one_line(stderr: str, words: str) -> None:
    lines = [line for line in stderr.splitlines() if not line.startswith("INFO: Created TensorFlow Lite")]
    assert len(lines) == 1, stderr
    assert lines[0].startswith("error: ")
    assert re.search(words, lines[0]), lines[0]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_state_dir_in_use_is_refused_and_left_alone(command: str, gateway: GatewayFolder) -> None:
    with closing(StateDir(gateway.folder / "state")):
        before = gateway.files()

        result = gateway.told(command)

        assert_one_line(result.stderr, "in use by another agent: stop it")
        assert result.exit_code == UNAVAILABLE
        assert gateway.files() == before


def test_check_says_that_the_broker_is_not_there(gateway: GatewayFolder) -> None:
    result = gateway.told("check")

    assert_one_line(result.stderr, "broker mqtt://.* is not reachable .*start it, or correct url")
    assert result.exit_code == UNAVAILABLE


def test_without_a_broker_the_agent_works_and_keeps_everything(gateway: GatewayFolder) -> None:
    report = gateway.folder / "report.json"

    result = gateway.told("run", "--report", report)

    figures = msgspec.json.decode(report.read_bytes())
    assert result.exit_code == 0, result.stderr
    assert figures["backlog"] == figures["observations"] == len(gateway.observations()) > 0


def test_a_run_that_cannot_deliver_in_time_says_what_it_keeps(gateway: GatewayFolder) -> None:
    result = gateway.told("run", "--until-delivered", "--timeout-s", "0.1")

    assert_one_line(result.stderr, "observations are not acknowledged: they are kept")
    assert result.exit_code == UNAVAILABLE
    assert gateway.observations()


def test_selftest_refuses_what_run_refuses(gateway: GatewayFolder) -> None:
    altered_model(gateway)
    told = ["--bundle", "model.edge", "--trust", "maker.pub", "--hardware", "raspberry-pi-4b"]

    command = [sys.executable, "-m", "device_agents", "selftest", *told]
    run = subprocess.run(command, cwd=gateway.folder, capture_output=True, text=True, check=False)

    assert_one_line(run.stderr, "bundle .*get it again from its maker")
    assert (run.returncode, run.stdout) == (OUR_INPUT, "")


def test_a_check_of_the_signature_that_cannot_run_trusts_nothing(
    gateway: GatewayFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/false")

    result = gateway.told("check")

    assert_one_line(result.stderr, "signature could not be checked")
    assert result.exit_code == OUR_INPUT


def test_what_lies_in_the_current_folder_has_no_say_in_the_check_of_the_signature(gateway: GatewayFolder) -> None:
    altered = rewritten(lambda has: has.update({"manifest.json": has["manifest.json"].replace(b"Tiny", b"Tony")}))
    altered(gateway)
    (gateway.folder / "device_agents").mkdir()
    (gateway.folder / "device_agents" / "__init__.py").touch()
    (gateway.folder / "device_agents" / "genuine.py").write_text("def main(): print('\"genuine\"')")

    command = [Path(sys.executable).parent / "edge-agent", "check", "--config", gateway.config]
    run = subprocess.run(command, cwd=gateway.folder, capture_output=True, text=True, check=False)

    assert_one_line(run.stderr, "not signed by a trusted key")
    assert run.returncode == OUR_INPUT

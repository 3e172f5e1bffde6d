"""What a person types: TOML, read strictly, with help."""

from pathlib import Path

import msgspec
import pytest

from edge_sdk.contracts import BeatWindows, Clip, FixedWindows, ModelContract, Scale, Standardize, ZScore
from edge_sdk.errors import ConfigError
from edge_sdk.settings import load_toml

CONTRACT = """
id = "ecg-beats"
version = "1.0.0"
title = "Heartbeat classes"

[input]
windows = { type = "beat", before_s = 0.3, after_s = 0.4 }

[input.signal]
kind = "ecg"
unit = "mV"
channels = ["MLII", "II"]
sample_rate_hz = 360.0

[[input.inputs]]
name = "ecg"
takes = "waveform"
shape = [252, 1]
steps = [
    { type = "scale", factor = 2.0 },
    { type = "standardize", mean = [0.0], std = [1.0] },
    { type = "zscore", floor = 0.001 },
    { type = "clip", low = -5.0, high = 5.0 },
]

[output]
name = "class"
code = { system = "urn:wearable-edge-sdk:codes", code = "beat-class", display = "Heartbeat class" }
labels = [
    { name = "N", display = "Normal" },
    { name = "V", display = "Ventricular", abnormal = true },
]
"""
TWICE = """
[[input.inputs]]
name = "once"
takes = "features"
shape = [1]
features = ["qrs_width"]

[[input.inputs]]
name = "again"
takes = "features"
shape = [1]
features = ["qrs_area"]

"""


class Inner(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    retry_after_s: float


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    broker_host: str
    port: int = 1883
    outbox: Path = Path("outbox.db")
    uplink: Inner | None = None
    others: tuple[Inner, ...] = ()


def read(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "agent.toml"
    path.write_text(text)
    return load_toml(path, Config, what="agent configuration")


def contract(tmp_path: Path, old: str = "", new: str = "") -> ModelContract:
    assert not old or CONTRACT.count(old) == 1
    path = tmp_path / "model.toml"
    path.write_text(CONTRACT.replace(old, new) if old else CONTRACT)
    return load_toml(path, ModelContract, what="model contract")


def test_a_configuration_is_read_with_its_defaults(tmp_path: Path):
    config = read(tmp_path, 'broker_host = "hub"\nuplink = { retry_after_s = 2 }')
    assert config == Config(broker_host="hub", uplink=Inner(retry_after_s=2.0))


@pytest.mark.parametrize(
    ("line", "remedy"),
    [
        ("prt = 1", "did you mean 'port'?"),
        ("broker-host = 1", "did you mean 'broker_host'?"),
        ("uplink = { retry_afer_s = 1.0, retry_after_s = 1.0 }", "did you mean 'retry_after_s'?"),
        ("others = [{ retry = 1.0, retry_after_s = 1.0 }]", "remove it"),
        ("qqqqq = 1", "remove it"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_name(tmp_path: Path, line: str, remedy: str):
    with pytest.raises(ConfigError, match=r"agent configuration .*agent\.toml.*unknown field") as refusal:
        read(tmp_path, f'broker_host = "hub"\n{line}')
    assert refusal.value.remedy == remedy


def test_a_missing_key_is_named(tmp_path: Path):
    with pytest.raises(ConfigError) as refusal:
        read(tmp_path, "port = 1")
    assert refusal.value.remedy == "add 'broker_host'"


def test_a_path_is_read_and_anything_else_in_its_place_refused(tmp_path: Path):
    assert read(tmp_path, 'broker_host = "hub"\noutbox = "a/b.db"').outbox == Path("a/b.db")
    with pytest.raises(ConfigError, match=r"expected path in quotes - at `\$\.outbox`"):
        read(tmp_path, 'broker_host = "hub"\noutbox = 5')


def test_a_wrong_type_is_named_with_its_place(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"Expected `int`, got `str` - at `\$\.port`.*correct that value"):
        read(tmp_path, 'broker_host = "hub"\nport = "1883"')


@pytest.mark.parametrize("text", ["port = ", "port = 1\nport = 2", "\x00", "[a]\n[a]", "x = " + "[" * 5000])
def test_what_is_no_toml_is_refused_in_one_line(tmp_path: Path, text: str):
    with pytest.raises(ConfigError, match="is not TOML") as refusal:
        read(tmp_path, text)
    assert "\n" not in str(refusal.value)


@pytest.mark.parametrize("name", ["none.toml", "."])
def test_a_missing_file_is_refused(tmp_path: Path, name: str):
    with pytest.raises(ConfigError, match="agent configuration"):
        load_toml(tmp_path / name, Config, what="agent configuration")


def test_a_model_contract_is_read(tmp_path: Path):
    model = contract(tmp_path)
    assert model.input.windows == BeatWindows(before_s=0.3, after_s=0.4)
    assert [type(step) for step in model.input.inputs[0].steps] == [Scale, Standardize, ZScore, Clip]
    assert [label.abnormal for label in model.output.labels] == [False, True]


def test_a_model_contract_may_ask_for_fixed_windows(tmp_path: Path):
    beat = 'type = "beat", before_s = 0.3, after_s = 0.4'
    model = contract(tmp_path, beat, 'type = "fixed", length_s = 5.0, hop_s = 1.0')
    assert model.input.windows == FixedWindows(length_s=5.0, hop_s=1.0)


@pytest.mark.parametrize(
    ("old", "new", "meant"),
    [
        ("steps = [", "step = [", "steps"),
        ("abnormal = true", "abnormall = true", "abnormal"),
        ("factor = 2.0", "factor = 2.0, ofset = 1.0", "offset"),
        ('kind = "ecg"', 'kind = "ecg"\nsample_rate = 250.0', "sample_rate_hz"),
    ],
)
def test_a_slip_deep_in_a_model_contract_is_not_ignored(tmp_path: Path, old: str, new: str, meant: str):
    with pytest.raises(ConfigError, match="unknown field") as refusal:
        contract(tmp_path, old, new)
    assert refusal.value.remedy == f"did you mean '{meant}'?"


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('type = "beat"', 'type = "breath"', r"\$\.input\.windows"),
        ('type = "clip"', 'type = "exec"', r"\$\.input\.inputs\[0\]\.steps"),
        ('kind = "ecg"', 'kind = "eeg"', r"\$\.input\.signal\.kind"),
        ("sample_rate_hz = 360.0", "", "sample_rate_hz"),
        ('title = "Heartbeat classes"', 'titel = "Heartbeat classes"', "title"),
        ('takes = "waveform"', 'takes = "all"', r"\$\.input\.inputs\[0\]\.takes"),
        ('takes = "waveform"', 'takes = "features"', r"names 0 features.*\$\.input\.inputs\[0\]"),
        ("[output]", TWICE + "[output]", r"more than one input takes features.*\$\.input"),
        ('type = "beat", before_s = 0.3, after_s = 0.4', 'type = "fixed", length_s = 5.0, hop_s = 0', "hop_s"),
    ],
)
def test_a_senseless_model_contract_is_refused_with_the_place(tmp_path: Path, old: str, new: str, problem: str):
    with pytest.raises(ConfigError, match=problem):
        contract(tmp_path, old, new)

"""The compiler as a program: found, called, read, and its refusals told."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from converters.compilers.coral.compiler import ENVIRONMENT, PROGRAM, find_compiler, run_compiler
from converters.compilers.coral.log import LogRow, parse_log
from converters.compilers.coral.rulebook import DATA_TYPE, MAPPED, RANK, SECOND_SUBGRAPH
from edge_sdk.errors import ConversionError, MissingDependency
from tests.conversion.coral.conftest import FAKE_COMPILER, Recordings, data, log


def script(path: Path, content: str) -> Path:
    path.write_text(f"#!/bin/sh\n{content}\n")
    path.chmod(0o755)
    return path


def test_the_log_of_the_real_compiler_is_read():
    read = parse_log(log("fully_mapped.log"))
    assert read.version == "16.0.384591198"
    assert read.subgraphs == 1
    assert read.cached_bytes == round(3.86 * 2**20)
    assert read.remaining_bytes == round(3.83 * 2**20)
    assert read.streamed_bytes == 0
    assert {row.status for row in read.rows} == {MAPPED}
    assert sum(row.count for row in read.rows) == 134
    assert read.complaints == ()


def test_every_status_of_a_log_is_kept():
    read = parse_log(log("partly_mapped.log"))
    assert read.streamed_bytes == round(10.5 * 2**10)
    assert read.rows == (
        LogRow(operator="RESHAPE", count=2, status=RANK),
        LogRow(operator="UNIDIRECTIONAL_SEQUENCE_LSTM", count=1, status=MAPPED),
        LogRow(operator="CONV_2D", count=12, status=MAPPED),
        LogRow(operator="CUSTOM", count=1, status=DATA_TYPE),
        LogRow(operator="ADD", count=2, status=SECOND_SUBGRAPH),
    )


def test_a_refusal_is_told_in_the_compilers_words():
    complaints = parse_log(log("refused.log")).complaints
    assert "static-sized tensors" in complaints[0]
    assert "Model failed in Tflite interpreter" in complaints[1]


def test_what_is_no_log_says_nothing():
    read = parse_log("bash: line 1: something else went wrong\n")
    assert (read.version, read.rows, read.subgraphs, read.cached_bytes) == ("", (), 0, 0)


def test_a_given_compiler_is_taken_before_the_one_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / "bin").mkdir()
    on_path = script(tmp_path / "bin" / PROGRAM, "exit 0")
    named = script(tmp_path / "mine", "exit 0")
    monkeypatch.setenv("PATH", str(on_path.parent), prepend=os.pathsep)
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    assert find_compiler() == on_path
    monkeypatch.setenv(ENVIRONMENT, str(named))
    assert find_compiler() == named
    assert find_compiler(FAKE_COMPILER) == FAKE_COMPILER


def test_without_a_compiler_the_error_says_how_to_get_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv(ENVIRONMENT, raising=False)
    with pytest.raises(MissingDependency) as refusal:
        find_compiler()
    assert PROGRAM in refusal.value.problem
    for word in ("x86-64", "coral-edgetpu-stable", "apt-get install edgetpu-compiler", "Docker", ENVIRONMENT):
        assert word in refusal.value.remedy


def test_a_program_for_another_machine_is_as_good_as_none(tmp_path: Path):
    program = tmp_path / PROGRAM
    program.write_bytes(b"\x7fELF of another machine")
    program.chmod(0o755)
    with pytest.raises(MissingDependency, match="does not run here"):
        run_compiler(b"", program)


def test_the_compiled_model_and_the_log_come_back(recordings: Recordings):
    source, compiled = data("keras_lstm_mnist_ptq.tflite"), data("keras_lstm_mnist_ptq_edgetpu.tflite")
    recordings.add(source, log=log("keras_lstm_mnist_ptq.log"), compiled=compiled)
    result = run_compiler(source, find_compiler())
    assert result.flatbuffer == compiled
    assert sum(row.count for row in result.log.rows) == 6


def test_a_refused_model_is_an_error_in_the_compilers_words(recordings: Recordings):
    recordings.add(b"a model", log=log("refused.log"))
    with pytest.raises(ConversionError, match="static-sized tensors") as refusal:
        run_compiler(b"a model", find_compiler())
    assert "coral-check" in refusal.value.remedy


@pytest.mark.usefixtures("recordings")
def test_a_model_that_is_not_quantized_is_an_error_in_the_compilers_words():
    with pytest.raises(ConversionError, match="Model not quantized"):
        run_compiler(b"a float model", find_compiler())


def test_a_compiler_that_dies_without_a_word_is_an_error(tmp_path: Path):
    with pytest.raises(ConversionError, match="exit code 3"):
        run_compiler(b"", script(tmp_path / PROGRAM, "exit 3"))


def test_a_compiler_that_writes_nothing_is_an_error(tmp_path: Path):
    with pytest.raises(ConversionError, match="all is well"):
        run_compiler(b"", script(tmp_path / PROGRAM, "echo all is well"))


def test_a_compiler_that_never_ends_is_ended_with_its_children(tmp_path: Path):
    alive = tmp_path / "alive"
    slow = script(tmp_path / PROGRAM, f"(sleep 1.5; touch {alive}) & sleep 60")
    with pytest.raises(ConversionError, match="still busy"):
        run_compiler(b"", slow, timeout_s=0.3)
    time.sleep(1.6)
    assert not alive.exists()

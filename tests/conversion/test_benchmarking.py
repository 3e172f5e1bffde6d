from __future__ import annotations

import getpass
import json
import os
import platform
import shutil
import socket
import subprocess
import sys
import time
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from converters.commands.benchmark import benchmark_command
from edge_sdk.errors import ConfigError, MissingDependency, Unavailable, VerificationError
from tests.conversion.commands import run
from tests.device.bundles import SignedBundle, make_bundle

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> SignedBundle:
    return make_bundle(tmp_path_factory.mktemp("benchmarked"))


@dataclass(frozen=True)
class Board:
    """A real SSH server, and the folder that its programs use for temporary files."""

    options: tuple[str, ...]
    temporary: Path


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Board]:
    assert SSHD, "the tests need an SSH server: run scripts/test-tools"
    folder, port = tmp_path_factory.mktemp("sshd"), free_port()
    temporary = tmp_path_factory.mktemp("board")
    for name in ("host", "person"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / name], check=True)
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # a server started by root wants it
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "person.pub",
        "PidFile": "none",
        "StrictModes": "no",  # pytest's folders lie where everyone may write
        "UsePAM": "no",
        "PermitRootLogin": "prohibit-password",
        "SetEnv": f"TMPDIR={temporary}",
    }
    (folder / "sshd_config").write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    kind, key, *_ = (folder / "host.pub").read_text().split()
    (folder / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")
    server = subprocess.Popen([SSHD, "-D", "-e", "-f", folder / "sshd_config"], stderr=subprocess.DEVNULL)
    try:
        wait_for(port)
        options = (f"Port={port}", f"IdentityFile={folder / 'person'}", f"UserKnownHostsFile={folder / 'known_hosts'}")
        yield Board(options=tuple(word for option in options for word in ("--ssh-option", option)), temporary=temporary)
    finally:
        server.terminate()
        server.wait()


def wait_for(port: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.05)
    raise AssertionError("the SSH server did not start")


def over_ssh(bundle: SignedBundle, board: Board, *more: object, python: object = sys.executable):
    there = ("--ssh", f"{getpass.getuser()}@127.0.0.1", "--ssh-python", python, *board.options)
    return run(benchmark_command, bundle.path, "--trust", bundle.trusted_key, "--runs", 20, *there, *more)


def test_every_figure_says_where_it_was_measured(bundle: SignedBundle) -> None:
    said = run(benchmark_command, bundle.path, "--trust", bundle.trusted_key, "--runs", 50, "--json", "-")

    (figures,) = json.loads(said.stdout)
    assert figures["runs"] == 50
    assert 0 < figures["median_us"] <= figures["p95_us"] <= figures["p99_us"]
    assert figures["load_ms"] > 0
    assert figures["peak_memory_bytes"] > 2**20
    assert figures["where"]["host"] == socket.gethostname()
    assert figures["where"]["python"] == platform.python_version()
    assert figures["where"]["cores"] == os.cpu_count()
    assert {"cpu", "machine", "os", "numpy", "board", "governor"} <= set(figures["where"])
    assert figures["runtime"] == "litert"
    assert figures["date"].endswith("+00:00")


def test_bundles_and_threads_stand_side_by_side(bundle: SignedBundle, tmp_path: Path) -> None:
    other = make_bundle(tmp_path, model="beats_float")
    trust = [word for made in (bundle, other) for word in ("--trust", made.trusted_key)]
    options = ("--runs", 20, "--threads", 1, "--threads", 2, "--json", tmp_path / "figures.json")

    said = run(benchmark_command, bundle.path, other.path, *trust, *options)

    figures = json.loads((tmp_path / "figures.json").read_text())
    assert [figure["threads"] for figure in figures] == [1, 2, 1, 2]
    assert len({figure["sha256"] for figure in figures}) == 2
    assert figures[0]["ratio_to_first"] == 1
    assert figures[2]["ratio_to_first"] == pytest.approx(figures[2]["median_us"] / figures[0]["median_us"])
    assert socket.gethostname() in said.output


def test_memory_is_the_childs_own(bundle: SignedBundle) -> None:
    ballast = bytearray(os.urandom(1)) * 2**28

    said = run(benchmark_command, bundle.path, "--trust", bundle.trusted_key, "--runs", 1, "--json", "-")

    assert json.loads(said.stdout)[0]["peak_memory_bytes"] < len(ballast)


def test_a_model_that_answers_wrong_is_not_measured(tmp_path: Path) -> None:
    spoiled = make_bundle(tmp_path, expected=lambda answer: answer + 1)

    said = run(benchmark_command, spoiled.path, "--trust", spoiled.trusted_key)

    assert said.exit_code == VerificationError.exit_code
    assert "µs" not in said.output


def test_a_board_is_measured_over_ssh_and_nothing_is_left_on_it(bundle: SignedBundle, board: Board) -> None:
    said = over_ssh(bundle, board, "--json", "-")

    assert said.exit_code == 0, said.output
    (figures,) = json.loads(said.stdout)
    assert figures["runs"] == 20
    assert figures["where"]["host"] == socket.gethostname()
    assert not list(board.temporary.iterdir())


def test_a_python_that_is_not_there_is_told_so(bundle: SignedBundle, board: Board) -> None:
    said = over_ssh(bundle, board, python="/no such/python3")

    assert said.exit_code == MissingDependency.exit_code
    assert "--ssh-python" in said.output
    assert not list(board.temporary.iterdir())


def test_a_board_without_the_runtime_is_told_what_to_install(
    bundle: SignedBundle, board: Board, tmp_path: Path
) -> None:
    venv.create(tmp_path / "bare")

    said = over_ssh(bundle, board, python=tmp_path / "bare" / "bin" / "python")

    assert said.exit_code == MissingDependency.exit_code
    assert "pip install ai-edge-litert" in said.output
    assert not list(board.temporary.iterdir())


def test_a_board_whose_numpy_has_no_runtime_beside_it_is_told_what_to_install(
    bundle: SignedBundle, board: Board, tmp_path: Path
) -> None:
    import numpy as np

    venv.create(tmp_path / "numpy")
    (packages,) = (tmp_path / "numpy" / "lib").glob("python*/site-packages")
    for found in Path(np.__file__).parent.parent.glob("numpy*"):
        (packages / found.name).symlink_to(found)

    said = over_ssh(bundle, board, python=tmp_path / "numpy" / "bin" / "python")

    assert said.exit_code == MissingDependency.exit_code
    assert "has no LiteRT runtime" in said.output
    assert "tflite-runtime" in said.output


def test_a_board_that_is_off_is_worth_another_try(bundle: SignedBundle) -> None:
    there = ("--ssh", "someone@127.0.0.1", "--ssh-option", f"Port={free_port()}")

    said = run(benchmark_command, bundle.path, "--trust", bundle.trusted_key, *there)

    assert said.exit_code == Unavailable.exit_code
    assert "someone@127.0.0.1 cannot be reached over SSH" in said.output
    assert "Connection refused" in said.output


def test_a_board_that_does_not_know_the_key_is_told_so(bundle: SignedBundle, board: Board, tmp_path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "stranger"], check=True)
    options = [f"IdentityFile={tmp_path / 'stranger'}" if "Identity" in word else word for word in board.options]

    said = over_ssh(bundle, Board(options=tuple(options), temporary=board.temporary))

    assert said.exit_code == Unavailable.exit_code
    assert "Permission denied" in said.output


@pytest.mark.parametrize("words", [("--ssh-python", "python3"), ("--ssh", "-oProxyCommand=true")])
def test_options_that_mean_nothing_are_refused(words: tuple[str, ...], bundle: SignedBundle) -> None:
    said = run(benchmark_command, bundle.path, "--trust", bundle.trusted_key, *words)

    assert said.exit_code == ConfigError.exit_code

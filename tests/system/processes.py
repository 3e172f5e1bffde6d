"""The programs under test, as processes that can be killed and started again."""

from __future__ import annotations

import getpass
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

BIN = Path(sys.executable).parent


def free_port() -> int:
    """Return a port that nobody uses, and that no connection is given by chance (those are above 32767 on Linux)."""
    while True:
        port = random.randrange(20_000, 32_000)  # noqa: S311  # no secret
        with socket.socket() as listener:
            try:
                listener.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def wait_until(condition: Callable[[], bool], *, what: str, timeout_s: float = 60) -> None:
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"waited {timeout_s:.0f} s for {what}"
        time.sleep(0.05)


@dataclass(kw_only=True)
class Program:
    """A command whose output goes to a log, and that may be killed at any moment."""

    folder: Path
    process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def log(self) -> Path:
        return self.folder / f"{type(self).__name__.lower()}.log"

    def command(self) -> list[str | Path]:
        raise AssertionError("a program says what it runs")

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command(), stdout=log, stderr=log)

    def wait_until(self, condition: Callable[[], bool], *, what: str) -> None:
        """Wait for something that never comes once the program has ended; its log then says why."""
        wait_until(lambda: condition() or not self.running, what=what)
        assert condition(), self.log.read_text(errors="replace")[-2000:]

    @property
    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def kill(self) -> None:
        """SIGKILL: no goodbye."""
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    def stop(self) -> None:
        if self.process is not None and self.running:
            self.process.terminate()
            try:
                self.process.wait(timeout=15)
            except subprocess.TimeoutExpired:
                self.kill()


@dataclass(kw_only=True)
class Mosquitto(Program):
    """A real broker that keeps its state in its folder."""

    port: int = field(default_factory=free_port)

    @property
    def url(self) -> str:
        return f"mqtt://127.0.0.1:{self.port}"

    def command(self) -> list[str | Path]:
        binary = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
        config = self.folder / "mosquitto.conf"
        state = self.folder / "state"
        state.mkdir(exist_ok=True)
        config.write_text(
            f"listener {self.port} 127.0.0.1\nallow_anonymous true\npersistence true\n"
            f"persistence_location {state}/\nuser root\n"
        )
        return [binary, "-c", config]

    def start(self) -> None:
        super().start()
        self.wait_until(self.answers, what="the broker to listen")

    def answers(self) -> bool:
        with socket.socket() as client:
            return client.connect_ex(("127.0.0.1", self.port)) == 0

    def forget(self) -> None:
        """Delete everything it had saved."""
        shutil.rmtree(self.folder / "state")


@dataclass(kw_only=True)
class Postgres(Program):
    """A real PostgreSQL with a database of its own, on a Unix socket only."""

    @property
    def url(self) -> str:
        return f"postgresql+psycopg://{self._owner()}@/postgres?host={self.folder}"

    def command(self) -> list[str | Path]:
        return [*self._as_owner(), self._tool("postgres"), "-D", self.folder / "data", "-k", self.folder, "-h", ""]

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        shutil.chown(self.folder, self._owner())
        initialise = [self._tool("initdb"), "-D", self.folder / "data", "-A", "trust", "--no-sync"]
        subprocess.run([*self._as_owner(), *initialise], check=True, stdout=subprocess.DEVNULL, cwd=self.folder)
        super().start()
        self.wait_until(lambda: "ready to accept" in self.log.read_text(), what="PostgreSQL to be ready")

    def _owner(self) -> str:
        """PostgreSQL refuses to run as root."""
        return "postgres" if os.geteuid() == 0 else getpass.getuser()

    def _as_owner(self) -> list[str | Path]:
        return ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"] if os.geteuid() == 0 else []

    @staticmethod
    def _tool(name: str) -> str | Path:
        return shutil.which(name) or next(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))


@dataclass(kw_only=True)
class Hub(Program):
    """``edge-hub serve`` with an external broker, or its own one on a fixed port."""

    broker: str
    broker_port: int = field(default_factory=free_port)
    web_port: int = field(default_factory=free_port)

    @property
    def database(self) -> str:
        return f"sqlite:///{self.folder / 'hub.db'}"

    @property
    def broker_url(self) -> str:
        return f"mqtt://127.0.0.1:{self.broker_port}" if self.broker == "embedded" else self.broker

    @property
    def web(self) -> str:
        return f"http://127.0.0.1:{self.web_port}"

    def command(self) -> list[str | Path]:
        addresses = ["--listen", f"127.0.0.1:{self.web_port}", "--broker-listen", f"127.0.0.1:{self.broker_port}"]
        return [BIN / "edge-hub", "serve", *addresses, "--database", self.database, "--broker", self.broker]

    def start(self) -> None:
        ready_before = self._times_ready()
        super().start()
        self.wait_until(lambda: self._times_ready() > ready_before, what="the hub to be ready")

    def _times_ready(self) -> int:
        return self.log.read_text(errors="replace").count("hub ready:") if self.log.exists() else 0

    def audit(self) -> dict[str, Any]:
        report = self.folder / "audit.json"
        subprocess.run([BIN / "edge-hub", "audit", "--database", self.database, "--json", report], check=False)
        content: dict[str, Any] = json.loads(report.read_text())
        return content

    def stored(self) -> int:
        return sum(epoch["stored"] for epoch in self.audit()["epochs"])

    def export(self) -> str:
        out = self.folder / "observations.csv"
        options: list[str | Path] = ["--database", self.database, "--format", "csv", "--out", out]
        subprocess.run([BIN / "edge-hub", "export", *options], check=True)
        return out.read_text()


@dataclass(kw_only=True)
class Agent(Program):
    """``edge-agent run`` on a replay, until everything is acknowledged."""

    broker: str
    bundle: Path
    trusted_key: Path
    record: Path
    speed: float = 0.0
    program: Path = BIN / "edge-agent"
    hardware: str = "raspberry-pi-4b"

    @property
    def report_path(self) -> Path:
        return self.folder / "report.json"

    def command(self) -> list[str | Path]:
        config = self.folder / "agent.toml"
        config.write_text(f"""\
site = "ward"
device = "gateway-1"
subject = "patient-1"
hardware = "{self.hardware}"
state_dir = "state"
bundle = "{self.bundle}"
trusted_keys = ["{self.trusted_key}"]

[source]
type = "replay"
record = "{self.record}"
speed = {self.speed}

[broker]
url = "{self.broker}"
""")
        return [self.program, "run", "--config", config, "--until-delivered", "--report", self.report_path]

    def finish(self, *, timeout_s: float = 120) -> dict[str, Any]:
        """Wait for a clean end and return its report."""
        assert self.process is not None
        code = self.process.wait(timeout=timeout_s)
        assert code == 0, self.log.read_text(errors="replace")[-2000:]
        content: dict[str, Any] = json.loads(self.report_path.read_text())
        return content

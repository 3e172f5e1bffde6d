from __future__ import annotations

import errno
import http.client
import json
import math
import os
import socket
import time
from pathlib import Path

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agents.health import Health, clock_synchronized, hottest_c, read_health
from device_agents.health_pages import HUNG_S, pages
from device_agents.health_server import HttpServer
from device_agents.health_socket import NAME, StatusSocket, ask
from device_agents.metrics import Counted, Meter, Metrics
from device_agents.metrics_spread import BOUNDS_S, Histogram
from device_agents.metrics_text import prometheus
from edge_sdk.errors import AddressInUse, StorageUnavailable
from edge_sdk.observation import ModelRef

MODEL = ModelRef(id="beats", version="1.2.3", bundle_sha256="ab" * 32, runtime="litert 2.3.0")
HEALTH = Health(resident_bytes=60_000_000, cpu_s=12.5, temperature_c=51.2, clock_synchronized=True)
times = st.floats(BOUNDS_S[0], BOUNDS_S[-1])


class Agent:
    """What a meter asks: counts that a test sets, and a clock that it moves."""

    def __init__(self) -> None:
        self.now_s, self.counted = 100.0, Counted(models=(MODEL,))
        self.meter = Meter(
            lambda: self.counted, hardware="raspberry-pi-5", health=lambda: HEALTH, clock=lambda: self.now_s
        )

    def later(self, seconds: float, **changes: object) -> Metrics:
        self.now_s += seconds
        self.counted = msgspec.structs.replace(self.counted, **changes)
        self.meter.refresh()
        return self.meter.latest


@given(st.lists(times, min_size=1, max_size=50), st.sampled_from([0.5, 0.9, 0.99]))
def test_a_quantile_is_rounded_up_by_a_quarter_at_most(seconds: list[float], share: float) -> None:
    histogram = Histogram()
    for time_s in seconds:
        histogram.note(time_s)
    exact = sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    assert exact <= histogram.quantile(share) * (1 + 1e-9)
    assert histogram.quantile(share) <= exact * 1.2701


@given(st.lists(st.floats(0, 1e4), max_size=50))
def test_times_count_the_same_together_and_one_by_one(seconds: list[float]) -> None:
    array = np.array(seconds, np.float32)
    together, one_by_one = Histogram(), Histogram()
    together.note_all(array)
    for time_s in array.tolist():
        one_by_one.note(time_s)
    assert together.buckets() == one_by_one.buckets()
    assert together.spread() == one_by_one.spread()
    assert together.sum_s == pytest.approx(one_by_one.sum_s, rel=1e-5)


def test_one_time_may_be_that_of_many_things() -> None:
    histogram = Histogram()
    histogram.note(0.002, times=99)
    histogram.note(5.0)
    assert histogram.count == 100
    assert histogram.quantile(0.99) == 0.002
    assert histogram.spread().longest_s == 5.0


def test_quantiles_are_about_what_is_recent_and_counts_about_everything() -> None:
    histogram = Histogram()
    histogram.note(10.0, times=1000)
    for _ in range(2):
        histogram.turn()
    histogram.note(0.001)
    assert histogram.quantile(0.99) == 0.001
    assert histogram.count == 1001
    assert histogram.buckets()[-1] == (math.inf, 1001)


def test_figures_are_renewed_every_second_and_cost_nothing_in_between() -> None:
    agent = Agent()
    first = agent.meter.latest
    assert agent.later(0.5, windows=50) is first
    assert agent.later(0.5, windows=100).windows_per_s == 100.0
    assert agent.later(2.0, windows=150).windows_per_s == 25.0
    assert agent.meter.latest.uptime_s == 3.0


def test_a_meter_that_runs_for_a_day_speaks_of_its_last_minutes() -> None:
    agent = Agent()
    agent.meter.wait.note(9.0, times=100_000)
    for _ in range(130):
        agent.later(1.0)
    agent.meter.wait.note(0.1)
    assert agent.later(1.0).wait.p99_s == 0.1
    assert agent.meter.latest.wait.longest_s == 9.0


def test_prometheus_own_reader_reads_every_figure() -> None:
    parser = pytest.importorskip("prometheus_client.parser")
    agent = Agent()
    agent.meter.inference.note_all(np.full(7, 25e-6, np.float32))
    agent.later(1.0, windows=7, rejected={'odd "reason"\nwith \\': 2, "flat": 1}, connected=True)

    families = {family.name: family for family in parser.text_string_to_metric_families(prometheus(agent.meter))}

    def value(name: str, **labels: str) -> float:
        (found,) = (
            sample.value
            for family in families.values()
            for sample in family.samples
            if sample.name == f"edge_agent_{name}" and sample.labels == labels
        )
        return float(found)

    assert value("windows_total") == 7
    assert value("rejected_windows_total", reason='odd "reason"\nwith \\') == 2
    assert value("temperature_celsius") == HEALTH.temperature_c
    assert value("clock_synchronized") == value("broker_connected") == 1
    assert value("model_info", **msgspec.to_builtins(MODEL)) == 1
    assert value("inference_seconds_bucket", le="+Inf") == value("inference_seconds_count") == 7
    assert value("inference_seconds_bucket", le="5e-05") == 7
    assert value("inference_seconds_bucket", le="2e-05") == 0
    assert families["edge_agent_inference_seconds"].type == "histogram"
    assert all(family.documentation for family in families.values())


def test_what_the_kernel_does_not_say_is_left_out() -> None:
    agent = Agent()
    meter = Meter(lambda: agent.counted, hardware="x", health=lambda: Health(resident_bytes=1, cpu_s=0.0))
    assert "temperature" not in prometheus(meter)
    assert "clock_synchronized" not in prometheus(meter)


def test_the_hottest_zone_counts_and_one_that_cannot_be_read_does_not(tmp_path: Path) -> None:
    assert hottest_c(tmp_path) is None
    for number, text in enumerate(("41250\n", "67000\n", "", "broken")):
        zone = tmp_path / f"thermal_zone{number}"
        zone.mkdir()
        (zone / "temp").write_text(text)
    assert hottest_c(tmp_path) == 67.0


def test_the_kernel_says_how_this_process_is() -> None:
    health = read_health()
    assert 0 < health.resident_bytes < 1 << 34
    assert health.cpu_s > 0
    assert clock_synchronized() in {True, False, None}


def get(port: int, path: str) -> tuple[int, str, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.headers["Content-Type"], answer.read()
    finally:
        connection.close()


def test_figures_and_health_are_told_over_http_on_loopback_alone() -> None:
    agent, age_s = Agent(), [0.0]
    server = HttpServer(0, pages(agent.meter, age_s=lambda: age_s[0]))
    server.start()
    try:
        status, kind, text = get(server.port, "/metrics?name=x")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert text.decode() == prometheus(agent.meter)
        assert msgspec.json.decode(get(server.port, "/status")[2], type=Metrics) == agent.meter.latest
        assert get(server.port, "/health")[0] == 200
        age_s[0] = HUNG_S
        assert get(server.port, "/health")[0] == 503
        assert get(server.port, "/else")[0] == 404
        with pytest.raises(AddressInUse, match=f"port {server.port} cannot be listened on"):
            HttpServer(server.port, {})
        with socket.socket() as outside, pytest.raises(OSError, match=os.strerror(errno.ECONNREFUSED)):
            outside.connect(("127.0.0.2", server.port))
    finally:
        server.stop()


def test_whoever_owns_the_state_folder_may_ask_and_nobody_else(tmp_path: Path) -> None:
    folder = tmp_path / ("long-" * 30)  # longer than the name of a socket may be
    folder.mkdir()
    agent = Agent()
    answers = StatusSocket(folder, lambda: msgspec.json.encode(agent.meter.latest))
    answers.start()
    try:
        assert (folder / NAME).stat().st_mode & 0o777 == 0o600
        for _ in range(3):
            assert json.loads(ask(folder) or b"")["hardware"] == "raspberry-pi-5"
    finally:
        answers.stop()
    assert ask(folder) is None
    assert list(folder.iterdir()) == []


def test_the_socket_of_an_agent_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as killed:
        killed.bind(str(tmp_path / NAME))
    assert ask(tmp_path) is None
    answers = StatusSocket(tmp_path, lambda: b"{}")
    answers.start()
    assert ask(tmp_path) == b"{}"
    answers.stop()


def test_where_no_socket_can_be_made_the_agent_works_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    answers = StatusSocket(tmp_path / "nowhere", lambda: b"{}")
    answers.start()
    answers.stop()
    assert "'edge-agent status' will not reach this agent" in caplog.text


def test_an_agent_that_never_answers_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(tmp_path / NAME))
        silent.listen()
        began_s = time.monotonic()
        with pytest.raises(StorageUnavailable, match="does not answer"):
            ask(tmp_path)
    assert time.monotonic() - began_s < 5

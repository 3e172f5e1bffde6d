from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import httpx

from tests.conftest import REPOSITORY
from tests.system.processes import wait_until

PROMISED = {
    "sent", "stored", "duplicates", "lost", "agreement_float_int8", "model_bytes", "inference_us_p50", "agent_rss_mib",
    "v_sensitivity", "v_ppv", "s_sensitivity", "s_ppv", "r_peak_sensitivity", "r_peak_ppv",
}  # fmt: skip


def test_the_demo_does_the_main_job_and_leaves_a_live_dashboard(tmp_path: Path, demo_record: Path) -> None:
    words = ["--record", demo_record, "--out", tmp_path / "demo", "--keep"]
    output = tmp_path / "output"
    with output.open("w") as log:
        demo = subprocess.Popen([sys.executable, REPOSITORY / "examples" / "demo.py", *words], stdout=log, stderr=log)
    try:
        wait_until(
            lambda: "Ctrl-C ends it" in output.read_text() or demo.poll() is not None, what="the demo", timeout_s=200
        )
        assert demo.poll() is None, output.read_text()
        web = next(word for word in output.read_text().split() if word.startswith("http://"))
        wait_until(lambda: is_live(web), what="a live patient on the dashboard")
    finally:
        demo.send_signal(signal.SIGINT)
        code = demo.wait(timeout=60)

    summary = json.loads((tmp_path / "demo" / "summary.json").read_text())
    assert code == 0, output.read_text()
    assert summary.keys() >= PROMISED
    assert (summary["sent"], summary["lost"], summary["duplicates"]) == (summary["stored"], 0, 0)
    assert summary["stored"] > summary["beats"]["N"] > 0
    exported = (tmp_path / "demo" / "observations.fhir.ndjson").read_text().splitlines()
    assert len(exported) == summary["stored"]
    assert "<html" in (tmp_path / "demo" / "report.html").read_text()


def is_live(web: str) -> bool:
    devices = httpx.get(f"{web}/api/overview").json()
    return any(device["state"] == "live" and device["heart_rate"] for device in devices)

"""The main job, end to end, on a real recording: convert, prove, seal, serve, run, deliver, score.

Run by ``make demo``. Every figure of the summary is computed from what the programs wrote.
"""

from __future__ import annotations

import argparse
import json
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ecg_beats.scoring import score_export
from rich.console import Console
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

EXAMPLE = Path(__file__).parent / "ecg_beats"
HARDWARE = "raspberry-pi-4b"
SITE, DEVICE, LIVE_DEVICE = "demo-hospital", "gateway-1", "gateway-live"
BIN = Path(sys.executable).parent
console = Console()


class StepFailed(Exception):
    """A program of the demo ended with an error, which it has already explained."""


@dataclass(frozen=True)
class Hub:
    """A running hub and where it listens."""

    process: subprocess.Popen[str]
    web: str
    broker: str
    database: str


def main() -> int:
    """Run the demo; return the exit code."""
    arguments = parse_arguments()
    out: Path = arguments.out.resolve()
    for leftover in ("agent", "hub"):
        shutil.rmtree(out / leftover, ignore_errors=True)
    out.mkdir(parents=True, exist_ok=True)
    try:
        with ExitStack() as cleanup:
            return demo(arguments.record.resolve(), out, keep=arguments.keep, cleanup=cleanup)
    except StepFailed as failure:
        console.print(f"[bold red]The demo stopped:[/] {failure}")
        return 1


def parse_arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, required=True, help="WFDB record, without its extension")
    parser.add_argument("--out", type=Path, default=Path("build/demo"), help="folder for everything it makes")
    parser.add_argument("--keep", action="store_true", help="leave hub and dashboard running at the end")
    return parser.parse_args()


def demo(record: Path, out: Path, *, keep: bool, cleanup: ExitStack) -> int:
    """Do the steps in order and show the summary."""
    bars = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[now]}"))
    with Progress(*bars, TimeElapsedColumn(), console=console) as progress:
        task = progress.add_task("Convert, verify, seal", total=4, now="int8 for " + HARDWARE)
        conversion = convert(out)
        progress.update(task, advance=1, description="Start the hub", now="embedded broker, SQLite")
        hub = start_hub(out, cleanup=cleanup)
        progress.update(task, advance=1, description="Run the agent", now=f"{record.name}, as fast as it goes")
        report = run_agent(record, out, hub)
        progress.update(task, advance=1, description="Export and score", now="EC57")
        delivery = audit(out, hub)
        export(out, hub, "csv")
        fhir = export(out, hub, "fhir")
        scores = score_export(out / "observations.csv", record, start_time_ns=report["start_time_ns"])
        progress.update(task, advance=1, description="Done", now="")
    summary = summarize(conversion, report, delivery, scores)
    (out / "summary.json").write_text(json.dumps(summary, indent=2) + "\n")
    show(summary, report=out / "report.html", fhir=fhir, hub=hub, out=out)
    if keep:
        replay_live(record, out, hub, cleanup=cleanup)
        wait_for_interrupt(hub)
    return 0 if summary["lost"] == 0 else 1


def convert(out: Path) -> dict[str, Any]:
    """Make keys if there are none, then convert, verify and seal the example model."""
    keys = out / "keys"
    if not (keys / "signing.key").exists():
        run("edge-convert", "keygen", "--out", str(keys))
    run(
        "edge-convert", "convert", str(EXAMPLE / "ecg_beats.keras"),
        "--contract", str(EXAMPLE / "ecg_beats.toml"),
        "--profile", HARDWARE,
        "--recipe", "int8",
        "--calibration", str(EXAMPLE / "calibration.npz"),
        "--evaluation", str(EXAMPLE / "evaluation.npz"),
        "--key", str(keys / "signing.key"),
        "--out", str(out / "ecg_beats.edge"),
        "--report", str(out / "report.html"),
        "--json", str(out / "conversion.json"),
    )  # fmt: skip
    return read_json(out / "conversion.json")


def start_hub(out: Path, *, cleanup: ExitStack) -> Hub:
    """Start ``edge-hub serve`` on free loopback ports and wait until it is ready."""
    database = f"sqlite:///{out / 'hub' / 'hub.db'}"
    (out / "hub").mkdir()
    log = cleanup.enter_context((out / "hub" / "hub.log").open("w"))
    process = subprocess.Popen(
        [
            BIN / "edge-hub", "serve",
            "--listen", "127.0.0.1:0",
            "--broker-listen", "127.0.0.1:0",
            "--database", database,
        ],
        stdout=subprocess.PIPE, stderr=log, text=True,
    )  # fmt: skip
    cleanup.callback(stop, process)
    assert process.stdout is not None  # noqa: S101  # a pipe was asked for
    for line in process.stdout:
        if line.startswith("hub ready:"):
            words = line.split()
            return Hub(process=process, web=words[2], broker=words[4], database=database)
    raise StepFailed(f"the hub did not start; see {out / 'hub' / 'hub.log'}")


def configure_agent(out: Path, hub: Hub, record: Path, *, device: str, speed: float) -> Path:
    """Write an agent's configuration and return its path."""
    config = out / f"{device}.toml"
    config.write_text(f"""\
site = "{SITE}"
device = "{device}"
subject = "mitdb-{record.name}"
hardware = "{HARDWARE}"
state_dir = "agent/{device}"
bundle = "ecg_beats.edge"
trusted_keys = ["keys/signing.pub"]

[source]
type = "replay"
record = "{record}"
speed = {speed}

[broker]
url = "{hub.broker}"
""")
    return config


def run_agent(record: Path, out: Path, hub: Hub) -> dict[str, Any]:
    """Run the agent on the record until the hub has acknowledged everything."""
    config = configure_agent(out, hub, record, device=DEVICE, speed=0)
    run("edge-agent", "run", "--config", str(config), "--until-delivered", "--report", str(out / "agent.json"))
    return read_json(out / "agent.json")


def audit(out: Path, hub: Hub) -> dict[str, Any]:
    """Ask the hub what it stored, for the one device there is."""
    run("edge-hub", "audit", "--database", hub.database, "--json", str(out / "audit.json"))
    return read_json(out / "audit.json")


def export(out: Path, hub: Hub, kind: str) -> Path:
    """Export everything the hub holds."""
    path = out / {"csv": "observations.csv", "fhir": "observations.fhir.ndjson"}[kind]
    run("edge-hub", "export", "--database", hub.database, "--format", kind, "--out", str(path))
    return path


def summarize(
    conversion: dict[str, Any], report: dict[str, Any], delivery: dict[str, Any], scores: dict[str, Any]
) -> dict[str, Any]:
    """Put the figures together under the names that are promised to scripts."""
    epoch = delivery["epochs"][0]
    return {
        "sent": report["observations"],
        "stored": epoch["stored"],
        "duplicates": epoch["stored"] - epoch["distinct"],
        "duplicates_refused": epoch["duplicates_refused"],
        "lost": report["observations"] - epoch["stored"],
        "agreement_float_int8": conversion["agreement"],
        "model_bytes": conversion["model_bytes"],
        "inference_us_p50": report["inference_us_p50"],
        "agent_rss_mib": report["resident_peak_mib"],
        "real_time_factor": report["real_time_factor"],
        "beats": dict(Counter(report["beats"])),
        **scores,
    }


def show(summary: dict[str, Any], *, report: Path, fhir: Path, hub: Hub, out: Path) -> None:
    """Print the summary for people."""
    table = Table(show_header=False, box=None, padding=(0, 2))
    percent = "{:.2%}".format
    beats = "  ".join(f"{label} {count}" for label, count in sorted(summary["beats"].items()))
    for name, value in (
        ("Beats classified", beats),
        ("R peaks", f"Se {percent(summary['r_peak_sensitivity'])}  +P {percent(summary['r_peak_ppv'])}"),
        ("Ventricular (V)", f"Se {percent(summary['v_sensitivity'])}  +P {percent(summary['v_ppv'])}"),
        ("Supraventricular (S)", f"Se {percent(summary['s_sensitivity'])}  +P {percent(summary['s_ppv'])}"),
        ("int8 against float", f"{percent(summary['agreement_float_int8'])} of decisions agree"),
        (
            "Model",
            f"{summary['model_bytes'] / 1024:.1f} KiB, median inference {summary['inference_us_p50']:.0f} µs here",
        ),
        ("Agent", f"{summary['agent_rss_mib']:.1f} MiB peak, {summary['real_time_factor']:.0f} times real time"),
        (
            "Delivery",
            "{sent} sent, {stored} stored, {duplicates} duplicate, {lost} lost".format_map(summary),
        ),
        ("Conversion report", str(report)),
        ("FHIR export", str(fhir)),
        ("Summary", str(out / "summary.json")),
        ("Dashboard", f"{hub.web} (make demo KEEP=1 leaves it running)"),
    ):
        table.add_row(f"[bold]{name}[/]", value)
    console.print(Panel(table, title="First light: figures scored by EC57, first 5 minutes skipped", expand=False))


def replay_live(record: Path, out: Path, hub: Hub, *, cleanup: ExitStack) -> None:
    """Replay the record as another gateway, at the pace it was recorded, so that there is something to see."""
    config = configure_agent(out, hub, record, device=LIVE_DEVICE, speed=1)
    log = cleanup.enter_context((out / "agent" / f"{LIVE_DEVICE}.log").open("w"))
    process = subprocess.Popen([BIN / "edge-agent", "run", "--config", config], stdout=log, stderr=log)
    cleanup.callback(stop, process)


def wait_for_interrupt(hub: Hub) -> None:
    """Leave the hub running until Ctrl-C."""
    console.print(f"Dashboard: [bold]{hub.web}[/]   Ctrl-C ends it.")
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        while hub.process.poll() is None:
            time.sleep(0.5)
    except KeyboardInterrupt:
        console.print("Stopped.")


def run(command: str, *arguments: str) -> None:
    """Run one of our commands; its own one-line error is shown when it fails."""
    done = subprocess.run([BIN / command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()
        raise StepFailed(f"{command} {arguments[0]}: {last[-1] if last else f'exit code {done.returncode}'}")


def stop(process: subprocess.Popen[Any]) -> None:
    """End a program cleanly, or at all."""
    process.terminate()
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that one of the programs wrote."""
    content: dict[str, Any] = json.loads(path.read_text())
    return content


if __name__ == "__main__":
    sys.exit(main())

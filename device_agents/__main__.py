"""The command ``edge-agent``."""

from __future__ import annotations

import json
import logging
import math
import signal
import sys
import time
from pathlib import Path

import click
import msgspec

from device_agents.asking import ask, in_words
from device_agents.broker import Broker
from device_agents.config import load_config
from device_agents.facts import parse_facts, read_facts, unique_facts
from device_agents.gateway import Gateway, load_models, no_source, open_configured, open_feeds, open_gateway
from device_agents.model_store import ready_model
from device_agents.service import Heartbeat, notifier, watchdog_s
from device_agents.state_dir import StateDir
from edge_sdk import __version__
from edge_sdk.commands import EdgeCommand
from edge_sdk.errors import Unavailable
from edge_sdk.files import read_bytes, write_atomic

_log = logging.getLogger(__name__)
_PATH = click.Path(path_type=Path)


@click.group(cls=EdgeCommand)
@click.version_option(__version__)
def main() -> None:
    """Run a model on a wearable's signal and deliver what it finds to the hospital."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", stream=sys.stderr)


@main.command()
@click.option("--config", "config_path", type=_PATH, required=True, help="Configuration of this gateway, TOML.")
@click.option("--until-delivered", is_flag=True, help="End when the source has ended and the hospital has everything.")
@click.option("--report", type=_PATH, help="Write the run's figures here, JSON.")
@click.option("--timeout-s", type=click.FloatRange(min=0), help="With --until-delivered: give up after so long.")
def run(config_path: Path, report: Path | None, timeout_s: float | None, *, until_delivered: bool) -> None:
    """Run until the source ends or a signal asks to stop. What is not delivered is kept for the next run."""
    deadline_s = math.inf if timeout_s is None else time.monotonic() + timeout_s
    manager = notifier()
    heart = Heartbeat(manager, interval_s=watchdog_s())
    with open_gateway(load_config(config_path)) as gateway:
        _stop_on_signals(gateway)
        gateway.uplink.start()
        manager.ready()
        gateway.run(beat=heart.beat)
        manager.stopping()
        delivered = not until_delivered or gateway.agent.wait_until_delivered(deadline_s=deadline_s)
        figures = gateway.report()
    if report:
        write_atomic(report, json.dumps(figures, indent=2).encode() + b"\n")
    if not delivered:
        raise Unavailable(
            f"{figures['backlog']} observations are not acknowledged",
            remedy="they are kept; see that hub and broker run, and run the agent again",
        )


@main.command()
@click.option("--config", "config_path", type=_PATH, required=True, help="Configuration of this gateway, TOML.")
def check(config_path: Path) -> None:
    """Check configuration, model, self-test, source, state folder and broker. Process and send nothing."""
    config = load_config(config_path)
    models = load_models(config)
    if not [*open_configured(config, models), *open_feeds(config, models), *config.wearables]:
        raise no_source()
    StateDir(config.state_dir).close()
    client_id = f"{config.site}-{config.device}-check"
    Broker(config.broker, client_id=client_id).connect().close()
    loaded = ", ".join(f"{model.ref.id} {model.ref.version} on {model.ref.runtime}" for model in models.values())
    click.echo(f"ready: {loaded}, broker {config.broker.url}")


@main.command()
@click.option("--bundle", type=_PATH, required=True, help="The bundle, .edge.")
@click.option("--trust", type=_PATH, required=True, multiple=True, help="signing.pub of a maker you trust.")
@click.option("--hardware", required=True, help="Slug of this board's hardware profile.")
def selftest(bundle: Path, trust: tuple[Path, ...], hardware: str) -> None:
    """Verify a bundle and run its signed self-test on this machine."""
    model = ready_model(bundle, trusted_keys=trust, hardware=hardware)
    click.echo(f"passed: {model.self_test_cases} cases of {model.ref.id} {model.ref.version} on {model.ref.runtime}")


@main.command("ask")
@click.argument("bundle", type=_PATH)
@click.argument("words", metavar="[NAME=VALUE]...", nargs=-1)
@click.option("--trust", type=_PATH, required=True, multiple=True, help="signing.pub of a maker you trust.")
@click.option("--hardware", required=True, help="Slug of this board's hardware profile.")
@click.option("--facts", "facts_path", type=_PATH, help="More of them, a JSON object.")
@click.option("--json", "as_json", is_flag=True, help="Print the answers as JSON.")
def ask_command(
    bundle: Path,
    words: tuple[str, ...],
    trust: tuple[Path, ...],
    hardware: str,
    facts_path: Path | None,
    *,
    as_json: bool,
) -> None:
    """Ask the model in BUNDLE about one person, e.g. age=54 sex=1."""
    told = read_facts(read_bytes(facts_path, what="file of facts"), origin=str(facts_path)) if facts_path else {}
    facts = unique_facts((*told.items(), *parse_facts(words).items()))
    model = ready_model(bundle, trusted_keys=trust, hardware=hardware)
    answers = ask(model, facts)
    if as_json:
        click.echo(msgspec.json.encode({"model": model.ref, "answers": answers}))
        return
    for answer in answers:
        click.echo(in_words(answer))


def _stop_on_signals(gateway: Gateway) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: gateway.stop())
    signal.signal(signal.SIGHUP, lambda *_: _log.warning("a changed configuration is taken up at the next start"))


if __name__ == "__main__":
    main()

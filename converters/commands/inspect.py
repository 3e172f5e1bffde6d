"""``edge-convert inspect``: what a genuine bundle says about itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from converters.commands.convert import figures_table, verdict
from edge_sdk.bundle import Bundle, open_bundle
from edge_sdk.contracts import InputContract, OutputContract
from edge_sdk.manifest import Artifact, encode_manifest
from edge_sdk.signing import load_public_key

_PATH = click.Path(path_type=Path)


@click.command("inspect")
@click.argument("bundle", type=_PATH)
@click.option("--trust", type=_PATH, required=True, multiple=True, help="signing.pub of a maker you trust.")
@click.option("--json", "as_json", is_flag=True, help="The whole manifest, the bytes that are signed.")
def inspect_command(bundle: Path, trust: tuple[Path, ...], *, as_json: bool) -> None:
    """Verify BUNDLE and show what it says about itself."""
    opened = open_bundle(bundle, trusted=[load_public_key(path) for path in trust])
    if as_json:
        click.echo(encode_manifest(opened.manifest).decode(), nl=False)
        return
    from rich.console import Console  # noqa: PLC0415  # not needed for JSON

    for name, value in facts(opened):
        click.echo(f"{name:14} {value}")
    Console().print(figures_table(opened.manifest, title="held against the float model"))
    click.echo(verdict(opened.manifest.verification))


def facts(opened: Bundle) -> Iterator[tuple[str, str]]:
    """Yield what a person wants to know of a bundle, name and value."""
    manifest = opened.manifest
    yield "model", f"{manifest.model_id} {manifest.model_version}: {manifest.title}"
    yield "bundle", f"schema {manifest.schema_version}, SHA-256 {opened.sha256}"
    yield "recipe", manifest.recipe
    for artifact in manifest.artifacts:
        yield "runs on", f"{', '.join(artifact.targets)} ({_runtime(artifact)})"
        for spec in artifact.inputs:
            yield "takes", f"{spec.name} {' x '.join(map(str, spec.shape))} {spec.dtype}"
        for spec in artifact.outputs:
            yield "gives", f"{spec.name} {' x '.join(map(str, spec.shape))} {spec.dtype}"
    yield "reads", _reads(manifest.input)
    yield "answers", _answers(manifest.output)
    yield "self-test", f"{len(opened.self_test.cases)} windows, within {opened.self_test.tolerance:.3g}"
    yield "made of", f"{manifest.provenance.source_name}, SHA-256 {manifest.provenance.source_sha256}"
    yield "made with", ", ".join(f"{part.name} {part.version}" for part in manifest.provenance.components)


def _runtime(artifact: Artifact) -> str:
    return f"{artifact.backend} {artifact.minimum_runtime} or newer" if artifact.minimum_runtime else artifact.backend


def _reads(contract: InputContract) -> str:
    if contract.signal is None:
        return f"facts about a person: {', '.join(contract.features)}"
    signal = contract.signal
    return f"{signal.kind} in {signal.unit} at {signal.sample_rate_hz:g} Hz, from {' or '.join(signal.channels)}"


def _answers(contract: OutputContract) -> str:
    names = [label.name for label in contract.labels] or [f"{q.name} in {q.unit}" for q in contract.quantities]
    return f"{contract.code.display}: {', '.join(names)}"

"""The command ``edge-convert``."""

from __future__ import annotations

from pathlib import Path

import click

from converters.commands.benchmark import benchmark_command
from converters.commands.convert import convert_command
from converters.commands.coral_check import coral_check_command
from converters.commands.emulator import emulator_command
from converters.commands.inspect import inspect_command
from converters.commands.verify import verify_command
from converters.optimizers.recipe import load_recipe, recipe_names
from edge_sdk import __version__
from edge_sdk.commands import EdgeCommand
from edge_sdk.profiles import load_profile, profile_slugs
from edge_sdk.signing import generate_keys

_PATH = click.Path(path_type=Path)


@click.group(cls=EdgeCommand)
@click.version_option(__version__)
def main() -> None:
    """Turn a trained model into a verified, signed bundle for a board."""


@main.command()
@click.option("--out", type=_PATH, required=True, help="Folder for signing.key and signing.pub.")
def keygen(out: Path) -> None:
    """Make a key pair: keep signing.key secret, give signing.pub to the devices."""
    private, public = generate_keys(out)
    click.echo(f"{private} (keep it secret)\n{public} (for the devices' trusted_keys)")


@main.command()
def profiles() -> None:
    """List the boards."""
    for slug in profile_slugs():
        profile = load_profile(slug)
        click.echo(f"{slug:24} {profile.runtime.backend:9} {profile.name}")


@main.command()
def recipes() -> None:
    """List the recipes, from cheap to costly."""
    for name in recipe_names():
        click.echo(f"{name:16} {load_recipe(name).summary}")


main.add_command(convert_command)
main.add_command(inspect_command)
main.add_command(verify_command)
main.add_command(benchmark_command)
main.add_command(emulator_command)
main.add_command(coral_check_command)
main.add_command(profiles, "targets")


if __name__ == "__main__":
    main()

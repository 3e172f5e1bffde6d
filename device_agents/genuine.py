"""Checking a bundle's signature in a process of its own: the library it takes would stay in memory, 10 MB of it."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from edge_sdk import errors

_ANSWER_S = 60.0
# The child finds modules where we found them, and nowhere else: not in the folder it happens to be started in.
_START = "import sys; sys.path[:] = sys.argv.pop().splitlines(); from device_agents.genuine import main; main()"
_GENUINE = "genuine"


def check_in_child(signed: bytes, signature: bytes, *, trusted_keys: Sequence[Path]) -> None:
    """Return if one of the trusted keys signed exactly these bytes.

    Raises:
        ConfigError: A file is missing, or not an Ed25519 public key.
        UntrustedBundle: No trusted key signed them, or the check itself failed.
    """
    command = [sys.executable, "-I", "-c", _START, signature.hex(), *map(str, trusted_keys), "\n".join(sys.path)]
    try:
        child = subprocess.run(command, input=signed, stdout=subprocess.PIPE, timeout=_ANSWER_S, check=False)
        answer = json.loads(child.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        raise errors.UntrustedBundle(
            f"the bundle's signature could not be checked ({error})", remedy="see the message above, then try again"
        ) from error
    if answer != _GENUINE:
        kind, problem, remedy = answer
        raise getattr(errors, kind)(problem, remedy=remedy)


def main() -> None:
    """Be the child: the manifest on standard input, the signature and the keys as arguments, a verdict as JSON."""
    from edge_sdk.signing import check_signature, load_public_key  # noqa: PLC0415  # what the parent does without

    signature, *keys = sys.argv[1:]
    verdict: str | list[str] = _GENUINE
    try:
        trusted = [load_public_key(Path(key)) for key in keys]
        check_signature(sys.stdin.buffer.read(), bytes.fromhex(signature), trusted=trusted)
    except errors.EdgeError as error:
        verdict = [type(error).__name__, error.problem, error.remedy]
    sys.stdout.write(json.dumps(verdict))

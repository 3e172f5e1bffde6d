"""Measure which operator versions each LiteRT release knows, and write them to ``converters/operator_versions.toml``.

Each release is installed into a folder of its own and asked to load one small model after another, which names one
operator in one version and does not use it: a runtime looks up every operator a model names before anything else.

    python scripts/probe_operator_versions.py            # all of RELEASES: minutes, and a gigabyte for a while
"""

# ruff: noqa: INP001  # a script, not a package

from __future__ import annotations

import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from converters.flatbuffers import read_model, write_model

ROOT = Path(__file__).parents[1]
TABLE = ROOT / "converters" / "operator_versions.toml"
MODEL = ROOT / "tests" / "device" / "data" / "beats_float.tflite"
# Oldest first, the first of each that works (1.1.0 loads no model). tflite-runtime ended with 2.14 and was continued as
# ai-edge-litert 1.0. The oldest need Python 3.10 or 3.11.
RELEASES = (
    "tflite-runtime==2.14.0",
    "ai-edge-litert==1.0.0",
    "ai-edge-litert==1.1.1",
    "ai-edge-litert==1.2.0",
    "ai-edge-litert==1.3.0",
    "ai-edge-litert==1.4.0",
    "ai-edge-litert==2.0.2",
    "ai-edge-litert==2.1.0",
    "ai-edge-litert==2.2.0",
    "ai-edge-litert==2.3.0",
)
HIGHEST_VERSION = 32
NO_OPERATORS = {"CUSTOM", "DELEGATE", "PLACEHOLDER_FOR_GREATER_OP_CODES"}
# Runs under each release, without this project: prints each operator with the highest version that loads, one a line.
CHILD = """
import json, struct, sys
sys.path.append(sys.argv[1])
try:
    from ai_edge_litert.interpreter import Interpreter
except ImportError:
    from tflite_runtime.interpreter import Interpreter

def knows(template, code_at, version_at, operator, version):
    struct.pack_into("<i", template, code_at, operator)
    struct.pack_into("<i", template, version_at, version)
    try:
        Interpreter(model_content=bytes(template), num_threads=1)
    except (ValueError, RuntimeError):
        return False
    return True

told = json.loads(sys.stdin.read())
template = bytearray.fromhex(told["template"])
places = told["code_at"], told["version_at"]
if not knows(template, *places, told["surely_known"], 1):
    sys.exit("this release loads no model")
for operator in told["operators"]:
    known = [version for version in range(1, told["highest"] + 1) if knows(template, *places, operator, version)]
    print(operator, max(known, default=0), flush=True)
"""


def main() -> None:
    """Probe every release and write the table."""
    operators = _operators()
    with tempfile.TemporaryDirectory() as folder:
        known = {release: _known(release, Path(folder), operators) for release in RELEASES}
    TABLE.write_text(_table(operators, known), encoding="utf-8")


def _operators() -> dict[str, int]:
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415

    found = {name: number for name, number in vars(schema.BuiltinOperator).items() if not name.startswith("_")}
    return {name: number for name, number in found.items() if name not in NO_OPERATORS}


def _template() -> tuple[bytes, int, int]:
    """Return a model with one operator more than it uses, and where its code and its version are."""
    from ai_edge_litert import schema_py_generated as schema  # noqa: PLC0415

    code, version = 0x5EED5EED, 0x7E577E57
    model = read_model(MODEL.read_bytes())
    model.operatorCodes.append(schema.OperatorCodeT(builtinCode=code, version=version))
    data = write_model(model)
    return data, data.index(struct.pack("<i", code)), data.index(struct.pack("<i", version))


def _known(release: str, folder: Path, operators: dict[str, int]) -> dict[int, int]:
    """Return the highest version of each operator that a release knows; 0 for none."""
    libraries = folder / release
    pip = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--target", str(libraries)]
    # The numpy that the oldest need and the newest take; nothing else is needed to load a model.
    subprocess.run([*pip, "--no-deps", release, "numpy<2"], check=True)
    known: dict[int, int] = {}
    while missing := [number for number in operators.values() if number not in known]:
        known.update(_asked(libraries, missing, surely_known=operators["ADD"]))
        crashed_on = next((number for number in missing if number not in known), None)
        if crashed_on is not None:
            known[crashed_on] = 0  # a release that crashes on an operator does not have it
    return known


def _asked(libraries: Path, operators: Iterable[int], *, surely_known: int) -> dict[int, int]:
    template, code_at, version_at = _template()
    told = {
        "template": template.hex(),
        "code_at": code_at,
        "version_at": version_at,
        "operators": list(operators),
        "highest": HIGHEST_VERSION,
        "surely_known": surely_known,
    }
    command = [sys.executable, "-S", "-c", CHILD, str(libraries)]  # -S: without what this Python has installed
    run = subprocess.run(command, input=json.dumps(told), capture_output=True, text=True, check=False)
    if run.returncode > 0:  # a crash is a negative one
        raise SystemExit(run.stderr)
    lines = [line.split() for line in run.stdout.splitlines()]
    return {int(operator): int(version) for operator, version in lines}


def _table(operators: dict[str, int], known: dict[str, dict[int, int]]) -> str:
    rows = {name: [known[release][number] for release in known] for name, number in sorted(operators.items())}
    rows = {name: row for name, row in rows.items() if any(row)}
    return "\n".join(
        [
            "# The highest version of each operator that each release of the runtime knows; 0 where it has none.",
            "# Measured and written by scripts/probe_operator_versions.py.",
            "releases = [",
            *(f'    "{release}",' for release in known),
            "]",
            "",
            "[operators]",
            *(f"{name} = {row}" for name, row in rows.items()),
            "",
        ]
    )


if __name__ == "__main__":
    main()

"""Every benchmark on the example, each with its table and its JSON. Run by ``make bench``."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent
EXAMPLE = HERE.parent / "examples" / "ecg_beats"
BIN = Path(sys.executable).parent


def main() -> int:
    """Convert the example once, then run every benchmark on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--record", type=Path, required=True, help="WFDB record, without its extension")
    parser.add_argument("--out", type=Path, default=Path("build/bench"), help="folder for the JSON files")
    arguments = parser.parse_args()
    out: Path = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    bundle, key = convert(out)
    for script, options in {
        "agent_cost.py": ["--bundle", bundle, "--trust", key, "--record", arguments.record],
        "r_peaks.py": ["--db", arguments.record.parent],
        "conversion.py": [],
    }.items():
        result = (out / script).with_suffix(".json")
        subprocess.run([sys.executable, HERE / script, *options, "--json", result], check=True)
    return 0


def convert(out: Path) -> tuple[Path, Path]:
    """Make the int8 bundle that the benchmarks run; return it and the key to trust."""
    bundle, key = out / "ecg_beats.edge", out / "signing.pub"
    if not key.exists():
        subprocess.run([BIN / "edge-convert", "keygen", "--out", out], check=True)
    options = {
        "--contract": EXAMPLE / "ecg_beats.toml",
        "--profile": "raspberry-pi-4b",
        "--recipe": "int8",
        "--calibration": EXAMPLE / "calibration.npz",
        "--evaluation": EXAMPLE / "evaluation.npz",
        "--key": out / "signing.key",
        "--out": bundle,
    }
    words = [str(word) for option in options.items() for word in option]
    subprocess.run([BIN / "edge-convert", "convert", EXAMPLE / "ecg_beats.keras", *words], check=True)
    return bundle, key


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Stands in for Google's edgetpu_compiler: gives for a known model what the real one made of it.

``EDGETPU_RECORDINGS`` names a folder of ``SHA256.tflite`` and ``SHA256.log``, named after the model that goes in.
With a log alone the model is refused in the words of the log, without either as the real one refuses a float model.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(prog="edgetpu_compiler")
    parser.add_argument("-s", "--show_operations", action="store_true")
    parser.add_argument("-o", "--out_dir", type=Path, default=Path())
    parser.add_argument("model", type=Path)
    options = parser.parse_args()
    known = Path(os.environ["EDGETPU_RECORDINGS"]) / hashlib.sha256(options.model.read_bytes()).hexdigest()
    log, compiled = known.with_suffix(".log"), known.with_suffix(".tflite")
    if log.exists():
        text = log.read_text()
        sys.stdout.write(text if options.show_operations else text.partition("\nOperator ")[0])
    else:
        sys.stdout.write(
            f"Edge TPU Compiler version 16.0.384591198\nInvalid model: {options.model}\nModel not quantized\n"
        )
    if not compiled.exists():
        return 1
    (options.out_dir / f"{options.model.stem}_edgetpu.tflite").write_bytes(compiled.read_bytes())
    return 0


if __name__ == "__main__":
    sys.exit(main())

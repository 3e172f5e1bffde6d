"""Runs one model on the machine that it is started on; sent there as a file, so it needs numpy and a runtime alone.

``python probe.py FOLDER``: reads what `converters.probing.jobs` wrote there; prints what it found as JSON on the last
line of standard output. It must run on the oldest Python that a board has.
"""

from __future__ import annotations

import base64
import json
import os
import platform
import socket
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

NO_RUNTIME, CANNOT_LOAD = "no-runtime", "cannot-load"


def main(folder: Path) -> dict[str, Any]:
    """Run the job in a folder and return its answer."""
    job = json.loads((folder / "job.json").read_text())
    try:
        name, version, interpreter, resolvers = runtime(job["runtime"])
    except ImportError as error:
        return {"fault": NO_RUNTIME, "detail": str(error)}
    kernels = resolvers.BUILTIN_REF if job["reference_kernels"] else resolvers.AUTO
    begun = time.perf_counter()
    try:
        model = interpreter(
            model_path=str(folder / "model.tflite"),
            num_threads=job["threads"],
            experimental_op_resolver_type=kernels,
        )
        model.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        return {"fault": CANNOT_LOAD, "detail": f"{name} {version}: {error}".splitlines()[0]}
    load_s = time.perf_counter() - begun
    inputs = [np.load(str(folder / file)) for file in job["inputs"]]
    windows = [[values[case] for values in inputs] for case in range(job["cases"])]
    # Looked up once, as the agent does, so that only a window's own work is timed.
    put = [detail["index"] for detail in model.get_input_details()]
    get = [detail["index"] for detail in model.get_output_details()]

    def run(case: int) -> list[Any]:
        return infer(model, put, get, windows[case])

    answers = [run(case) for case in range(job["cases"])]
    times_us = measure(run, job)
    return {
        "runtime": name,
        "version": version,
        "outputs": [encode(np.stack(output)) for output in map(list, zip(*answers))],  # noqa: B905
        "load_s": load_s,
        "times_us": times_us,
        "peak_memory_bytes": peak_memory_bytes(),
        "where": where(),
    }


def runtime(wanted: str) -> tuple[str, str, Any, Any]:
    """Return a runtime's name, version, interpreter and resolver types; "auto" takes the first there is."""
    from importlib.metadata import version  # noqa: PLC0415

    if wanted != "tflite-runtime":
        try:
            from ai_edge_litert.interpreter import Interpreter, OpResolverType  # noqa: PLC0415

            return "litert", version("ai-edge-litert"), Interpreter, OpResolverType
        except ImportError:
            if wanted == "litert":
                raise
    from tflite_runtime.interpreter import Interpreter, OpResolverType  # noqa: PLC0415

    return "tflite-runtime", version("tflite-runtime"), Interpreter, OpResolverType


def infer(model: Any, put: list[int], get: list[int], window: list[Any]) -> list[Any]:
    """Run one window and return its outputs."""
    for index, values in zip(put, window):  # noqa: B905  # Python 3.9
        model.set_tensor(index, values)
    model.invoke()
    return [model.get_tensor(index) for index in get]


def measure(run: Callable[[int], list[Any]], job: dict[str, Any]) -> list[float]:
    """Return the time of every run, in microseconds, after the warm-up; the windows take turns."""
    times_us = []
    for turn in range(job["warm_up"] + job["runs"]):
        begun = time.perf_counter_ns()
        run(turn % job["cases"])
        times_us.append((time.perf_counter_ns() - begun) / 1000)
    return times_us[job["warm_up"] :]


def encode(array: Any) -> dict[str, Any]:
    """Return an array as JSON takes it."""
    data = base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()
    return {"dtype": array.dtype.name, "shape": list(array.shape), "data": data}


def where() -> dict[str, Any]:
    """Return what machine this is."""
    board = read("/proc/device-tree/model").strip("\0\n")
    return {
        "host": socket.gethostname(),
        "board": board,
        "cpu": cpu(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "governor": read("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor").strip(),
        "os": os_name(),
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def cpu() -> str:
    """Return the processor's name, or on Arm, whose kernel gives none, its maker's and part's numbers."""
    fields = dict(line.split(":", 1) for line in read("/proc/cpuinfo").splitlines() if ":" in line)
    found = {name.strip(): value.strip() for name, value in fields.items()}
    if "model name" in found:
        return found["model name"]
    return "CPU implementer {} part {}".format(found.get("CPU implementer", "?"), found.get("CPU part", "?"))


def os_name() -> str:
    """Return the distribution's name and the kernel's."""
    lines = [line for line in read("/etc/os-release").splitlines() if line.startswith("PRETTY_NAME=")]
    name = lines[0].split("=", 1)[1].strip('"') if lines else platform.system()
    return f"{name}, kernel {platform.release()}"


def peak_memory_bytes() -> int:
    """Return the most that this process had resident; ``ru_maxrss`` would count the process that started it."""
    for line in read("/proc/self/status").splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return 0


def read(path: str) -> str:
    """Return a file of the system's, empty where there is none."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


if __name__ == "__main__":
    print("\n" + json.dumps(main(Path(sys.argv[1]))))  # noqa: T201  # this is how it answers

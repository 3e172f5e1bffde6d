"""From a model file to a bundle for each board, in one call."""

from __future__ import annotations

import dataclasses

from converters.child import Crashed, run_in_child
from converters.jobs import AUTO, TRY, Conversion, Job, Progress
from converters.line import run_line


def convert(job: Job, *, progress: Progress) -> Conversion:
    """Run a conversion in a child process and return its result.

    With recipe ``auto`` a recipe that takes the process down is left out, and the rest are tried again.

    Raises:
        EdgeError: Whatever was wrong; a crash of native code is a `ConversionError` naming the step.
    """
    while True:
        try:
            return run_in_child(run_line, job, progress=progress)
        except Crashed as crash:
            recipe = crash.step.removeprefix(TRY)
            if job.recipe != AUTO or recipe == crash.step or recipe in job.crashed:
                raise
            job = dataclasses.replace(job, crashed=(*job.crashed, recipe))

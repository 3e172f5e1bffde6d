from __future__ import annotations

import binascii
import re
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from device_agents.sources.serial_frames import LONGEST, Frame, decode_frame
from tests.device.records import read_stored

PAGE = Path(__file__).parent.parent.parent / "docs" / "wearables.md"
COMPILER = shutil.which("cc")
# Reads how many frames, then for each: first, scale, session, count, channels, samples. Writes the frames.
PROGRAM = """
#include <stdio.h>
int main(void) {
    static int16_t samples[255 * 8];
    static uint8_t out[5000];
    uint32_t first;
    float scale;
    uint8_t of[3];
    while (fread(&first, 4, 1, stdin) == 1) {
        if (fread(&scale, 4, 1, stdin) != 1 || fread(of, 1, 3, stdin) != 3) return 1;
        if (fread(samples, 2, of[1] * of[2], stdin) != (size_t)(of[1] * of[2])) return 1;
        fwrite(out, 1, edge_frame(out, of[0], first, scale, samples, of[1], of[2]), stdout);
    }
    return 0;
}
"""


@pytest.fixture(scope="module")
def documented() -> str:
    (code,) = re.findall(r"^```c\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    return code


@pytest.fixture(scope="module")
def encoder(documented: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    if COMPILER is None:
        pytest.skip("there is no C compiler")
    folder = tmp_path_factory.mktemp("firmware")
    (folder / "frame.c").write_text(documented + PROGRAM)
    strict = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Werror"]
    subprocess.run([COMPILER, *strict, "frame.c", "-o", "frame"], cwd=folder, check=True)
    return folder / "frame"


def written(encoder: Path, *wanted: tuple[NDArray[np.int16], int, float, int]) -> list[Frame]:
    asked = b"".join(
        struct.pack("<IfBBB", first, scale, session, *steps.shape) + steps.tobytes()
        for steps, first, scale, session in wanted
    )
    *pieces, rest = subprocess.run([str(encoder)], input=asked, capture_output=True, check=True).stdout.split(b"\0")
    assert rest == b""
    assert max(map(len, pieces)) <= LONGEST
    return [decode_frame(piece) for piece in pieces]


def test_the_documented_c_writes_what_is_read_here(encoder: Path, demo_record: Path) -> None:
    steps = (read_stored(demo_record, samples=36 * 20)[:, :1] - 1024).astype(np.int16)

    got = written(encoder, *((steps[at : at + 36], 2**32 - 720 + at, 0.005, 7) for at in range(0, len(steps), 36)))

    np.testing.assert_array_equal(np.concatenate([one.samples for one in got]), steps * np.float32(0.005))
    assert [one.first for one in got[:2]] == [2**32 - 720, 2**32 - 684]
    assert {one.session for one in got} == {7}


def test_the_documented_c_stuffs_zeros_and_long_runs_alike(encoder: Path) -> None:
    random = np.random.default_rng(1)
    shapes = [(1, 1), (255, 8), (121, 1), (120, 1), (122, 1), (85, 3)]
    wanted = [np.zeros(shape, np.int16) for shape in shapes]
    wanted += [np.full(shape, 0x0101, np.int16) for shape in shapes]
    wanted += [random.integers(-32767, 32768, size=shape).astype(np.int16) for shape in shapes]

    got = written(encoder, *((steps, 0x01010101, 1.0, 1) for steps in wanted))

    for one, steps in zip(got, wanted, strict=True):
        np.testing.assert_array_equal(one.samples, steps)


def test_the_documented_c_is_as_short_as_promised(documented: str) -> None:
    body = documented[documented.index("static") :]

    assert len(body.splitlines()) <= 30


def test_the_documented_crc_is_the_one_of_the_catalogue() -> None:
    told = re.search(r"`123456789` gives 0x([0-9A-F]{4})", PAGE.read_text())

    assert told is not None
    assert binascii.crc_hqx(b"123456789", 0xFFFF) == int(told.group(1), 16)

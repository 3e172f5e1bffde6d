"""Makes the golden files of a schema version, once: ``python -m tests.golden.make``.

They must be readable for ever, so a file that is there is never made again.
"""

from pathlib import Path

import numpy as np
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from edge_sdk import codes
from edge_sdk.bundle import pack
from edge_sdk.messages import Batch, Entry, Tombstone, encode_batch
from edge_sdk.observation import Observation, Quantity, SampledData
from tests.contracts import samples

FOLDER = Path(__file__).parent


def golden_bundle() -> dict[str, bytes]:
    """Return a bundle of the newest schema, signed by a key that is then forgotten, and its public key."""
    key = Ed25519PrivateKey.generate()
    public = key.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    return {"bundle-1.2.edge": pack(samples.alarm_manifest(), samples.members(), key=key), "golden-1.2.pub": public}


def golden_batch() -> dict[str, bytes]:
    """Return a compressed batch with every kind of value."""
    strip = SampledData.from_values(
        np.array([0.0, 0.5, np.nan, -0.25], np.float32), unit="mV", sample_rate_hz=360.0, factor=0.005, anchor_s=0.25
    )
    rate = Observation(
        code=codes.HEART_RATE, effective_time_ns=1, stream="ecg-1", subject="pseudonym-7", value=Quantity(72.5, "/min")
    )
    kept = Observation(
        code=codes.ECG_LEAD_II, effective_time_ns=2, stream="ecg-1", subject="pseudonym-7", value=strip, quality=0.75
    )
    absent = Observation(
        code=codes.BEAT_CLASS, effective_time_ns=3, stream="ecg-1", subject="pseudonym-7", absent_reason="error"
    )
    entries = tuple(Entry(seq, value) for seq, value in enumerate((samples.observation(), rate, kept, absent), start=3))
    gone = Tombstone(first_seq=1, last_seq=2, reason="outbox full")
    return {"batch-1.bin": encode_batch(Batch(epoch="golden", floor=1, entries=entries, tombstones=(gone,)))}


def write_once(files: dict[str, bytes]) -> None:
    """Write files that belong together, unless one is there already."""
    if not any((FOLDER / name).exists() for name in files):
        for name, data in files.items():
            (FOLDER / name).write_bytes(data)


if __name__ == "__main__":
    write_once(golden_bundle())
    write_once(golden_batch())

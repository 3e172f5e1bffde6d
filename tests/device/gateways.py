"""A gateway's folder, as a person sets it up."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from click.testing import CliRunner, Result

from device_agents.__main__ import main
from device_agents.outbox import Outbox
from edge_sdk.messages import decode_observation
from edge_sdk.observation import Observation
from tests.device.bundles import HARDWARE, SignedBundle
from tests.system.processes import free_port

PLENTY = 10**9


@dataclass(frozen=True, kw_only=True)
class GatewayFolder:
    folder: Path

    @classmethod
    def make(cls, folder: Path, *, bundle: SignedBundle, record: Path) -> GatewayFolder:
        folder.mkdir()
        shutil.copy(bundle.path, folder / "model.edge")
        shutil.copy(bundle.trusted_key, folder / "maker.pub")
        for suffix in (".hea", ".dat"):
            shutil.copy(record.with_suffix(suffix), folder)
        (folder / "agent.toml").write_text(f"""\
site = "ward"
device = "gateway-1"
subject = "patient-1"
hardware = "{HARDWARE}"
state_dir = "state"
bundle = "model.edge"
trusted_keys = ["maker.pub"]

[source]
type = "replay"
record = "{record.name}"
speed = 0

[broker]
url = "mqtt://127.0.0.1:{free_port()}"
""")
        return cls(folder=folder)

    @property
    def config(self) -> Path:
        return self.folder / "agent.toml"

    def change(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def told(self, command: str, *options: str | Path) -> Result:
        """Run ``edge-agent`` in this process."""
        words = [command, "--config", str(self.config), *map(str, options)]
        return CliRunner().invoke(main, words, env={"PATH": os.environ["PATH"]})

    def observations(self) -> list[Observation]:
        """What waits for the hospital, in order."""
        with closing(Outbox(self.folder / "state" / "outbox.db", max_rows=PLENTY, max_bytes=PLENTY)) as outbox:
            lanes = [
                outbox.pending(alarms=alarms, after_seq=0, limit=PLENTY, max_bytes=PLENTY) for alarms in (True, False)
            ]
            entries = sorted(((entry.seq, entry.observation) for lane in lanes for entry in lane), key=lambda e: e[0])
        return [decode_observation(bytes(raw)) for _, raw in entries]

    def files(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes() for path in self.folder.rglob("*") if path.is_file()
        }

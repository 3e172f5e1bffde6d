"""Files that earlier releases made: they must be readable for ever. A failure here is a broken promise."""

from pathlib import Path

import numpy as np
import pytest

from edge_sdk.alarm_rules import AlarmPriority, RunRule, SlowRule
from edge_sdk.bundle import open_bundle
from edge_sdk.codes import BEAT_CLASS, ECG_LEAD_II, HEART_RATE
from edge_sdk.contracts import FixedWindows, ZScore
from edge_sdk.errors import UntrustedBundle
from edge_sdk.messages import Batch, decode_batch
from edge_sdk.observation import Classification, ClockQuality, Priority, Quantity, SampledData
from edge_sdk.signing import load_public_key

GOLDEN = Path(__file__).parent.parent / "golden"


@pytest.fixture(scope="module")
def batch() -> Batch:
    return decode_batch((GOLDEN / "batch-1.bin").read_bytes())


def test_the_first_bundle_opens_and_means_what_it_meant():
    opened = open_bundle(GOLDEN / "bundle-1.0.edge", trusted=[load_public_key(GOLDEN / "golden.pub")])
    manifest = opened.manifest
    assert (manifest.schema_version, manifest.model_id, manifest.model_version) == ("1.0", "sample", "1.2.3")
    artifact = manifest.artifact_for("raspberry-pi-5")
    assert opened.members[artifact.path] == bytes(range(256)) * 4
    assert (artifact.backend, artifact.minimum_runtime, artifact.inputs[0].scale) == ("litert", "1.4.0", 0.01)
    assert manifest.input.windows == FixedWindows(length_s=8 / 360, hop_s=8 / 360)
    assert manifest.input.inputs[0].steps == (ZScore(floor=1e-3),)
    assert [label.name for label in manifest.output.labels] == ["N", "V"]
    assert opened.self_test.tolerance == 0.02
    assert opened.self_test.cases[0].expected.numpy().tolist() == [0.75, 0.25]


def test_the_bundle_of_schema_1_1_opens_and_means_what_it_meant():
    opened = open_bundle(GOLDEN / "bundle-1.1.edge", trusted=[load_public_key(GOLDEN / "golden-1.1.pub")])
    manifest = opened.manifest
    assert manifest.schema_version == "1.1"
    assert manifest.input.signal is None
    assert (manifest.input.features, manifest.input.inputs[0].units) == (("age", "weight"), ("a", "kg"))
    (systolic,) = manifest.output.quantities
    assert (systolic.unit, systolic.factor, systolic.offset) == ("mm[Hg]", 10.0, 120.0)
    report = manifest.verification
    assert (report.quantities[0].r_squared_compiled, report.groups[0].value) == (0.2475, "F")
    assert (report.layers[0].sqnr_db, report.parity_error) == (42.5, 1e-6)


def test_the_bundle_of_schema_1_2_opens_and_means_what_it_meant():
    opened = open_bundle(GOLDEN / "bundle-1.2.edge", trusted=[load_public_key(GOLDEN / "golden-1.2.pub")])
    answers = opened.manifest.output
    assert (opened.manifest.schema_version, answers.temperature) == ("1.2", 1.25)
    run, slow = answers.alarms
    assert isinstance(run, RunRule)
    assert (run.name, run.label, run.beats, run.priority, run.latching) == ("run", "V", 4, AlarmPriority.HIGH, True)
    assert run.suppresses == ("slow",)
    assert isinstance(slow, SlowRule)
    assert (slow.begin_per_minute, slow.end_per_minute, slow.coded.code) == (45.0, 50.0, "slow")
    assert opened.manifest.verification.calibration_error_unscaled == 0.125


def test_a_bundle_older_than_alarm_rules_has_none_and_plain_probabilities():
    for name, key in (("bundle-1.0.edge", "golden.pub"), ("bundle-1.1.edge", "golden-1.1.pub")):
        answers = open_bundle(GOLDEN / name, trusted=[load_public_key(GOLDEN / key)]).manifest.output
        assert (answers.alarms, answers.temperature) == ((), 1.0)


def test_the_first_bundle_is_still_only_for_who_trusts_its_key():
    with pytest.raises(UntrustedBundle):
        open_bundle(GOLDEN / "bundle-1.0.edge", trusted=[])


def test_the_first_batch_still_says_what_is_settled(batch: Batch):
    assert (batch.epoch, batch.floor, [entry.seq for entry in batch.entries]) == ("golden", 1, [3, 4, 5, 6])
    (gone,) = batch.tombstones
    assert (gone.first_seq, gone.last_seq, gone.reason) == (1, 2, "outbox full")


def test_the_first_batch_still_holds_every_kind_of_value(batch: Batch):
    alarm, rate, strip, absent = (entry.observation for entry in batch.entries)
    assert (alarm.code, alarm.value) == (BEAT_CLASS, Classification("V", {"N": 0.125, "V": 0.875}))
    assert (alarm.priority, alarm.clock) == (Priority.ALARM, ClockQuality.CORRECTED)
    assert alarm.model
    assert alarm.model.runtime == "litert 2.3.0"
    assert (rate.code, rate.value, rate.subject) == (HEART_RATE, Quantity(72.5, "/min"), "pseudonym-7")
    assert (absent.value, absent.absent_reason) == (None, "error")
    assert strip.code == ECG_LEAD_II
    assert isinstance(strip.value, SampledData)
    np.testing.assert_allclose(strip.value.values(), [0.0, 0.5, np.nan, -0.25], rtol=1e-6)
    assert (strip.value.anchor_s, strip.value.sample_rate_hz, strip.quality) == (0.25, 360.0, 0.75)

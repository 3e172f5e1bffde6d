from __future__ import annotations

from edge_sdk.messages import Status, Tombstone
from tests.fakes.device import FakeDevice, alarm, beat, heart_rate, numbered
from tests.hub.conftest import Hospital
from tests.system.processes import wait_until


def test_what_is_acknowledged_is_stored(hospital: Hospital) -> None:
    hospital.device.send(*numbered(beat(), heart_rate(72.0), alarm()))

    assert hospital.device.acknowledged().watermark == 3
    assert hospital.hub.stored() == 3


def test_a_batch_sent_twice_counts_once(hospital: Hospital) -> None:
    entries = numbered(beat(), beat(at_s=1))
    hospital.device.send(*entries)
    hospital.device.acknowledged()
    hospital.device.send(*entries)

    assert hospital.device.acknowledged().watermark == 2
    (epoch,) = hospital.hub.audit()["epochs"]
    assert (epoch["stored"], epoch["duplicates_refused"]) == (2, 2)


def test_what_overtakes_is_acknowledged_as_a_range(hospital: Hospital) -> None:
    hospital.device.send(*numbered(alarm(), first=5))
    early = hospital.device.acknowledged()
    hospital.device.send(*numbered(beat(), beat(at_s=1), beat(at_s=2), beat(at_s=3)))
    late = hospital.device.acknowledged()

    assert (early.watermark, early.ranges) == (0, ((5, 5),))
    assert (late.watermark, late.ranges) == (5, ())


def test_a_tombstone_settles_what_will_never_come(hospital: Hospital) -> None:
    gone = Tombstone(first_seq=1, last_seq=9, reason="outbox full")
    hospital.device.send(*numbered(beat(), first=10), tombstones=(gone,))

    assert hospital.device.acknowledged().watermark == 10
    (epoch,) = hospital.hub.audit()["epochs"]
    assert epoch["missing"] == []
    assert epoch["tombstones"] == [{"first_seq": 1, "last_seq": 9, "reason": "outbox full"}]


def test_a_new_hub_counts_from_the_devices_floor(hospital: Hospital) -> None:
    hospital.device.send(*numbered(beat(), first=1001), floor=1001)

    assert hospital.device.acknowledged().watermark == 1001


def test_poison_is_set_aside_and_good_messages_go_on(hospital: Hospital) -> None:
    hospital.device.send_raw(b"\x01not deflated")
    hospital.device.send_raw(b"")
    hospital.device.send(*numbered(beat()))

    assert hospital.device.acknowledged().watermark == 1
    assert hospital.hub.audit()["quarantined"] == 2


def test_a_hub_killed_between_batches_stores_everything_once(hospital: Hospital) -> None:
    first, second = numbered(beat(), beat(at_s=1)), numbered(beat(at_s=2), first=3)
    hospital.device.send(*first)
    hospital.device.acknowledged()
    hospital.hub.kill()
    hospital.hub.start()
    if hospital.broker is None:
        wait_until(lambda: hospital.device.connected, what="the embedded broker to be back")
    hospital.device.send(*first, *second)

    wait_until(lambda: hospital.hub.stored() == 3, what="the rest to be stored")
    (epoch,) = hospital.hub.audit()["epochs"]
    assert (epoch["first_seq"], epoch["last_seq"], epoch["missing"]) == (1, 3, [])


def test_a_device_is_sent_nothing_of_another(hospital: Hospital) -> None:
    hospital.device.say(Status(online=True))
    hospital.device.send(*numbered(beat()))
    hospital.device.acknowledged()
    other = FakeDevice(hospital.device.broker, site="ward", device="gateway-2")
    other.send(*numbered(beat()))

    assert other.acknowledged().watermark == 1
    other.close()
    assert other.topics_heard == {other.topics.ack}


def test_many_batches_arrive_whole(hospital: Hospital) -> None:
    for start in range(0, 5000, 250):
        hospital.device.send(*numbered(*(beat(at_s=n) for n in range(250)), first=start + 1))

    wait_until(lambda: hospital.hub.stored() == 5000, what="all batches")
    (epoch,) = hospital.hub.audit()["epochs"]
    assert (epoch["watermark"], epoch["duplicates_refused"], epoch["missing"]) == (5000, 0, [])

from __future__ import annotations

import csv
import io
from typing import Any

from tests.system.conftest import Ward
from tests.system.processes import wait_until

SOME = 60  # observations: well before the middle of five minutes


def start_and_wait_for_the_middle(ward: Ward) -> None:
    ward.agent.speed = 25.0
    ward.agent.start()
    wait_until(lambda: ward.hub.stored() >= SOME, what="the replay to be under way")


def assert_every_observation_is_stored_once(ward: Ward, report: dict[str, Any]) -> None:
    (epoch,) = ward.hub.audit()["epochs"]
    assert epoch["stored"] == report["observations"]
    assert (epoch["first_seq"], epoch["last_seq"]) == (1, report["observations"])
    assert epoch["missing"] == []
    beats = [row for row in csv.DictReader(io.StringIO(ward.hub.export())) if row["code"] == "beat-class"]
    times = [row["effective_time_ns"] for row in beats]
    assert len(set(times)) == len(times) == sum(report["beats"].values())


def test_a_replay_arrives_whole(ward: Ward) -> None:
    ward.agent.start()

    report = ward.agent.finish()

    assert report["observations"] > SOME
    assert_every_observation_is_stored_once(ward, report)


def test_a_killed_agent_goes_on_where_it_was(ward: Ward) -> None:
    start_and_wait_for_the_middle(ward)

    ward.agent.kill()
    ward.agent.start()

    assert_every_observation_is_stored_once(ward, ward.agent.finish())


def test_a_broker_that_dies_and_forgets_everything_loses_nothing(ward: Ward) -> None:
    start_and_wait_for_the_middle(ward)

    ward.broker.kill()
    ward.broker.forget()
    ward.broker.start()

    assert_every_observation_is_stored_once(ward, ward.agent.finish())


def test_a_killed_hub_stores_everything_once(ward: Ward) -> None:
    start_and_wait_for_the_middle(ward)

    ward.hub.kill()
    ward.hub.start()

    assert_every_observation_is_stored_once(ward, ward.agent.finish())

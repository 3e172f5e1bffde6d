from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from device_agents.config import AgentConfig, BrokerConfig, OutboxConfig, StreamConfig
from device_agents.reload import Changes, Snapshot, check_live, difference, take_snapshot
from device_agents.reload_ask import NewConfig, Reloader
from device_agents.source_configs import MqttTopicConfig, SimulatedConfig
from edge_sdk.alarm_rules import LostRule
from edge_sdk.errors import ConfigError, IncompatibleBundle
from tests.device.gateways import GatewayFolder

MODELS = {"beats": Path("beats.edge"), "sleep": Path("sleep.edge")}
SPEEDS = (0.0, 1.0)


def stream(name: str, *, models: tuple[str, ...] = (), subject: str = "p1", speed: float = 1.0) -> StreamConfig:
    return StreamConfig(name=name, subject=subject, source=SimulatedConfig(speed=speed), models=models)


def feed(topic: str, **changes: Path | str) -> MqttTopicConfig:
    return MqttTopicConfig(topic=f"ward/{topic}/{{stream}}", **changes)


def config(**changes: object) -> AgentConfig:
    whole = AgentConfig(
        site="ward",
        device="gateway-1",
        hardware="raspberry-pi-5",
        state_dir=Path("state"),
        trusted_keys=(Path("maker.pub"),),
        broker=BrokerConfig(url="mqtt://one:1883"),
        models=MODELS,
        streams=(stream("a"), stream("b", models=("beats",)), stream("c", models=("sleep",))),
    )
    return msgspec.structs.replace(whole, **changes)


def snapshot(files: dict[Path, str] | None = None, **changes: object) -> Snapshot:
    return Snapshot(config=config(**changes), files=files or {})


def names(streams: tuple[StreamConfig, ...]) -> set[str]:
    return {begun.name for begun in streams}


def test_the_same_configuration_is_nothing_to_do() -> None:
    assert not difference(snapshot(), snapshot())


def test_a_stream_that_comes_or_goes_leaves_the_others_alone() -> None:
    two, three = snapshot(streams=config().streams[:2]), snapshot()
    assert difference(two, three) == Changes(begun=(stream("c", models=("sleep",)),))
    assert difference(three, two) == Changes(ended=("c",))


def test_a_stream_that_changes_ends_and_begins_again() -> None:
    before, after = snapshot(), snapshot(streams=(stream("a", subject="p2"), *config().streams[1:]))
    assert difference(before, after) == Changes(ended=("a",), begun=(stream("a", subject="p2"),))


def test_another_bundle_in_the_same_file_is_another_model_for_the_streams_that_it_reads() -> None:
    changes = difference(snapshot({MODELS["sleep"]: "1"}), snapshot({MODELS["sleep"]: "2"}))
    assert changes.dropped_models == changes.loaded_models == ("sleep",)
    assert set(changes.ended) == names(changes.begun) == {"a", "c"}, "'a' is read by all models, 'c' by this one"


def test_a_model_that_is_added_is_loaded_and_reads_the_streams_that_name_no_model() -> None:
    changes = difference(snapshot(), snapshot(models={**MODELS, "falls": Path("falls.edge")}))
    assert (changes.dropped_models, changes.loaded_models) == ((), ("falls",))
    assert set(changes.ended) == {"a"}


def test_another_broker_or_password_is_connected_to_anew() -> None:
    elsewhere = BrokerConfig(url="mqtt://two:1883")
    assert difference(snapshot(), snapshot(broker=elsewhere)) == Changes(broker=True)
    password = BrokerConfig(url="mqtt://one:1883", username="x", password_file=Path("password"))
    before, after = (snapshot({Path("password"): digest}, broker=password) for digest in "12")
    assert difference(before, after) == Changes(broker=True)


def test_feeds_are_told_apart_by_what_they_say() -> None:
    one, two, three = map(feed, ("one", "two", "three"))
    changes = difference(snapshot(feeds=(one, two, two)), snapshot(feeds=(two, three)))
    assert changes == Changes(dropped_feeds=(0, 2), added_feeds=(three,))


def test_feeds_begin_again_with_other_models() -> None:
    one = feed("one")
    changes = difference(snapshot(feeds=(one,)), snapshot(feeds=(one,), models={"beats": MODELS["beats"]}, streams=()))
    assert (changes.dropped_feeds, changes.added_feeds) == ((0,), (one,))


def test_feeds_begin_again_with_another_broker_or_password() -> None:
    one, key = feed("one"), Path("password")
    moved = difference(snapshot(feeds=(one,)), snapshot(feeds=(one,), broker=BrokerConfig(url="mqtt://two:1883")))
    assert moved == Changes(dropped_feeds=(0,), added_feeds=(one,), broker=True)
    theirs = feed("two", url="mqtt://three", username="x", password_file=key)
    before, after = (snapshot({key: digest}, feeds=(one, theirs)) for digest in "12")
    assert difference(before, after) == Changes(dropped_feeds=(1,), added_feeds=(theirs,))


def test_other_alarm_rules_begin_every_stream_again() -> None:
    changes = difference(snapshot(), snapshot(alarms=(LostRule(name="signal", after_s=2.0),)))
    assert changes.alarms
    assert set(changes.ended) == names(changes.begun) == {"a", "b", "c"}
    assert changes.loaded_models == ()


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"site": "other"}, "site"),
        ({"state_dir": Path("other")}, "state_dir"),
        ({"trusted_keys": (Path("other.pub"),)}, "trusted_keys"),
        ({"outbox": OutboxConfig(max_rows=5)}, "outbox"),
    ],
)
def test_what_the_agent_is_built_on_takes_a_restart_and_nothing_else_is_done(
    change: dict[str, object], key: str
) -> None:
    changes = difference(snapshot(), snapshot(**change, streams=config().streams[:1]))
    assert changes == Changes(restart=(key,))
    with pytest.raises(ConfigError, match=f"{key} cannot change while the agent runs") as refusal:
        check_live(changes)
    assert "systemctl restart edge-agent" in refusal.value.remedy


streams = st.lists(
    st.builds(
        stream,
        st.sampled_from("abcdef"),
        models=st.sampled_from([(), ("beats",), ("sleep",), ("sleep", "beats")]),
        speed=st.sampled_from(SPEEDS),
    ),
    unique_by=lambda each: each.name,
    min_size=1,
    max_size=6,
).map(tuple)
digests = st.fixed_dictionaries({path: st.sampled_from("12") for path in MODELS.values()})


@given(streams, streams, digests, digests)
def test_doing_what_is_said_makes_the_old_the_new(
    before: tuple[StreamConfig, ...],
    after: tuple[StreamConfig, ...],
    files_before: dict[Path, str],
    files_after: dict[Path, str],
) -> None:
    old, new = snapshot(files_before, streams=before), snapshot(files_after, streams=after)

    changes = difference(old, new)

    def built(each: StreamConfig, files: dict[Path, str]) -> tuple[object, ...]:
        """A running stream: what it is, and the very models that read it."""
        return each, tuple(files[MODELS[name]] for name in each.models or MODELS)

    running = {each.name: built(each, files_before) for each in before}
    for name in changes.ended:
        del running[name]
    assert not running.keys() & names(changes.begun)
    running |= {each.name: built(each, files_after) for each in changes.begun}
    assert running == {each.name: built(each, files_after) for each in after}
    untouched = {each.name for each in before if built(each, files_before) in [built(e, files_after) for e in after]}
    assert not untouched & set(changes.ended), "what stays the same must not be disturbed"


Starts = Callable[[Path], Reloader[str]]


@pytest.fixture
def reloader() -> Iterator[Starts]:
    started: list[Reloader[str]] = []

    def start(path: Path) -> Reloader[str]:
        made = Reloader(path, take_snapshot(path), prepared)
        made.start()
        started.append(made)
        return made

    yield start
    for made in started:
        made.stop()


def prepared(new: AgentConfig, changes: Changes) -> str:
    if "impossible" in new.subject:
        raise IncompatibleBundle("the model cannot run here")
    return f"{len(changes.begun)} streams"


def within_seconds(condition: Callable[[], object], seconds: float = 10.0) -> bool:
    ends_s = time.monotonic() + seconds
    while not condition() and time.monotonic() < ends_s:
        time.sleep(0.005)
    return bool(condition())


def taken(made: Reloader[str]) -> NewConfig[str]:
    found: list[NewConfig[str]] = []
    assert within_seconds(lambda: found or found.extend(filter(None, [made.take()])))
    return found[0]


def test_a_new_configuration_is_prepared_beside_the_work_and_taken_up_when_the_loop_asks(
    gateway: GatewayFolder, reloader: Starts
) -> None:
    made = reloader(gateway.config)
    assert made.take() is None

    gateway.change('subject = "patient-1"', 'subject = "patient-2"')
    made.ask()

    new = taken(made)
    assert new.config.subject == "patient-2"
    assert new.changes.ended == ("ecg",)
    assert new.prepared == "1 streams"
    assert made.take() is None


def test_each_is_compared_with_the_one_before_it(gateway: GatewayFolder, reloader: Starts) -> None:
    made = reloader(gateway.config)
    gateway.change('subject = "patient-1"', 'subject = "patient-2"')
    made.ask()
    taken(made)

    gateway.change("mqtt://127.0.0.1", "mqtt://localhost")
    made.ask()

    assert taken(made).changes == Changes(broker=True)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("[broker]", "[brokers]", "unknown field"),
        ('subject = "patient-1"', 'subject = "impossible"', "the model cannot run here"),
        ('site = "ward"', 'site = "other"', "site cannot change while the agent runs"),
        ('bundle = "model.edge"', 'bundle = "nowhere.edge"', "does not exist"),
    ],
)
def test_a_configuration_that_is_refused_leaves_the_old_one_in_force_and_says_why(
    old: str, new: str, said: str, gateway: GatewayFolder, reloader: Starts, caplog: pytest.LogCaptureFixture
) -> None:
    made = reloader(gateway.config)
    gateway.change(old, new)
    made.ask()
    assert within_seconds(lambda: said in made.refusal)
    assert made.take() is None
    assert "the one before stays in force" in caplog.text

    gateway.change(new, old)
    made.ask()

    assert within_seconds(lambda: made.refusal == "")
    assert made.take() is None


def test_a_reloader_whose_work_nobody_takes_can_be_stopped(gateway: GatewayFolder, reloader: Starts) -> None:
    made = reloader(gateway.config)
    gateway.change('subject = "patient-1"', 'subject = "patient-2"')
    made.ask()
    assert within_seconds(lambda: made._ready is not None)
    made.stop()
    assert not made._thread.is_alive()

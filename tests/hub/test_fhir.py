from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest
from fhir.resources.R4B import get_fhir_model_class
from fhirclient.models import fhirelementfactory

from edge_sdk import codes
from edge_sdk.messages import Batch
from edge_sdk.observation import ClockQuality, Observation
from edge_sdk.topics import DeviceTopics
from hospital_hub.store import Delivery, Store
from tests.fakes.device import EPOCH, alarm, beat, heart_rate, numbered, observed, strip, unknown
from tests.system.processes import Hub

DEVICE = DeviceTopics("ward", "gateway-1")

SENT: dict[str, Observation] = {
    "beat": beat("V"),
    "heart rate": heart_rate(61.5),
    "strip": strip(),
    "unknown": unknown(),
    "alarm": alarm(),
    "nameless": observed(None, code=codes.Code(codes.LOCAL, "x", ""), subject="", quality=None),
    "badly timed": msgspec.structs.replace(heart_rate(60), clock=ClockQuality.UNSYNCHRONIZED),
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    program = Hub(folder=tmp_path_factory.mktemp("fhir"), broker="embedded")
    entries = numbered(*SENT.values(), *(heart_rate(70, at_s=60 * n) for n in range(1, 100)))
    store = Store(program.database)
    store.commit(Delivery(batches=[(DEVICE, Batch(epoch=EPOCH, floor=1, entries=tuple(entries)))]))
    store.close()
    program.start()
    with httpx.Client(base_url=program.web) as client:
        yield client
    program.stop()


def search(hub: httpx.Client, **asked: str) -> dict[str, Any]:
    answer = hub.get("/fhir/Observation", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def resources(bundle: dict[str, Any]) -> list[dict[str, Any]]:
    return [entry["resource"] for entry in bundle.get("entry", [])]


def validate(resource: dict[str, Any]) -> None:
    """By two libraries that share no code: one made from R4's definitions, one from R4B's."""
    get_fhir_model_class(resource["resourceType"]).model_validate(json.loads(json.dumps(resource)))
    fhirelementfactory.FHIRElementFactory.instantiate(resource["resourceType"], resource)


def numbered_resource(hub: httpx.Client, kind: str) -> dict[str, Any]:
    seq = list(SENT).index(kind) + 1
    everything = resources(search(hub, _count="1000"))
    return next(item for item in everything if item["id"].endswith(f"-{seq}"))


@pytest.mark.parametrize("kind", SENT)
def test_every_kind_of_observation_is_valid_fhir(hub: httpx.Client, kind: str) -> None:
    resource = numbered_resource(hub, kind)

    validate(resource)
    assert resource["device"]["identifier"]["value"] == "ward/gateway-1"


def test_a_heart_rate_follows_the_vital_signs_profile(hub: httpx.Client) -> None:
    resource = numbered_resource(hub, "heart rate")

    assert resource["category"][0]["coding"][0]["code"] == "vital-signs"
    assert resource["code"]["coding"][0]["code"] == "8867-4"
    quantity = resource["valueQuantity"]
    assert (quantity["value"], quantity["code"], quantity["system"]) == (61.5, "/min", codes.UCUM_SYSTEM)
    assert resource["subject"]["identifier"]["value"] == "patient-1"


def test_a_beat_has_its_class_its_chances_and_its_model(hub: httpx.Client) -> None:
    resource = numbered_resource(hub, "beat")

    assert resource["valueCodeableConcept"]["coding"][0]["code"] == "V"
    assert "ecg-beats 1.0.0" in resource["method"]["text"]
    chances = {part["code"]["coding"][0]["code"]: part["valueQuantity"]["value"] for part in resource["component"]}
    assert chances["V"] == 0.9


def test_a_strip_keeps_its_samples_and_its_gaps(hub: httpx.Client) -> None:
    sampled = numbered_resource(hub, "strip")["valueSampledData"]

    words = sampled["data"].split()
    assert (len(words), words[100], words[99] != "E") == (1080, "E", True)
    assert 1000 / sampled["period"] == pytest.approx(360, rel=1e-6)
    assert "effectivePeriod" in numbered_resource(hub, "strip")


def test_what_could_not_be_had_says_why(hub: httpx.Client) -> None:
    absent = numbered_resource(hub, "unknown")["dataAbsentReason"]

    assert absent["text"] == "flat line"
    assert absent["coding"][0]["code"] == "error"


def test_an_untrusted_time_says_so(hub: httpx.Client) -> None:
    assert "clock was not set" in numbered_resource(hub, "badly timed")["note"][0]["text"]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({"code": "8867-4"}, 101),
        ({"code": "http://loinc.org|8867-4"}, 101),
        ({"code": "http://loinc.org|8867-4,131330"}, 102),
        ({"code": "http://snomed.info/sct|8867-4"}, 0),
        ({"subject": "patient-1"}, len(SENT) + 98),
        ({"patient": "urn:wearable-edge-sdk:subject|patient-1", "code": "beat-class"}, 1),
        ({"device": "ward/gateway-1"}, len(SENT) + 99),
        ({"device": "ward/gateway-2"}, 0),
        ({"date": "2023"}, len(SENT) + 99),
        ({"date": "lt2023-11"}, 0),
        ({"date": "ge2023-11-14T23:00:00Z"}, 53),
        ({"date": "gt2023-11-14T23:00:00+00:00"}, 53),
    ],
)
def test_a_search_finds_what_it_asks_for(hub: httpx.Client, asked: dict[str, str], expected: int) -> None:
    found = search(hub, **asked)

    validate(found)
    assert found["total"] == expected


def test_following_the_pages_reads_everything_once(hub: httpx.Client) -> None:
    address, ids = "/fhir/Observation?_count=25&code=8867-4", []
    while address:
        page = hub.get(address).json()
        ids += [item["id"] for item in resources(page)]
        address = next((link["url"] for link in page["link"] if link["relation"] == "next"), "")

    assert len(ids) == len(set(ids)) == page["total"]


def test_the_newest_comes_first(hub: httpx.Client) -> None:
    newest = resources(search(hub, _count="1", code="8867-4"))[0]

    assert newest["effectiveDateTime"].startswith("2023-11-14T23:52:20")


def test_an_observation_is_read_by_its_id(hub: httpx.Client) -> None:
    wanted = numbered_resource(hub, "alarm")

    assert hub.get(f"/fhir/Observation/{wanted['id']}").json() == wanted
    assert resources(search(hub, _id=wanted["id"])) == [wanted]


@pytest.mark.parametrize("wanted", ["no-such", "abc-1", "x", "0-99999999999999999999999"])
def test_an_id_that_is_not_there(hub: httpx.Client, wanted: str) -> None:
    answer = hub.get(f"/fhir/Observation/{wanted}")

    validate(answer.json())
    assert (answer.status_code, answer.headers["content-type"]) == (404, "application/fhir+json")


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"date": "yesterday"}, "not a date"),
        ({"date": "ge9999-99-99"}, "not a date"),
        ({"_count": "many"}, "not a number"),
        ({"colour": "red"}, "no search by 'colour'"),
    ],
)
def test_a_search_that_makes_no_sense(hub: httpx.Client, asked: dict[str, str], words: str) -> None:
    answer = hub.get("/fhir/Observation", params=asked)

    validate(answer.json())
    assert answer.status_code == 400
    assert words in answer.json()["issue"][0]["diagnostics"]


def test_the_server_says_what_it_can_do(hub: httpx.Client) -> None:
    statement = hub.get("/fhir/metadata").json()

    validate(statement)
    offered = {item["name"] for item in statement["rest"][0]["resource"][0]["searchParam"]}
    assert offered == {"_id", "device", "subject", "patient", "code", "date"}

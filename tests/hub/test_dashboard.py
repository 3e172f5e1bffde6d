from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from edge_sdk.messages import Latest, Status
from edge_sdk.observation import ClockQuality, Observation
from tests.fakes.device import FakeDevice, alarm, beat, heart_rate, numbered, strip
from tests.system.processes import Hub

# A clock that claims nothing, since the fake's times are of 2023.
UNTRUSTED = ClockQuality.UNSYNCHRONIZED


@dataclass
class Ward:
    """A hub with a browser on it, and a device that it hears."""

    hub: Hub
    device: FakeDevice
    page: Page
    problems: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        self.page.goto(self.hub.web + path)
        return self.page

    def say(self, *observations: Observation, first: int = 1) -> None:
        self.device.say(Status(online=True, model_id="ecg-beats", model_version="1.0.0"))
        now = [msgspec.structs.replace(item, clock=UNTRUSTED) for item in observations]
        self.device.send(*numbered(*now, first=first))
        self.device.acknowledged()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    executable = shutil.which("chromium") or shutil.which("chromium-browser")
    assert executable, "these tests need Chromium: run scripts/test-tools"
    sandbox = [] if os.geteuid() else ["--no-sandbox"]  # Chromium has none for root
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=executable, args=sandbox)
        yield started
        started.close()


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hub]:
    program = Hub(folder=tmp_path_factory.mktemp("dashboard"), broker="embedded")
    program.start()
    yield program
    program.stop()


@pytest.fixture
def ward(hub: Hub, browser: Browser) -> Iterator[Ward]:
    device = FakeDevice(hub.broker_url, site="ward", device=f"gateway-{uuid.uuid4()}")
    page = browser.new_page()
    opened = Ward(hub=hub, device=device, page=page)

    def listen(message: ConsoleMessage) -> None:
        if message.type == "error":
            opened.problems.append(message.text)

    page.on("console", listen)
    page.on("pageerror", lambda error: opened.problems.append(str(error)))
    yield opened
    page.close()
    device.close()


def mine(ward: Ward, within: str = "") -> str:
    return f"a.tile[href$='/{ward.device.topics.device}'] {within}"


def test_a_patients_tile_shows_rate_beat_and_counts_as_they_come(ward: Ward) -> None:
    page = ward.open()
    ward.say(heart_rate(71.6), beat("N"), beat("V", at_s=1))

    expect(page.locator(mine(ward, ".rate"))).to_have_text("72/min")
    expect(page.locator(mine(ward, ".beat"))).to_have_text("V")
    expect(page.locator(mine(ward, ".counts"))).to_have_text("N 1 V 1")

    ward.say(heart_rate(90, at_s=5), beat("N", at_s=5), first=4)

    expect(page.locator(mine(ward, ".rate"))).to_have_text("90/min")
    expect(page.locator(mine(ward, ".counts"))).to_have_text("N 2 V 1")
    assert ward.problems == []


def test_a_patients_page_draws_the_strip_around_an_abnormal_beat(ward: Ward) -> None:
    ward.say(heart_rate(70, at_s=-5), heart_rate(72), beat("V", at_s=0), strip(at_s=0))
    page = ward.open(f"/devices/ward/{ward.device.topics.device}")

    expect(page.locator(".strip figcaption")).to_contain_text("V ventricular")
    path = page.locator(".strip .ecg").get_attribute("d") or ""
    assert path.count("M") == 2  # once to begin, and once after the gap
    assert path.count("L") == 1080 - 10 - 2
    expect(page.locator("#trend svg")).to_be_visible()
    expect(page.locator("#counts")).to_contain_text("V ventricular: 1")
    expect(page.locator("#gateway")).to_contain_text("ecg-beats 1.0.0")
    assert ward.problems == []


@pytest.mark.parametrize(("begins_late_s", "drawn_s"), [(0.0, 3.0), (0.1, 1.9)], ids=["joined", "apart"])
def test_a_strip_begins_with_the_end_of_the_one_it_continues(ward: Ward, begins_late_s: float, drawn_s: float) -> None:
    first, second = strip(at_s=0), strip(at_s=1.9 + begins_late_s, before_s=0.4)
    ward.say(beat("V", at_s=0), first, beat("V", at_s=1.9 + begins_late_s), second)
    page = ward.open(f"/devices/ward/{ward.device.topics.device}")

    expect(page.locator(".strip")).to_have_count(2)
    newest = page.locator(".strip .ecg").first.get_attribute("d") or ""
    missing = 10  # in the second strip
    assert newest.count("L") + newest.count("M") == round(drawn_s * 360) - missing
    assert ward.problems == []


def test_a_newest_value_shows_before_its_batch_comes(ward: Ward) -> None:
    ward.say(heart_rate(60))
    page = ward.open()
    expect(page.locator(mine(ward, ".rate"))).to_have_text("60/min")
    newest = heart_rate(133, at_s=2)
    latest = Latest(
        code=newest.code.code,
        display=newest.code.display,
        value=133.0,
        unit="/min",
        effective_time_ns=newest.effective_time_ns,
        stream="ecg",
        subject="patient-1",
    )

    ward.device.publish_latest(latest)

    expect(page.locator(mine(ward, ".rate"))).to_have_text("133/min")


def test_a_device_that_leaves_has_no_heart_rate(ward: Ward) -> None:
    ward.say(heart_rate(60))
    page = ward.open()
    expect(page.locator(mine(ward, ".rate"))).to_have_text("60/min")

    ward.device.say(Status(online=False))

    expect(page.locator(mine(ward, ".connection"))).to_have_text("offline")
    expect(page.locator(mine(ward, ".rate"))).to_have_text("\N{EN DASH}/min")


def test_an_alarm_shows_at_once_on_every_page(ward: Ward) -> None:
    page = ward.open(f"/devices/ward/{ward.device.topics.device}")
    expect(page.locator("#link")).to_be_visible()
    page.wait_for_timeout(1500)

    ward.device.raise_alarm(alarm())

    expect(page.get_by_role("alert")).to_contain_text("Run of ventricular beats")


def test_a_stored_alarm_marks_its_tile(ward: Ward) -> None:
    ward.say(heart_rate(60), alarm())
    page = ward.open()

    expect(page.locator(mine(ward))).to_contain_class("alarm")
    expect(page.locator(mine(ward, ".alarms"))).to_contain_text("Run of ventricular beats")


def test_what_a_hostile_device_says_is_only_text(ward: Ward) -> None:
    hostile = "<img src=x onerror=alert(1)>"
    ward.say(msgspec.structs.replace(heart_rate(60), subject=hostile))
    page = ward.open()

    expect(page.locator(mine(ward, ".who b"))).to_have_text(hostile)
    assert page.locator(".tile img").count() == 0
    assert ward.problems == []


def test_a_hub_that_dies_is_noticed_and_one_that_returns_too(browser: Browser, tmp_path: Path) -> None:
    hub = Hub(folder=tmp_path, broker="embedded")
    hub.start()
    page = browser.new_page()
    page.goto(hub.web)
    expect(page.locator("#link")).to_have_text("live")

    hub.kill()
    expect(page.locator("#link")).to_contain_text("no connection to the hub")
    hub.start()

    expect(page.locator("#link")).to_have_text("live", timeout=20_000)
    page.close()
    hub.stop()


def test_only_our_own_scripts_may_run(ward: Ward) -> None:
    answer = ward.page.goto(ward.hub.web)

    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy

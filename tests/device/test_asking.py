from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner, Result

from device_agents.__main__ import main
from device_agents.asking import ask
from device_agents.facts import parse_facts, read_facts
from device_agents.model_store import ReadyModel, ready_model
from edge_sdk.codes import LOCAL, Code
from edge_sdk.contracts import (
    InputContract,
    Label,
    ModelInput,
    OutputContract,
    OutputQuantity,
    RecordWindows,
    Standardize,
)
from edge_sdk.errors import InvalidInput, SignalError
from edge_sdk.observation import Classification, Quantity
from tests.device.bundles import HARDWARE, SignedBundle, make_bundle

CODE = Code(LOCAL, "pressure-estimate", "Pressure, estimated")
OTHER = Code(LOCAL, "pulse-estimate", "Pulse, estimated")
FACTS = {"age": 54.0, "sex": 1.0, "weight": 80.0}
MEAN, STD = (50.0, 0.0, 70.0), (2.0, 1.0, 5.0)
SCALED = [(value - mean) / std for value, mean, std in zip(FACTS.values(), MEAN, STD, strict=True)]
# As make_models.py says of the model.
ANSWERED = (100 + SCALED[0] + SCALED[2], SCALED[1] - SCALED[2])
READS = InputContract(
    windows=RecordWindows(),
    inputs=(
        ModelInput(
            name="features",
            takes="features",
            shape=(3,),
            features=tuple(FACTS),
            units=("a", "1", "kg"),
            steps=(Standardize(mean=MEAN, std=STD),),
        ),
    ),
)
ESTIMATES = OutputContract(
    name="answer",
    code=CODE,
    quantities=(
        OutputQuantity(name="pressure", display="Pressure", unit="mm[Hg]"),
        OutputQuantity(name="pulse", display="Pulse", unit="/min", factor=2.0, offset=60.0, code=OTHER),
    ),
)
CLASSES = OutputContract(
    name="answer",
    code=CODE,
    activation="softmax",
    labels=(Label(name="high", display="high pressure"), Label(name="low", display="low pressure")),
    bias=(-100.0, 0.0),
)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Callable[[OutputContract], SignedBundle]:
    def made(answers: OutputContract) -> SignedBundle:
        folder = tmp_path_factory.mktemp("facts")
        return make_bundle(folder, model="facts", input=READS, output=answers, model_id="facts")

    return made


def opened(bundle: SignedBundle) -> ReadyModel:
    return ready_model(bundle.path, trusted_keys=[bundle.trusted_key], hardware=HARDWARE)


@pytest.fixture(scope="module")
def estimating(bundle: Callable[[OutputContract], SignedBundle]) -> SignedBundle:
    return bundle(ESTIMATES)


@pytest.fixture(scope="module")
def classifying(bundle: Callable[[OutputContract], SignedBundle]) -> SignedBundle:
    return bundle(CLASSES)


@pytest.fixture(scope="module")
def estimator(estimating: SignedBundle) -> ReadyModel:
    return opened(estimating)


def told(bundle: SignedBundle, *words: str) -> Result:
    options = ["--trust", str(bundle.trusted_key), "--hardware", HARDWARE]
    return CliRunner().invoke(main, ["ask", str(bundle.path), *options, *words])


def test_a_regression_answers_each_quantity_in_its_unit(estimator: ReadyModel) -> None:
    pressure, pulse = ask(estimator, FACTS)

    assert (pressure.code, pulse.code) == (CODE, OTHER)
    assert isinstance(pressure.value, Quantity)
    assert isinstance(pulse.value, Quantity)
    assert pressure.value.value == pytest.approx(ANSWERED[0])
    assert pressure.value.unit == "mm[Hg]"
    assert pulse.value.value == pytest.approx(60 + 2 * ANSWERED[1])
    assert pulse.value.unit == "/min"


def test_a_classifier_answers_a_label_and_the_probability_of_each(classifying: SignedBundle) -> None:
    (answer,) = ask(opened(classifying), FACTS)

    logits = np.array([ANSWERED[0] - 100, ANSWERED[1]])
    expected = np.exp(logits) / np.exp(logits).sum()
    assert answer.display == "high pressure"
    assert isinstance(answer.value, Classification)
    assert answer.value.label == "high"
    assert answer.value.probabilities == pytest.approx({"high": expected[0], "low": expected[1]})


def test_the_order_of_the_facts_does_not_matter(estimator: ReadyModel) -> None:
    assert ask(estimator, dict(reversed(FACTS.items()))) == ask(estimator, FACTS)


@pytest.mark.parametrize(
    ("facts", "message"),
    [
        ({"age": 54.0}, "needs sex, weight (kg) too"),
        ({**FACTS, "wieght": 80.0}, "takes no fact 'wieght': did you mean 'weight'?"),
        ({**FACTS, "xyz": 1.0}, "takes no fact 'xyz': it takes age (a), sex, weight (kg)"),
        ({**FACTS, "age": math.nan}, "'age' is nan, which is no finite number"),
        ({**FACTS, "age": 1e300}, "'age' is 1e+300, which is no finite number"),
    ],
)
def test_facts_that_no_model_should_see_are_refused(
    estimator: ReadyModel, facts: dict[str, float], message: str
) -> None:
    with pytest.raises(SignalError) as refused:
        ask(estimator, facts)

    assert message in str(refused.value)


def test_an_answer_that_is_no_number_is_none(estimator: ReadyModel) -> None:
    with pytest.raises(SignalError, match="no number"):
        ask(estimator, {**FACTS, "sex": 3.4e38, "weight": -3.4e38})


def test_a_model_of_a_stream_cannot_be_asked(tiny_bundle: SignedBundle) -> None:
    with pytest.raises(SignalError, match="reads a stream"):
        ask(opened(tiny_bundle), FACTS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["age=54", "age=55"], "'age' is given twice"),
        (["age=old"], "'age' has the value 'old'"),
        (["54"], "write it like age=54"),
    ],
)
def test_words_that_are_no_facts(words: list[str], message: str) -> None:
    with pytest.raises(SignalError, match=message):
        parse_facts(words)


@pytest.mark.parametrize(
    "data", [b"[54]", b'{"age": "54"}', b'{"sex": true}', b'{"age": NaN}', b'{"age": 1e999}', b"\xff", b'{"age": null}']
)
def test_a_file_that_holds_no_facts(data: bytes) -> None:
    with pytest.raises(SignalError, match=r"facts\.json is no JSON object of numbers"):
        read_facts(data, origin="facts.json")


def test_a_file_that_gives_a_fact_twice() -> None:
    with pytest.raises(SignalError, match="'age' is given twice"):
        read_facts(b'{"age": 54, "age": 45}', origin="facts.json")


def test_the_command_answers_in_words(estimating: SignedBundle, classifying: SignedBundle) -> None:
    words = [f"{name}={value:g}" for name, value in FACTS.items()]

    assert told(estimating, *words).stdout.splitlines() == [
        f"Pressure: {ANSWERED[0]:.4g} mm[Hg]",
        f"Pulse: {60 + 2 * ANSWERED[1]:.4g} /min",
    ]
    assert told(classifying, *words).stdout.startswith("Pressure, estimated: high pressure (high 9")


def test_the_command_answers_a_program(estimating: SignedBundle, estimator: ReadyModel, tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    file.write_text(json.dumps({"sex": 1, "weight": 80}))

    done = told(estimating, "--facts", str(file), "--json", "age=54")

    answers = [msgspec.to_builtins(answer) for answer in ask(estimator, FACTS)]
    assert json.loads(done.stdout) == {"model": msgspec.to_builtins(estimator.ref), "answers": answers}


@pytest.mark.parametrize(
    "words", [["age=54"], ["age=54", "sex=1", "weight=80", "--facts", "missing.json"], ["--hardware", "no-such-board"]]
)
def test_the_command_refuses_in_one_line(estimating: SignedBundle, words: list[str]) -> None:
    done = told(estimating, *words)

    assert done.exit_code == InvalidInput.exit_code
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1


def test_a_fact_may_come_from_the_file_or_the_line_but_not_both(estimating: SignedBundle, tmp_path: Path) -> None:
    file = tmp_path / "facts.json"
    file.write_text(json.dumps(FACTS))

    assert "'age' is given twice" in told(estimating, "--facts", str(file), "age=54").stderr

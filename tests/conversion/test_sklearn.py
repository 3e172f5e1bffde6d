from __future__ import annotations

import pickle
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pandas as pd
import pytest
import skops.io
from sklearn.compose import make_column_transformer as by_column
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge, SGDClassifier
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    MaxAbsScaler,
    MinMaxScaler,
    PolynomialFeatures,
    RobustScaler,
    StandardScaler,
)

from converters.importers.sklearn import import_sklearn
from converters.models import FloatModel
from converters.tensors import run_flatbuffer
from edge_sdk.contracts import (
    FixedWindows,
    InputContract,
    Label,
    ModelContract,
    ModelInput,
    OutputContract,
    OutputQuantity,
    RecordWindows,
)
from edge_sdk.decisions import probabilities
from edge_sdk.errors import ConversionError
from edge_sdk.preprocessing import prepare
from edge_sdk.signals import SignalFormat
from edge_sdk.windowing import Window

FEATURES = ("age", "weight", "height", "sex")
CODE = {"system": "urn:test", "code": "test", "display": "Test"}
PEOPLE = Path(__file__).parents[2] / "examples" / "blood_pressure" / "data" / "nhanes.csv"


@pytest.fixture(scope="module")
def people() -> pd.DataFrame:
    """Real people."""
    return pd.read_csv(PEOPLE)[:400]


def facts(people: pd.DataFrame) -> pd.DataFrame:
    return people[list(FEATURES)]


def contract(**output: Any) -> ModelContract:
    wanted = ModelInput(name="facts", takes="features", shape=(len(FEATURES),), features=FEATURES)
    return ModelContract(
        id="test",
        version="1.0.0",
        title="Test",
        input=InputContract(windows=RecordWindows(), inputs=(wanted,)),
        output=msgspec.convert({"name": "answer", "code": CODE, **output}, OutputContract),
    )


def quantities(*names: str) -> ModelContract:
    return contract(quantities=tuple(OutputQuantity(name=name, display=name, unit="mm[Hg]") for name in names))


def labels(*names: str, activation: str) -> ModelContract:
    return contract(labels=tuple(Label(name=name, display=name) for name in names), activation=activation)


@pytest.fixture
def imported(tmp_path: Path) -> Callable[[Any, ModelContract], FloatModel]:
    def imported(estimator: Any, wanted: ModelContract) -> FloatModel:
        path = tmp_path / "model.skops"
        skops.io.dump(estimator, path)
        return import_sklearn(path, wanted, tmp_path)

    return imported


def answers(model: FloatModel, table: pd.DataFrame) -> np.ndarray:
    """What the flatbuffer answers to facts that the contract's steps prepared, as on a device."""
    nothing = np.empty((0, 0), np.float32)
    windows = [
        Window(start_index=0, end_index=0, anchor_index=0, waveform=nothing, features=row)
        for row in table.to_numpy(np.float32)
    ]
    prepared = {"facts": np.stack([prepare(window, model.contract.input)["facts"] for window in windows])}
    found = run_flatbuffer(model.flatbuffer, prepared)
    np.testing.assert_allclose(model.predict(prepared), found, rtol=1e-6, atol=1e-5)
    return found


@pytest.mark.parametrize(
    "scalers",
    [
        [],
        [StandardScaler()],
        [MinMaxScaler(feature_range=(-1, 3))],
        [MinMaxScaler(feature_range=(0.2, 0.8), clip=True), StandardScaler()],
        [MaxAbsScaler(), "passthrough", RobustScaler(quantile_range=(10, 90))],
        ["passthrough", StandardScaler(with_mean=False), StandardScaler(with_std=False)],
        [by_column((StandardScaler(), ["height", "age"]), (MinMaxScaler(), ["sex"]), remainder="passthrough")],
        [by_column((RobustScaler(), ["weight"]), remainder=MaxAbsScaler()), StandardScaler()],
    ],
    ids=lambda scalers: " ".join(type(part).__name__ for part in scalers) or "none",
)
def test_a_regression_behind_any_scaler_answers_as_scikit_learn(
    scalers: list[Any], people: pd.DataFrame, imported: Callable[[Any, ModelContract], FloatModel]
) -> None:
    estimator = make_pipeline(*scalers, LinearRegression()).fit(facts(people[:200]), people[:200].systolic)

    model = imported(estimator, quantities("systolic"))

    expected = estimator.predict(facts(people))
    np.testing.assert_allclose(answers(model, facts(people))[:, 0], expected, rtol=1e-6)
    assert not any("without names" in remark for remark in model.remarks)


def test_one_regression_may_estimate_several_quantities(
    people: pd.DataFrame, imported: Callable[[Any, ModelContract], FloatModel]
) -> None:
    truth = np.stack([people.systolic, people.age + people.weight], axis=1)
    pipeline = make_pipeline(StandardScaler(), Ridge()).fit(facts(people), truth)

    model = imported(pipeline, quantities("systolic", "sum"))

    np.testing.assert_allclose(answers(model, facts(people)), pipeline.predict(facts(people)), rtol=1e-6)


@pytest.mark.parametrize("activation", ["sigmoid", "probability", "softmax", "none"])
def test_a_logistic_regression_gives_its_chances_in_every_form(
    activation: str, people: pd.DataFrame, imported: Callable[[Any, ModelContract], FloatModel]
) -> None:
    high = np.where(people.systolic > 130, "high", "usual")
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(facts(people), high)

    model = imported(pipeline, labels("high", "usual", activation=activation))

    found = probabilities(answers(model, facts(people)), model.contract.output)
    np.testing.assert_allclose(found, pipeline.predict_proba(facts(people)), atol=1e-5)


@pytest.mark.parametrize("activation", ["softmax", "none"])
def test_a_logistic_regression_of_three_classes(
    activation: str, people: pd.DataFrame, imported: Callable[[Any, ModelContract], FloatModel]
) -> None:
    band = np.digitize(people.systolic, [110, 130])
    pipeline = make_pipeline(StandardScaler(), LogisticRegression()).fit(facts(people), band)

    model = imported(pipeline, labels("low", "usual", "high", activation=activation))

    found = probabilities(answers(model, facts(people)), model.contract.output)
    np.testing.assert_allclose(found, pipeline.predict_proba(facts(people)), atol=1e-5)


def test_the_onnx_form_answers_as_scikit_learn(
    people: pd.DataFrame, imported: Callable[[Any, ModelContract], FloatModel]
) -> None:
    import onnxruntime

    estimator = make_pipeline(StandardScaler(), LinearRegression()).fit(facts(people), people.systolic)
    model = imported(estimator, quantities("systolic"))
    scaler = estimator[0]
    given = ((facts(people)[:1] - scaler.mean_) / scaler.scale_).to_numpy(np.float32)

    (found,) = onnxruntime.InferenceSession(model.to_onnx()).run(["answer"], {"facts": given})

    np.testing.assert_allclose(found[0], estimator.predict(facts(people)[:1]), rtol=1e-6)


def test_a_table_without_names_is_taken_with_a_remark(
    people: pd.DataFrame, imported: Callable[[Any, ModelContract], FloatModel]
) -> None:
    estimator = LinearRegression().fit(facts(people).to_numpy(), people.systolic)

    remarks = imported(estimator, quantities("systolic")).remarks

    assert any("begins with no scaler" in remark for remark in remarks)
    assert any("columns without names" in remark for remark in remarks)


def waveforms(wanted: ModelContract) -> ModelContract:
    """The contract of a model of 10 samples of two channels."""
    reads = InputContract(
        signal=SignalFormat(kind="accelerometer", unit="m/s2", channels=("x", "y"), sample_rate_hz=10.0),
        windows=FixedWindows(length_s=1.0, hop_s=1.0),
        inputs=(ModelInput(name="waveform", takes="waveform", shape=(10, 2)),),
    )
    return msgspec.structs.replace(wanted, input=reads)


def test_a_table_may_be_the_samples_of_a_waveform(imported: Callable[[Any, ModelContract], FloatModel]) -> None:
    signal = np.random.default_rng(1).normal(2, 5, (200, 10, 2)).astype(np.float32)
    table, moving = signal.reshape(200, 20), signal.std(axis=(1, 2)) > 5
    estimator = make_pipeline(MinMaxScaler(), StandardScaler(), LogisticRegression()).fit(table, moving)

    model = imported(estimator, waveforms(labels("still", "moving", activation="sigmoid")))

    found = run_flatbuffer(model.flatbuffer, {"waveform": signal})
    np.testing.assert_allclose(found[:, 0], estimator.decision_function(table), atol=1e-5)
    np.testing.assert_allclose(model.predict({"waveform": signal}), found, atol=1e-5)
    assert model.contract.input.inputs[0].steps == ()


def test_samples_that_are_clipped_one_by_one_are_refused(
    imported: Callable[[Any, ModelContract], FloatModel],
) -> None:
    estimator = make_pipeline(MinMaxScaler(clip=True), LinearRegression()).fit(np.eye(20), np.arange(20))

    with pytest.raises(ConversionError, match="clips samples"):
        imported(estimator, waveforms(quantities("systolic")))


def refused(
    people: pd.DataFrame,
    imported: Callable[[Any, ModelContract], FloatModel],
    *parts: Any,
    wanted: ModelContract,
    truth: Any = None,
) -> str:
    truth = people.systolic > 130 if truth is None else truth
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        estimator = make_pipeline(*parts).fit(facts(people), truth)
    with pytest.raises(ConversionError) as error:
        imported(estimator, wanted)
    return str(error.value)


YES_NO = labels("no", "yes", activation="sigmoid")
THREE = labels("low", "usual", "high", activation="softmax")


@pytest.mark.parametrize(
    ("parts", "wanted", "message"),
    [
        ([GaussianNB()], YES_NO, "GaussianNB is not supported: use LinearRegression, "),
        ([PolynomialFeatures(), LogisticRegression()], YES_NO, "PolynomialFeatures is not supported"),
        ([FunctionTransformer(np.log1p), LogisticRegression()], YES_NO, "FunctionTransformer is not supported"),
        (
            [by_column((StandardScaler(), ["age"])), LogisticRegression()],
            YES_NO,
            "drops columns [1, 2, 3]",
        ),
        (
            [
                by_column((StandardScaler(), ["age", "sex"]), ("passthrough", ["age"])),
                LogisticRegression(),
            ],
            YES_NO,
            "drops columns",
        ),
        (
            [
                by_column((StandardScaler(), list(FEATURES)), ("passthrough", ["age"])),
                LogisticRegression(),
            ],
            YES_NO,
            "uses a column twice",
        ),
        (
            [
                by_column((MinMaxScaler(clip=True), ["age"]), remainder="passthrough"),
                LogisticRegression(),
            ],
            YES_NO,
            "clips some of the columns",
        ),
        ([SGDClassifier(loss="hinge")], YES_NO, "does not answer"),
        ([LogisticRegression()], quantities("systolic"), "gives labels, and the contract's output has quantities"),
        ([LinearRegression()], YES_NO, "gives quantities, and the contract's output has labels"),
        ([LinearRegression()], quantities("systolic", "diastolic"), "gives 1 quantities, and the contract names 2"),
        ([LogisticRegression()], THREE, "the model's classes are False, True"),
    ],
)
def test_what_cannot_be_told_exactly_is_refused(
    parts: list[Any],
    wanted: ModelContract,
    message: str,
    people: pd.DataFrame,
    imported: Callable[[Any, ModelContract], FloatModel],
) -> None:
    assert message in refused(people, imported, *parts, wanted=wanted)


def test_labels_in_another_order_are_refused(
    people: pd.DataFrame, imported: Callable[[Any, ModelContract], FloatModel]
) -> None:
    high = np.where(people.systolic > 130, "high", "usual")
    wanted = labels("usual", "high", activation="sigmoid")

    message = refused(people, imported, StandardScaler(), LogisticRegression(), wanted=wanted, truth=high)

    assert "the model's classes are high, usual, and the contract's labels usual, high" in message


def test_chances_that_are_not_those_of_the_weights_are_refused(
    people: pd.DataFrame, imported: Callable[[Any, ModelContract], FloatModel]
) -> None:
    band = np.digitize(people.systolic, [110, 130])
    one_against_rest = SGDClassifier(loss="log_loss", random_state=1)

    message = refused(people, imported, StandardScaler(), one_against_rest, wanted=THREE, truth=band)

    assert "are not those of its weights" in message


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (("age", "height", "weight", "sex"), "name them as the model does, in its order"),
        (("age", "weight", "height"), "the model takes one table of 4 columns"),
    ],
)
def test_other_columns_than_the_contract_are_refused(
    features: tuple[str, ...],
    message: str,
    people: pd.DataFrame,
    imported: Callable[[Any, ModelContract], FloatModel],
) -> None:
    wanted = ModelInput(name="facts", takes="features", shape=(len(features),), features=features)
    reads = InputContract(windows=RecordWindows(), inputs=(wanted,))

    told = refused(people, imported, LogisticRegression(), wanted=msgspec.structs.replace(YES_NO, input=reads))

    assert message in told


def test_an_estimator_that_was_not_fitted_is_refused(imported: Callable[[Any, ModelContract], FloatModel]) -> None:
    for nothing in (LinearRegression(), make_pipeline(StandardScaler(), LinearRegression()), {"no": "estimator"}):
        with pytest.raises(ConversionError, match="is not a fitted estimator"):
            imported(nothing, quantities("systolic"))


class Betrayal:
    """What a pickle may do when it is opened."""

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (Path("betrayed"),)


@pytest.mark.parametrize("name", ["model.pkl", "model.pickle", "model.joblib", "model.skops"])
def test_a_pickle_is_never_opened(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).write_bytes(pickle.dumps(Betrayal()))

    with pytest.raises(ConversionError, match=r"skops\.io\.dump"):
        import_sklearn(tmp_path / name, quantities("systolic"), tmp_path)

    assert not Path("betrayed").exists()


def test_a_file_with_other_types_is_refused(tmp_path: Path) -> None:
    skops.io.dump(make_pipeline(FunctionTransformer(contract), LinearRegression()), tmp_path / "model.skops")

    with pytest.raises(ConversionError, match=r"holds types that are not known to be safe: .*contract"):
        import_sklearn(tmp_path / "model.skops", quantities("systolic"), tmp_path)


def test_a_file_that_was_cut_short_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "model.skops"
    skops.io.dump(LinearRegression(), path)
    path.write_bytes(path.read_bytes()[:-40])

    with pytest.raises(ConversionError, match="cannot be loaded as a scikit-learn model"):
        import_sklearn(path, quantities("systolic"), tmp_path)


def test_a_model_of_another_version_says_so(
    people: pd.DataFrame, imported: Callable[[Any, ModelContract], FloatModel]
) -> None:
    estimator = LinearRegression().fit(facts(people), people.systolic)
    saved_by = {**estimator.__getstate__(), "_sklearn_version": "1.3.0"}

    class Older(LinearRegression):
        def __getstate__(self) -> dict[str, Any]:
            return saved_by

    Older.__name__, Older.__module__ = "LinearRegression", LinearRegression.__module__
    estimator.__class__ = Older

    assert any(
        "was saved by scikit-learn 1.3.0" in said for said in imported(estimator, quantities("systolic")).remarks
    )

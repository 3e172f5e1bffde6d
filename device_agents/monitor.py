"""Streams in, observations out: the whole signal path without threads, clocks, disks or networks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from device_agents.bank import Bank, Told
from device_agents.findings import BankModel
from device_agents.telling import StreamFacts
from edge_sdk.alarm_rules import AlarmRule
from edge_sdk.errors import SignalError
from edge_sdk.observation import ClockQuality
from edge_sdk.signals import SampleBlock, SignalFormat
from edge_sdk.windowing import stream_format

_Key = tuple[str, str, float, tuple[str, ...], tuple[str, ...]]


class Monitor:
    """Runs models on any number of streams, which come and go.

    Streams of one format that the same models read share a bank, whose every step is done for all of them at once.

    Args:
        models: By the names that streams choose them by.
        alarms: Rules that a person configured.
    """

    def __init__(self, models: Mapping[str, BankModel], *, alarms: Sequence[AlarmRule] = ()) -> None:
        self._models, self._alarms = dict(models), alarms
        self._banks: dict[_Key, Bank] = {}
        self._bank_of: dict[str, Bank] = {}
        self._moved: dict[Bank, None] = {}

    def __len__(self) -> int:
        """How many streams are open."""
        return len(self._bank_of)

    def open(  # what a stream is
        self,
        name: str,
        *,
        format: SignalFormat,  # noqa: A002  # the word
        subject: str = "",
        clock: ClockQuality = ClockQuality.SYNCHRONIZED,
        start_time_ns: int = 0,
        models: Sequence[str] | None = None,
    ) -> None:
        """Begin a stream.

        Args:
            name: Not that of an open stream.
            format: What its samples mean.
            subject: Pseudonym of the patient.
            clock: How far its times can be trusted.
            start_time_ns: UTC time at which its first sample is expected, for when it never comes.
            models: Names of those that read it; ``None`` for all that can.

        Raises:
            SignalError: The name is taken, a model is not known, or does not read such a signal.
        """
        if name in self._bank_of:
            raise SignalError(f"stream '{name}' is open already", remedy="give every stream a name of its own")
        chosen = self.check(name, format, models)
        bank = self._bank(format, chosen)
        bank.open(StreamFacts(name=name, subject=subject, clock=clock, channels=format.channels), start_time_ns)
        self._bank_of[name] = bank

    def check(
        self,
        name: str,
        format: SignalFormat,  # noqa: A002  # the word
        models: Sequence[str] | None = None,
    ) -> tuple[str, ...]:
        """Return the names of the models that would read a stream.

        Raises:
            SignalError: A model is not known, or does not read such a signal, or none does.
        """
        chosen = self._fitting(format) if models is None else tuple(models)
        for model in chosen:
            self._check(name, format, model)
        if not chosen:
            wanted = sorted({in_words(stream_format(model.reads)) for model in self._models.values()})
            who = "the models read" if len(self._models) > 1 else "the model reads"
            raise SignalError(
                f"stream '{name}' delivers {in_words(format)}, and {who} {'; '.join(wanted)}",
                remedy="convert the samples in the source, or use a model for them",
            )
        return chosen

    def push(self, name: str, block: SampleBlock) -> None:
        """Take a stream's next block; what it tells comes with the next `step`.

        A block that begins later than the one before it ended leaves a gap of missing samples; what was there before
        is left out.

        Raises:
            SignalError: The stream is not open, or the block has not its channels.
        """
        bank = self._known(name)
        bank.push(name, block)
        self._moved[bank] = None

    def silence(self, name: str, seconds: float) -> None:
        """Take it that a stream's next samples are missing, since nothing has come for so long.

        Raises:
            SignalError: The stream is not open.
        """
        bank = self._known(name)
        bank.silence(name, seconds)
        self._moved[bank] = None

    def close(self, name: str) -> None:
        """End a stream; the next `step` says what was left, and the name is free.

        Raises:
            SignalError: The stream is not open.
        """
        bank = self._known(name)
        del self._bank_of[name]
        bank.close(name)
        self._moved[bank] = None

    def step(self) -> dict[str, Told]:
        """Process all that was pushed, and return what each stream told."""
        moved, self._moved = self._moved, {}
        found: dict[str, Told] = {}
        for name, told in (item for bank in moved for item in bank.step().items()):
            before = found[name].observations if name in found else []  # one of the same name that just ended
            found[name] = Told(observations=before + told.observations, end_index=told.end_index)
        return found

    @property
    def windows(self) -> int:
        """Windows cut so far."""
        return sum(bank.findings.windows for bank in self._banks.values())

    @property
    def decisions(self) -> Counter[str]:
        """Windows classified or estimated, by label."""
        return sum((bank.findings.decisions for bank in self._banks.values()), Counter[str]())

    @property
    def rejected(self) -> Counter[str]:
        """Windows without an answer, by reason: never shown to a model, or not answered by it."""
        return sum((bank.findings.rejected for bank in self._banks.values()), Counter[str]())

    @property
    def missing_samples(self) -> int:
        """Samples that never came."""
        return sum(bank.missing for bank in self._banks.values())

    def _known(self, name: str) -> Bank:
        try:
            return self._bank_of[name]
        except KeyError:
            raise SignalError(f"no stream '{name}' is open", remedy="open it before its first block") from None

    def _bank(self, format: SignalFormat, chosen: tuple[str, ...]) -> Bank:  # noqa: A002  # as above
        key = (format.kind, format.unit, format.sample_rate_hz, format.channels, chosen)
        if key not in self._banks:
            self._banks[key] = Bank(format, [self._models[name] for name in chosen], alarms=self._alarms)
        return self._banks[key]

    def _fitting(self, format: SignalFormat) -> tuple[str, ...]:  # noqa: A002  # as above
        return tuple(name for name, model in self._models.items() if reads(model, format))

    def _check(self, stream: str, format: SignalFormat, name: str) -> None:  # noqa: A002  # as above
        if name not in self._models:
            raise SignalError(
                f"stream '{stream}' asks for model '{name}'", remedy=f"there are {', '.join(self._models) or 'none'}"
            )
        if not reads(self._models[name], format):
            wanted = stream_format(self._models[name].reads)
            raise SignalError(
                f"stream '{stream}' delivers {in_words(format)}, and model '{name}' reads {in_words(wanted)}",
                remedy="convert the samples in the source, or use a model for them",
            )


def reads(model: BankModel, format: SignalFormat) -> bool:  # noqa: A002  # as above
    """Return whether a model reads such a signal."""
    wanted = model.reads.signal
    return wanted is not None and (wanted.kind, wanted.unit, wanted.sample_rate_hz) == (
        format.kind,
        format.unit,
        format.sample_rate_hz,
    )


def in_words(format: SignalFormat) -> str:  # noqa: A002  # as above
    """Return a format as a person says it."""
    return f"{format.kind} in {format.unit} at {format.sample_rate_hz:g} Hz"

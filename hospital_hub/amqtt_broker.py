"""amqtt's broker, less a leak."""

from __future__ import annotations

from amqtt.broker import Broker
from amqtt.session import Session


class DiscreetBroker(Broker):  # type: ignore[misc]  # amqtt has no types
    """Gives a client that connects no retained messages but those it has subscribed to.

    amqtt 0.12 sends every client that connects what matches the subscriptions of all the others, so that one patient's
    gateway would receive what another's has published.
    """

    async def _publish_retained_messages_for_subscription(
        self, subscription: tuple[str, int], session: Session
    ) -> None:
        subscribers = self._subscriptions.get(subscription[0], ())
        if any(subscriber.client_id == session.client_id for subscriber, _ in subscribers):
            await super()._publish_retained_messages_for_subscription(subscription, session)

"""The bus: publish, raise an error about an event, look into the log. Publishes happen if the call returns without a fault; every function
raises `Refused` where the host says no."""

from __future__ import annotations

from typing import Any, Sequence

from . import host
from .plugin import Filter
from .types import Draft, Event, Severity


def publish(draft: Draft) -> str:
    """Gives the event's id. The control chain looks at it after this call has returned; if it is refused there, an event says so."""
    return host.call("events", "publish", host.draft(draft))


def raise_error(message: str, details: Any = None, cause: str | None = None) -> None:
    """An error about the event at hand, or about `cause`: `error:raised`."""
    host.call("events", "raise_", message, host.optional_json(details), cause)


def query(filter: Filter, after: int | None = None, limit: int = 100) -> tuple[list[Event], int | None]:
    """Events that match, oldest first, after this sequence number; and what to give as `after` for the next page, if there is one."""
    page = host.call("events", "query", to_wit(filter), after, limit)
    return [of_wit(event) for event in page.events], page.next


def to_wit(filter: Filter | None) -> Any:
    """A filter as the contract has it."""
    if filter is None or host.types is None:
        return filter
    return host.types.Filter(
        listed(filter.event_types),
        None if filter.min_severity is None else host.severity(filter.min_severity),
        listed(filter.source_components),
        listed(filter.correlation_ids),
        listed(filter.workflow_ids),
        listed(filter.task_ids),
        listed(filter.provider_ids),
        filter.when,
    )


def listed(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


def of_wit(event: Any) -> Event:
    """An event as the contract has it."""
    if isinstance(event, Event):
        return event
    return Event(
        event.event_type,
        event.payload,
        event.event_id,
        event.sequence_number,
        event.part,
        event.timestamp,
        event.recorded_at,
        event.source_component,
        event.correlation_id,
        event.causation_id,
        event.workflow_id,
        event.task_id,
        event.provider_id,
        Severity(event.severity.value),
        dict(event.metadata),
    )

"""What the roles are handed: events, decisions' contexts, deliveries, tasks. The words are those of the JSON envelope and of `plugin.wit`."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from enum import IntEnum
from functools import cached_property
from typing import Any


class Severity(IntEnum):
    """How much an event or a log line matters; they compare."""

    DEBUG = 0
    INFO = 1
    WARNING = 2
    ERROR = 3
    CRITICAL = 4


class Point(IntEnum):
    """Where a decision is asked for."""

    PUBLISH = 0
    WORKFLOW_SUBMITTED = 1
    TASK_READY = 2
    CANDIDATE_FOUND = 3
    TASK_COMPLETED = 4
    TASK_FAILED = 5


class Origin(IntEnum):
    """Where a draft, or a workflow, came in."""

    HTTP = 0
    CLI = 1
    STREAM_CLIENT = 2
    INBOX = 3
    PLUGIN = 4
    EMBEDDED = 5
    HOST = 6


@dataclass
class Event:
    """One immutable fact. Times are nanoseconds since 1970. In a control handler it has no sequence number yet."""

    event_type: str
    payload_text: str = "{}"
    event_id: str = "00000000-0000-7000-8000-000000000000"
    sequence_number: int = 0
    part: int = 0
    timestamp_ns: int = 0
    recorded_at_ns: int = 0
    source_component: str = "test"
    correlation_id: str = "test"
    causation_id: str | None = None
    workflow_id: str | None = None
    task_id: str | None = None
    provider_id: str | None = None
    severity: Severity = Severity.INFO
    metadata: dict[str, str] = field(default_factory=dict)

    @cached_property
    def payload(self) -> Any:
        """What it says. Parsed when it is first asked for; a handler that never looks inside pays nothing."""
        return json.loads(self.payload_text)

    @staticmethod
    def of(event_type: str, payload: Any = None, **fields: Any) -> Event:
        """An event with this payload: for unit tests."""
        return Event(event_type, json.dumps({} if payload is None else payload), **fields)


@dataclass
class Context:
    """What is known about a decision beside the event."""

    point: Point = Point.PUBLISH
    attempt: int = 0
    now_ns: int = 0
    elapsed_ms: int = 0
    remaining_ms: int = 1_000
    origin: Origin = Origin.HTTP
    principal: str | None = None


@dataclass
class Delivery:
    """What is known about a batch of events beside them."""

    now_ns: int = 0
    remaining_ms: int = 5_000
    attempt: int = 1
    replay: bool = False
    missed: int = 0


@dataclass
class Task:
    """One attempt at a task. Systems that must not act twice are handed its `idempotency_key`."""

    method: str
    parameters_text: str = "null"
    workflow_id: str = "workflow"
    task_id: str = "task"
    attempt: int = 1
    idempotency_key: str = "workflow/task/1"
    correlation_id: str = "test"
    timeout_ms: int = 30_000
    metadata: dict[str, str] = field(default_factory=dict)

    @cached_property
    def parameters(self) -> Any:
        """What to do it with, references resolved."""
        return json.loads(self.parameters_text)

    @staticmethod
    def of(method: str, parameters: Any = None, **fields: Any) -> Task:
        """A first attempt at this method: for unit tests."""
        return Task(method, json.dumps(parameters), **fields)


@dataclass
class Draft:
    """An event that a plugin wants published. `cause` is an event of the batch at hand, by its id, if it is not the batch's last."""

    event_type: str
    payload: Any = field(default_factory=dict)
    severity: Severity = Severity.INFO
    metadata: dict[str, str] = field(default_factory=dict)
    cause: str | None = None
    correlation_id: str | None = None
    timestamp_ns: int | None = None
    key: str | None = None

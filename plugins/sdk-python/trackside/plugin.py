"""A plugin's description of itself, and which functions have its roles. Calling them is `entry`'s."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any, Callable, Sequence, TypeVar

from .errors import Failure
from .signal import Signal
from .types import Context, Delivery, Event, Severity, Task

Check = Callable[[Event, Context], Signal]
Observe = Callable[[Sequence[Event], Delivery], None]
Run = Callable[[Any, Task], Any]

C = TypeVar("C", bound=Check)
O = TypeVar("O", bound=Observe)
R = TypeVar("R", bound=Run)


@dataclass(frozen=True)
class Filter:
    """Which events a role wants. Every condition that is given must hold; an empty list never does."""

    event_types: Sequence[str] | None = None
    min_severity: Severity | None = None
    source_components: Sequence[str] | None = None
    correlation_ids: Sequence[str] | None = None
    workflow_ids: Sequence[str] | None = None
    task_ids: Sequence[str] | None = None
    provider_ids: Sequence[str] | None = None
    when: str | None = None


@dataclass(frozen=True)
class Trigger:
    """Events that start a method by themselves: a workflow of one task, which is given the event as `event`, or several as `events`."""

    filter: Filter
    method: str
    debounce_ms: int | None = None
    throttle_ms: int | None = None
    batch_max: int | None = None


@dataclass(frozen=True)
class Method:
    """One kind of task: its name, what it is for, and the function that does it."""

    name: str
    summary: str
    run: Run
    parameters: Any = None
    returns: Any = None


@dataclass
class Plugin:
    """What a plugin is: how it describes itself, and its functions. One a project; the decorators give functions their roles."""

    name: str
    version: str = ""
    summary: str = ""
    priority: int | None = None
    critical: bool = False
    memoryless: bool = False
    checks: Check | None = field(default=None, init=False)
    controls: Filter | None = field(default=None, init=False)
    watches: Observe | None = field(default=None, init=False)
    observes: Filter | None = field(default=None, init=False)
    methods: dict[str, Method] = field(default_factory=dict, init=False)
    triggers: list[Trigger] = field(default_factory=list, init=False)

    def control(self, *event_types: str, filter: Filter | None = None) -> Callable[[C], C]:
        """Makes a function the control handler: for events of these types (patterns such as `order:*`), or by a whole filter; with
        neither, for every fact."""

        def decorate(function: C) -> C:
            if self.checks is not None:
                raise ValueError(f"{self.name} has two control handlers: {name_of(self.checks)} and {name_of(function)}")
            self.checks, self.controls = function, filter_of(event_types, filter)
            return function

        return decorate

    def observer(self, *event_types: str, filter: Filter | None = None) -> Callable[[O], O]:
        """Makes a function the observer. It takes a batch of events, in order, all or nothing: if it raises, the batch comes again,
        in smaller pieces."""

        def decorate(function: O) -> O:
            if self.watches is not None:
                raise ValueError(f"{self.name} has two observers: {name_of(self.watches)} and {name_of(function)}")
            self.watches, self.observes = function, filter_of(event_types, filter)
            return function

        return decorate

    def method(self, name: str, summary: str = "", *, parameters: Any = None, returns: Any = None) -> Callable[[R], R]:
        """Makes a function a worker's method, `namespace/name`. It gets the parameters and the task, and returns the result;
        `parameters` and `returns` are JSON Schemas of them."""

        def decorate(function: R) -> R:
            if name in self.methods:
                raise ValueError(f"{self.name} has two methods {name}")
            self.methods[name] = Method(name, summary, function, parameters, returns)
            return function

        return decorate

    def trigger(
        self,
        method: str,
        *event_types: str,
        filter: Filter | None = None,
        debounce_ms: int | None = None,
        throttle_ms: int | None = None,
        batch_max: int | None = None,
    ) -> None:
        """Has events start a method, this plugin's or, where it may submit workflows, another's. `debounce_ms`: once no further event has
        come for so long; `throttle_ms`: once in so long; `batch_max`: with so many events a start."""
        wanted = filter_of(event_types, filter) or Filter()
        self.triggers.append(Trigger(wanted, method, debounce_ms, throttle_ms, batch_max))

    def roles(self) -> list[str]:
        """The roles that it has functions for."""
        has = {"control": self.checks is not None, "observer": self.watches is not None, "worker": bool(self.methods)}
        return [role for role, there in has.items() if there]

    def run(self, task: Task) -> str:
        """Does a task by the function of its method, and gives the result as JSON text."""
        method = self.methods.get(task.method)
        if method is None:
            raise Failure(f"no method {task.method}; there are {', '.join(self.methods)}", code="unknown-method")
        return json.dumps(method.run(task.parameters, task))


def filter_of(event_types: Sequence[str], filter: Filter | None) -> Filter | None:
    if event_types and filter is not None:
        raise ValueError("give event types or a filter, not both: Filter(event_types=[…]) takes types too")
    return Filter(event_types=list(event_types)) if event_types else filter


def name_of(function: Any) -> str:
    return getattr(function, "__name__", repr(function))

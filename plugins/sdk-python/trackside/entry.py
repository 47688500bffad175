"""What the component exports: the contract's functions, each of which calls the author's. Not for authors; `trackside plugin build` names
this module to the toolchain, which imports it, and with it `plugin.py`, once while it builds."""

from __future__ import annotations

import importlib
import json
import os
import sys
import traceback
from types import SimpleNamespace
from typing import Any

import plugin as author
import wit_world.exports as exported
from componentize_py_types import Err
from wit_world.exports import description

from . import events, host, log
from .errors import Failure
from .host import optional_json
from .plugin import Plugin
from .signal import Signal
from .types import Context, Delivery, Origin, Point, Severity, Task

# Nothing can be imported any more once the component runs: all of it is taken now.
ROLES = [role for role in ("control", "observer", "worker") if hasattr(exported, role.capitalize())]
INTERFACES = ["events", "kv", "log", "schedule", "secrets", "settings", *(["progress"] if "worker" in ROLES else [])]
host.stand_behind(
    SimpleNamespace(**{name: importlib.import_module(f"wit_world.imports.{name}") for name in INTERFACES}),
    importlib.import_module("wit_world.imports.types"),
)
control, worker = (importlib.import_module(f"wit_world.exports.{role}") if role in ROLES else None for role in ("control", "worker"))

# Lines of a traceback that go into the log.
TRACEBACK_LINES = 12


def the_plugin() -> Plugin:
    found = [value for value in vars(author).values() if isinstance(value, Plugin)]
    if len(found) != 1:
        raise SystemExit(f"plugin.py has {len(found)} objects of the class Plugin; a component is made of exactly one")
    plugin = found[0]
    if ROLES != plugin.roles():
        raise SystemExit(
            f"pyproject.toml has roles = {ROLES} under [tool.trackside], and plugin.py has functions for {plugin.roles()}: make them the same"
        )
    return plugin


the = the_plugin()


class Description:
    def describe(self) -> Any:
        methods = [
            description.Method(method.name, method.summary, optional_json(method.parameters), optional_json(method.returns))
            for method in the.methods.values()
        ]
        return description.About(
            the.name,
            the.version,
            the.summary,
            events.to_wit(the.observes),
            events.to_wit(the.controls),
            the.priority,
            the.critical,
            the.memoryless,
            methods,
            [
                description.Trigger(
                    events.to_wit(trigger.filter), trigger.method, trigger.debounce_ms, trigger.throttle_ms, trigger.batch_max
                )
                for trigger in the.triggers
            ],
        )


class Control:
    def check(self, event: Any, context: Any) -> Any:
        told = Context(
            Point(context.point.value),
            context.attempt,
            context.now,
            context.elapsed_ms,
            context.remaining_ms,
            Origin(context.origin.value),
            context.principal,
        )
        try:
            return to_wit(the.checks(events.of_wit(event), told))
        except BaseException as error:
            tell(error)
            end(error)


class Observer:
    def observe(self, batch: Any, delivery: Any) -> None:
        told = Delivery(delivery.now, delivery.remaining_ms, delivery.attempt, delivery.replay, delivery.missed)
        try:
            the.watches([events.of_wit(event) for event in batch], told)
        except Exception as error:
            tell(error)
            raise Err(said(error)) from None


class Worker:
    def run(self, task: Any) -> str:
        told = Task(
            task.method,
            task.parameters,
            task.workflow_id,
            task.task_id,
            task.attempt,
            task.idempotency_key,
            task.correlation_id,
            task.timeout_ms,
            dict(task.metadata),
        )
        try:
            return the.run(told)
        except Failure as failure:
            raise Err(to_failure(failure)) from None
        except Exception as error:
            tell(error)
            raise Err(to_failure(Failure(said(error), code="exception"))) from None


def to_wit(signal: Signal) -> Any:
    if not isinstance(signal, Signal):
        raise TypeError(f"the control handler returned {signal!r}, which is no Signal")
    match signal.kind:
        case "proceed":
            return control.Signal_Proceed(None)
        case "amend":
            return control.Signal_Proceed(json.dumps(signal.value))
        case "skip":
            return control.Signal_Skip(signal.reason)
        case "retry":
            return control.Signal_Retry(control.Delay(signal.after_ms, signal.reason))
        case "fallback":
            return control.Signal_Fallback(control.Replacement(json.dumps(signal.value), signal.reason))
        case "fail":
            return control.Signal_Fail(signal.reason)
        case "error":
            return control.Signal_Error(signal.reason)
    raise TypeError(f"there is no signal {signal.kind!r}")


def to_failure(failure: Failure) -> Any:
    return worker.Failure(failure.message, failure.code, failure.retryable, failure.retry_after_ms, optional_json(failure.details))


def said(error: BaseException) -> str:
    return "".join(traceback.format_exception_only(error)).strip()


def end(error: BaseException) -> None:
    """Ends the call as a fault, which the operator's `on_fault` decides about: its message is the last line of standard error."""
    print(said(error), file=sys.stderr, flush=True)
    os._exit(1)


def tell(error: BaseException) -> None:
    """The end of the traceback, without the lines of this package, as one line of the log."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if "/trackside/" not in frame.filename]
    # The project's folder is `/0` in the component.
    lines = "".join(traceback.format_list(frames)).replace('File "/0/', 'File "').splitlines() + said(error).splitlines()
    log.write(Severity.ERROR, "\n".join(lines[-TRACEBACK_LINES:]))

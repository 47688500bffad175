"""What a Python author of a Trackside plugin imports: decorators for the three roles, the types that they speak of, and the host's
interfaces as modules.

A plugin is a module `plugin.py` with one `Plugin` in it::

    from trackside import Context, Event, Plugin, Signal

    plugin = Plugin("night-watch", summary="No deployments without an approval.")

    @plugin.control("deploy:requested")
    def check(event: Event, context: Context) -> Signal:
        if "approved_by" in event.payload:
            return Signal.proceed()
        return Signal.fail("a deployment needs an approval")

`trackside plugin build` makes a component of it. The host's interfaces are the modules `events`, `kv`, `log`, `progress`, `schedule`,
`secrets` and `settings`; what the operator did not grant raises a `Refused` that says so. `testing` stands in for a host in unit tests.
"""

from . import events, kv, log, progress, schedule, secrets, settings
from .errors import Failure, Refused
from .plugin import Filter, Plugin
from .signal import Signal
from .types import Context, Delivery, Draft, Event, Origin, Point, Severity, Task

__all__ = [
    "Context",
    "Delivery",
    "Draft",
    "Event",
    "Failure",
    "Filter",
    "Origin",
    "Plugin",
    "Point",
    "Refused",
    "Severity",
    "Signal",
    "Task",
    "events",
    "kv",
    "log",
    "progress",
    "schedule",
    "secrets",
    "settings",
]

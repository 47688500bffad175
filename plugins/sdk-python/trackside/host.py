"""The way to the host: the component's imports inside a component, the stand-in of `testing` inside a unit test, an error elsewhere. What the
interfaces mean is told by the modules that are named after them."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

from .errors import Refused

# What stands behind the interfaces: `entry` or `testing` says it. There is nothing to be imported any more while a component runs.
behind: Any = None
# The contract's types, in a component; a stand-in takes the author's.
types: Any = None


def interface(name: str) -> Any:
    """The functions of one of the host's interfaces."""
    if behind is None:
        raise RuntimeError("there is no host here: in a unit test, use `with trackside.testing.Host():`")
    found = getattr(behind, name, None)
    if found is None:
        raise RuntimeError(f"{name} is not among the imports of this plugin's roles")
    return found


def call(name: str, function: str, *arguments: Any) -> Any:
    """Calls a function of the host; what it refuses is raised as `Refused`."""
    called = getattr(interface(name), function)
    try:
        return called(*arguments)
    except Refused:
        raise
    except Exception as error:
        # The generated `Err` holds the contract's word.
        word = getattr(getattr(error, "value", None), "name", None)
        if word is None:
            raise
        raise Refused(f"{name}.{function}", word.lower().replace("_", "-")) from None


def severity(level: int) -> Any:
    """A severity as the host takes it."""
    return level if types is None else types.Severity(int(level))


def draft(given: Any) -> Any:
    """A draft as the host takes it."""
    if types is None:
        return given
    return types.Draft(
        given.event_type,
        severity(given.severity),
        json.dumps(given.payload),
        list(given.metadata.items()),
        given.cause,
        given.correlation_id,
        given.timestamp_ns,
        given.key,
    )


def optional_json(value: Any) -> str | None:
    """JSON text of what may be absent."""
    return None if value is None else json.dumps(value)


def stand_behind(interfaces: SimpleNamespace | None, wit_types: Any = None) -> None:
    """Says what stands behind the interfaces from now on."""
    global behind, types
    behind, types = interfaces, wit_types

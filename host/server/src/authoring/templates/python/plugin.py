"""`{{name}}`: an example to go on from. `trackside plugin dev` shows what becomes of every change.

What each part may do is told in `trackside/wit/deps/trackside-plugin-0.1.0/plugin.wit`, the author's manual. Import what you need up here: when
the component runs, there is nothing left to be imported.
"""

from trackside import {{imports}}

plugin = Plugin("{{name}}", version="0.1.0", summary="An example to go on from.")
# {{#control}}


@plugin.control("order:placed")  # patterns: `order:*` is every type of one more segment
def check(event: Event, context: Context) -> Signal:
    """Called before an event is appended, while its publisher waits. The chain of handlers ends at the first answer other than proceed."""
    most = settings.get("most", 500)  # what the operator wrote under [settings] of {{name}}.toml
    amount = event.payload["amount"]
    if amount > most:
        return Signal.fail(f"{amount} is more than the {most} that an order may cost")
    return Signal.proceed()
# {{/control}}
# {{#observer}}


@plugin.observer("order:**")
def observe(events: list[Event], delivery: Delivery) -> None:
    """Called with what is in the log already, in order. What it writes happens together with its place in the log: each event counts once."""
    for event in events:
        seen = kv.increment(event.event_type)
        log.info(f"{event.event_type} number {seen}", cause=event.event_id)
# {{/observer}}
# {{#worker}}


@plugin.method("{{name}}/greet", "Greets somebody.")
def greet(parameters: dict, task: Task) -> str:
    """Called with the parameters of a task; what it returns is the task's result. A failure says whether trying again may help."""
    if not parameters["name"]:
        raise Failure("nobody to greet", code="no-name")
    return f"{settings.get('greeting', 'Hello')}, {parameters['name']}!"
# {{/worker}}

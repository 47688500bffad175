/**
 * `{{name}}`: an example to go on from. `trackside plugin dev` shows what becomes of every change.
 *
 * What each part may do is told in `trackside/wit/deps/trackside-plugin-0.1.0/plugin.wit`, the author's manual. The roles stand in
 * package.json too.
 */

import { {{imports}} } from "./trackside/index.js";

export default plugin({
  name: "{{name}}",
  version: "0.1.0",
  summary: "An example to go on from.",
  // {{#control}}

  control: {
    // Patterns: `order:*` is every type of one more segment.
    events: ["order:placed"],
    /** Called before an event is appended, while its publisher waits. The chain of handlers ends at the first answer other than proceed. */
    check(event, context) {
      // What the operator wrote under [settings] of {{name}}.toml.
      const most = settings.get("most", 500);
      const { amount } = event.payload;
      if (amount > most) return Signal.fail(`${amount} is more than the ${most} that an order may cost`);
      return Signal.proceed();
    },
  },
  // {{/control}}
  // {{#observer}}

  observer: {
    events: ["order:**"],
    /** Called with what is in the log already, in order. What it writes happens together with its place in the log: each event counts once. */
    observe(events, delivery) {
      for (const event of events) {
        const seen = kv.increment(event.eventType);
        log.info(`${event.eventType} number ${seen}`, event.eventId);
      }
    },
  },
  // {{/observer}}
  // {{#worker}}

  methods: {
    "{{name}}/greet": {
      summary: "Greets somebody.",
      /** Called with the parameters of a task; what it returns is the task's result. A failure says whether trying again may help. */
      run({ name }, task) {
        if (!name) throw new Failure("nobody to greet", { code: "no-name" });
        return `${settings.get("greeting", "Hello")}, ${name}!`;
      },
    },
  },
  // {{/worker}}
});

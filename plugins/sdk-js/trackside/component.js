/**
 * What the component exports: the contract's functions, each of which calls the author's. Not for authors; the entry that
 * `trackside plugin build` writes hands over the author's plugin, the roles of package.json and the component's imports.
 */

import { Failure } from "./errors.js";
import { log, standBehind } from "./host.js";
import { filterToWit, fromEvent, fromTask, fromTerms, signalToWit, text } from "./wit.js";

/** Lines of a stack that go into the log. */
const STACK_LINES = 12;

const orNull = (value) => (value === undefined ? null : value);

/** The exports of the component. */
export function component(author, roles, imports) {
  check(author, roles);
  standBehind(imports);
  globalThis.console ??= consoleOf(log);
  return {
    description: { describe: () => about(author) },
    control: {
      check(event, context) {
        try {
          return signalToWit(author.control.check(fromEvent(event), fromTerms(context)));
        } catch (error) {
          tell(error);
          // It goes on: it ends the call as a fault, which the operator's `on_fault` decides about.
          throw error;
        }
      },
    },
    observer: {
      observe(batch, delivery) {
        try {
          refusePromise(author.observer.observe(batch.map(fromEvent), fromTerms(delivery)));
        } catch (error) {
          tell(error);
          throw said(error);
        }
      },
    },
    worker: {
      run(task) {
        try {
          return run(author, fromTask(task));
        } catch (error) {
          if (!(error instanceof Failure)) tell(error);
          throw failure(error);
        }
      },
    },
  };
}

function check(author, roles) {
  if (author === null || typeof author !== "object" || typeof author.name !== "string") {
    throw new TypeError("the main module has no `export default plugin({ … })`");
  }
  const has = { control: author.control, observer: author.observer, worker: Object.keys(author.methods ?? {}).length > 0 };
  const given = Object.keys(has).filter((role) => has[role]);
  if ([...roles].sort().join() !== given.sort().join()) {
    throw new TypeError(
      `package.json has roles [${roles}] under "trackside", and the plugin has functions for [${given}]: make them the same`,
    );
  }
}

/** `events` of a role is short for a filter by type. */
const filterOf = (role) => filterToWit(role && (role.filter ?? (role.events && { eventTypes: role.events })));

function about(author) {
  const schema = (value) => (value === undefined ? null : JSON.stringify(value));
  return {
    name: author.name,
    version: author.version,
    summary: author.summary,
    observes: filterOf(author.observer),
    controls: filterOf(author.control),
    priority: orNull(author.priority),
    critical: author.critical,
    memoryless: author.memoryless,
    methods: Object.entries(author.methods).map(([name, method]) => ({
      name,
      summary: method.summary ?? "",
      parameters: schema(method.parameters),
      returns: schema(method.returns),
    })),
    triggers: author.triggers.map((trigger) => ({
      filter: filterOf(trigger) ?? filterToWit({}),
      method: trigger.method,
      debounceMs: orNull(trigger.debounceMs),
      throttleMs: orNull(trigger.throttleMs),
      batchMax: orNull(trigger.batchMax),
    })),
  };
}

function run(author, task) {
  const method = author.methods[task.method];
  if (method === undefined) {
    throw new Failure(`no method ${task.method}; there are ${Object.keys(author.methods).join(", ")}`, { code: "unknown-method" });
  }
  const result = method.run(JSON.parse(task.parametersText), task);
  refusePromise(result);
  return text(result === undefined ? null : result);
}

function refusePromise(value) {
  if (value && typeof value.then === "function") throw new TypeError("a handler returned a promise; handlers are not async");
}

function failure(error) {
  const failed = error instanceof Failure ? error : new Failure(said(error), { code: "exception" });
  return {
    message: failed.message,
    code: orNull(failed.code),
    retryable: failed.retryable,
    retryAfterMs: orNull(failed.retryAfterMs),
    details: failed.details === undefined ? null : JSON.stringify(failed.details),
  };
}

const said = (error) => (error instanceof Error ? `${error.name}: ${error.message}` : String(error));

/** The error and where it came from, without the lines of this folder, as one line of the log. */
function tell(error) {
  const stack = error instanceof Error && error.stack ? error.stack.split("\n") : [];
  const lines = stack.filter((line) => line.trim() !== "" && !line.includes("/trackside/")).map((line) => line.replace("(/", "("));
  log.error([said(error), ...lines].slice(0, STACK_LINES).join("\n"));
}

/** A console that writes into the host's log. */
function consoleOf(lines) {
  const shown = (value) => (typeof value === "string" ? value : JSON.stringify(value) ?? String(value));
  const write = (level) => (...values) => lines[level](values.map(shown).join(" "));
  return { debug: write("debug"), log: write("info"), info: write("info"), warn: write("warning"), error: write("error") };
}

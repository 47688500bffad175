/**
 * What a JavaScript author of a Trackside plugin imports: `plugin` for the roles, `Signal` and `Failure` for their answers, and the host's
 * interfaces as objects. The types are told in `index.d.ts`; `testing.js` stands in for a host in unit tests.
 */

export { Failure, Refused } from "./errors.js";
export { events, kv, log, progress, schedule, secrets, settings } from "./host.js";
export { Signal } from "./signal.js";

/** A plugin: the default export of the project's main module. Gives what it was given, checked. */
export function plugin(definition) {
  const known = ["name", "version", "summary", "priority", "critical", "memoryless", "control", "observer", "methods", "triggers"];
  const unknown = Object.keys(definition).find((key) => !known.includes(key));
  if (unknown !== undefined) throw new TypeError(`plugin: unknown key '${unknown}'; known are ${known.join(", ")}`);
  if (typeof definition.name !== "string") throw new TypeError("plugin: it needs a name");
  const functions = [
    ["control.check", definition.control && definition.control.check],
    ["observer.observe", definition.observer && definition.observer.observe],
    ...Object.entries(definition.methods ?? {}).map(([name, method]) => [`methods["${name}"].run`, method.run]),
  ];
  for (const [where, given] of functions) {
    const part = where.split(".")[0].split("[")[0];
    if (definition[part] && typeof given !== "function") throw new TypeError(`plugin: ${where} is no function`);
  }
  return Object.freeze({ version: "", summary: "", critical: false, memoryless: false, methods: {}, triggers: [], ...definition });
}

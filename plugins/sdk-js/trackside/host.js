/**
 * The host's interfaces, as an author calls them. Behind them stand the component's imports, or the stand-in of `testing.js`; anywhere else
 * a call is an error. Every function throws `Refused` where the host says no.
 */

import { Refused } from "./errors.js";
import { filterToWit, fromEvent } from "./wit.js";

let host = null;

/** Says what stands behind the interfaces, and gives what stood there. */
export function standBehind(interfaces) {
  const before = host;
  host = interfaces;
  return before;
}

function call(name, functionName, ...given) {
  if (host === null) throw new Error(`there is no host here: in a unit test, use withHost of testing.js`);
  if (host[name] === undefined) throw new Error(`${name} is not among the imports of this plugin's roles`);
  try {
    return host[name][functionName](...given);
  } catch (error) {
    const reason = refusal(error);
    throw reason === null ? error : new Refused(`${name}.${functionName}`, reason);
  }
}

/** The word of the contract, if that is what was thrown. */
function refusal(error) {
  if (typeof error === "string") return error;
  return error !== null && typeof error === "object" && typeof error.payload === "string" ? error.payload : null;
}

const bytes = (value) => (typeof value === "string" ? encode(value) : value);
const orNull = (value) => (value === undefined ? null : value);
const optionalBytes = (value) => (value === undefined || value === null ? null : bytes(value));
const json = (value) => (value === undefined ? null : JSON.stringify(value));

/** A draft as the contract has it. */
function draft({ eventType, payload = {}, severity = "info", metadata = {}, cause, correlationId, timestampMs, key }) {
  return {
    eventType,
    severity,
    payload: JSON.stringify(payload),
    metadata: Object.entries(metadata),
    cause: orNull(cause),
    correlationId: orNull(correlationId),
    timestamp: timestampMs === undefined ? null : Math.round(timestampMs * 1e6),
    key: orNull(key),
  };
}

const line = (level) => (message, cause) => void call("log", "log", level, String(message), orNull(cause));

/** Lines in the host's log. `cause` is an event of the batch, by its id, if the line is not about the last. */
export const log = Object.freeze({
  debug: line("debug"),
  info: line("info"),
  warning: line("warning"),
  error: line("error"),
  critical: line("critical"),
});

/** What the operator wrote under `[settings]`. */
export const settings = Object.freeze({
  get(name, otherwise) {
    const text = call("settings", "get", name);
    return text === null || text === undefined ? otherwise : JSON.parse(text);
  },
  all: () => JSON.parse(call("settings", "all")),
});

/** The plugin's own durable key-value space. */
export const kv = Object.freeze({
  get(key) {
    const value = call("kv", "get", key);
    return value === null || value === undefined ? null : Uint8Array.from(value);
  },
  getText(key) {
    const value = kv.get(key);
    return value === null ? null : decode(value);
  },
  set: (key, value, ttlMs) => void call("kv", "set", key, bytes(value), orNull(ttlMs)),
  delete: (key) => call("kv", "delete", key),
  increment: (key, by = 1, ttlMs) => Number(call("kv", "increment", key, by, orNull(ttlMs))),
  compareAndSwap: (key, expected, value, ttlMs) =>
    void call("kv", "compareAndSwap", key, optionalBytes(expected), optionalBytes(value), orNull(ttlMs)),
  keys: (prefix = "", after, limit = 1000) => [...call("kv", "keys", prefix, orNull(after), limit)],
});

/** The bus. Publishes happen if the call returns without a fault. */
export const events = Object.freeze({
  publish: (given) => call("events", "publish", draft(given)),
  raise: (message, details, cause) => void call("events", "raise", message, json(details), orNull(cause)),
  query(filter, after, limit = 100) {
    const page = call("events", "query", filterToWit(filter), orNull(after), limit);
    return { events: page.events.map(fromEvent), next: page.next === null || page.next === undefined ? null : Number(page.next) };
  },
});

/** Events in the future, durable. */
export const schedule = Object.freeze({
  at: (whenMs, given) => call("schedule", "at", Math.round(whenMs * 1e6), draft(given)),
  after: (delayMs, given) => call("schedule", "after", delayMs, draft(given)),
  cancel: (id) => call("schedule", "cancel", id),
});

/** For workers, about the attempt at hand. */
export const progress = Object.freeze({
  report: (fraction, chunk) => void call("progress", "report", orNull(fraction), json(chunk)),
  cancelled: () => call("progress", "cancelled"),
});

/** Secrets by reference: a plugin never sees one. */
export const secrets = Object.freeze({
  placeholder: (name) => call("secrets", "placeholder", name),
  hmac: (name, message) => Uint8Array.from(call("secrets", "hmac", name, bytes(message))),
});

/** UTF-8, for engines without TextEncoder. */
function encode(text) {
  const escaped = encodeURIComponent(text);
  const out = [];
  for (let at = 0; at < escaped.length; at += 1) {
    if (escaped[at] === "%") {
      out.push(parseInt(escaped.slice(at + 1, at + 3), 16));
      at += 2;
    } else {
      out.push(escaped.charCodeAt(at));
    }
  }
  return Uint8Array.from(out);
}

function decode(value) {
  let escaped = "";
  for (const byte of value) escaped += `%${byte.toString(16).padStart(2, "0")}`;
  try {
    return decodeURIComponent(escaped);
  } catch {
    return String.fromCharCode(...value);
  }
}

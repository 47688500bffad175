/** Between the contract's records and what authors are handed. Times are milliseconds since 1970, with fractions. */

const orNull = (value) => (value === undefined ? null : value);

/** An event; its payload is parsed when it is first asked for. */
class Event {
  #payload;

  constructor(fields) {
    Object.assign(this, fields);
  }

  get payload() {
    if (this.#payload === undefined) this.#payload = JSON.parse(this.payloadText);
    return this.#payload;
  }
}

/** An event as an author gets it. */
export function fromEvent(event) {
  const { payload, timestamp, recordedAt, sequenceNumber, metadata, ...same } = event;
  return new Event({
    ...same,
    sequenceNumber: Number(sequenceNumber),
    timestampMs: Number(timestamp) / 1e6,
    recordedAtMs: Number(recordedAt) / 1e6,
    metadata: Object.fromEntries(metadata),
    payloadText: payload,
  });
}

/** An event for unit tests. */
export function testEvent(eventType, payload = {}, fields = {}) {
  return new Event({
    eventId: "00000000-0000-7000-8000-000000000000",
    eventType,
    sequenceNumber: 0,
    part: 0,
    timestampMs: 0,
    recordedAtMs: 0,
    sourceComponent: "test",
    correlationId: "test",
    causationId: null,
    workflowId: null,
    taskId: null,
    providerId: null,
    severity: "info",
    metadata: {},
    payloadText: JSON.stringify(payload),
    ...fields,
  });
}

/** A context, or a delivery, as an author gets it. */
export function fromTerms({ now, elapsedMs, remainingMs, ...same }) {
  const elapsed = elapsedMs === undefined ? {} : { elapsedMs: Number(elapsedMs) };
  return { ...same, ...elapsed, nowMs: Number(now) / 1e6, remainingMs: Number(remainingMs) };
}

/** A task as an author gets it. */
export function fromTask({ parameters, timeoutMs, metadata, ...same }) {
  return { ...same, timeoutMs: Number(timeoutMs), metadata: Object.fromEntries(metadata), parametersText: parameters };
}

/** A filter as the contract has it: given whole, or by types alone. */
export function filterToWit(filter) {
  if (filter === undefined || filter === null) return null;
  return {
    eventTypes: orNull(filter.eventTypes),
    minSeverity: orNull(filter.minSeverity),
    sourceComponents: orNull(filter.sourceComponents),
    correlationIds: orNull(filter.correlationIds),
    workflowIds: orNull(filter.workflowIds),
    taskIds: orNull(filter.taskIds),
    providerIds: orNull(filter.providerIds),
    when: orNull(filter.when),
  };
}

/** A signal as the contract has it. */
export function signalToWit(signal) {
  switch (signal && signal.kind) {
    case "proceed":
      return { tag: "proceed", val: null };
    case "amend":
      return { tag: "proceed", val: text(signal.value) };
    case "skip":
    case "fail":
    case "error":
      return { tag: signal.kind, val: String(signal.reason) };
    case "retry":
      return { tag: "retry", val: { afterMs: orNull(signal.afterMs), reason: String(signal.reason) } };
    case "fallback":
      return { tag: "fallback", val: { value: text(signal.value), reason: String(signal.reason) } };
    default:
      throw new TypeError(`the control handler returned ${show(signal)}, which is no Signal`);
  }
}

/** JSON text of a value that an answer holds. */
export function text(value) {
  const json = JSON.stringify(value);
  if (json === undefined) throw new TypeError(`${show(value)} has no JSON form`);
  return json;
}

function show(value) {
  if (value && typeof value.then === "function") return "a promise (handlers are not async)";
  try {
    return JSON.stringify(value) ?? String(value);
  } catch {
    return String(value);
  }
}

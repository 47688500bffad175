/**
 * Why an attempt at a task failed: throw it in a method. Any other error is a failure too, one that trying again would not help.
 * `code` lets retry policies and breakers tell failures apart, for example `rate-limited`; `details` is any JSON value, for machines.
 */
export class Failure extends Error {
  constructor(message, { code, retryable = false, retryAfterMs, details } = {}) {
    super(message);
    this.name = "Failure";
    Object.assign(this, { code, retryable, retryAfterMs, details });
  }
}

/** The host did not do what was asked. `reason` is the contract's word for it, such as `not-granted` or `conflict`. */
export class Refused extends Error {
  constructor(call, reason) {
    super(`${call}: ${reason}${reason === "not-granted" ? "; see [grants] in the plugin's settings file" : ""}`);
    this.name = "Refused";
    Object.assign(this, { call, reason });
  }
}

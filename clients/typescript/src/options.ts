/** What a poller is made with, and the rules for it. */

import type { BreakerOptions } from "./breaker.js";
import { InvalidRequest } from "./errors.js";
import type { Handlers } from "./execution.js";
import type { PollerState } from "./state.js";
import type { ResultStore } from "./store.js";

export interface PollerOptions {
  /** Task type -> the function that does it. */
  readonly handlers: Handlers;
  /** Who this is: one name for one running worker. Made when absent; give one that stays when there is a store. */
  readonly workerId?: string;
  /** Only these of the handlers' types. All. */
  readonly types?: readonly string[];
  /** Tasks at once. 1. */
  readonly concurrency?: number;
  /** How long one question for tasks stays open: 0 to 25. 25. */
  readonly waitSeconds?: number;
  /** How long this worker may be silent; left out: as the server and the task want it. */
  readonly leaseSeconds?: number;
  /** Where outcomes wait while the server is away. Memory: then they outlive an outage, but not this program. */
  readonly store?: ResultStore;
  /** How long a handler that was told to stop is waited for; then its run is given up, whatever it does. 10. */
  readonly handlerGraceSeconds?: number;
  readonly breaker?: BreakerOptions;
  /** What kind of worker this is, for the list of workers. "http". */
  readonly kind?: string;
  /** Its version and machine, for the same list. This package's; not told. */
  readonly version?: string;
  readonly host?: string;
  readonly labels?: Readonly<Record<string, string>>;
  /** Called with the state after a change; once for all that changes in one go. */
  readonly onState?: (state: PollerState) => void;
  /** Called with what went wrong and is not the server's absence: a refusal, a store that fails, a throwing onState. */
  readonly onError?: (error: unknown) => void;
}

export interface StopOptions {
  /** How long running handlers may go on. 30. */
  readonly graceSeconds?: number;
}

/** `options` unchanged. Throws InvalidRequest with the field and its rule. */
export function checked(options: PollerOptions): PollerOptions {
  const types = options.types ?? Object.keys(options.handlers);
  demand(types.length > 0 && types.length <= 100, "handlers", "1 to 100 types");
  const missing = types.filter((type) => typeof options.handlers[type] !== "function");
  demand(missing.length === 0, "types", `a handler for each, and there is none for ${missing.join(", ")}`);
  demandNumber(options.concurrency, "concurrency", 1, 100, true);
  demandNumber(options.waitSeconds, "waitSeconds", 0, 25, false);
  demandNumber(options.leaseSeconds, "leaseSeconds", 1, 86_400, true);
  demandNumber(options.handlerGraceSeconds, "handlerGraceSeconds", 0, 86_400, false);
  return options;
}

function demandNumber(value: number | undefined, field: string, least: number, most: number, isWhole: boolean): void {
  const isGood = value === undefined || (value >= least && value <= most && (!isWhole || Number.isInteger(value)));
  demand(isGood, field, `${isWhole ? "a whole number" : "a number"} from ${least} to ${most}`);
}

function demand(isGood: boolean, field: string, rule: string): void {
  if (!isGood) throw new InvalidRequest(`${field} must be ${rule}`, { details: { field, rule } });
}

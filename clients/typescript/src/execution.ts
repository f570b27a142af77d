/** One run of one task: find the handler, call it, check what it gave. Nothing a handler does ends the poller. */

import type { TaskContext } from "./context.js";
import { InvalidRequest } from "./errors.js";
import { Cancelled, GiveUp, Retry, Snooze, type StopReason } from "./fates.js";
import { isObject, toJson, wellFormed, type Json, type JsonObject } from "./json.js";
import type { StoredResult } from "./store.js";

/** Does the work; what it returns is the result (JSON; nothing is null), what it throws fails the attempt. */
export type Handler = (data: JsonObject, context: TaskContext) => unknown;
export type Handlers = Readonly<Record<string, Handler>>;

/** What is to be said about the task. */
export type Outcome = Pick<StoredResult, "verb" | "body">;

const MAX_MESSAGE_CHARS = 2000;

export async function execute(handlers: Handlers, context: TaskContext, data: JsonObject): Promise<Outcome> {
  const handler = Object.hasOwn(handlers, context.type) ? handlers[context.type] : undefined;
  if (!handler) return failure(`this worker has no handler for ${context.type}`, { retryable: false });
  try {
    return success(await handler(data, context));
  } catch (error) {
    return outcomeOf(error);
  }
}

function success(value: unknown): Outcome {
  try {
    return { verb: "complete", body: { data: JSON.parse(toJson(value, "the handler's result")) as Json } };
  } catch (error) {
    if (!(error instanceof InvalidRequest)) throw error;
    return failure(error.message, { retryable: false });
  }
}

function outcomeOf(error: unknown): Outcome {
  if (error instanceof Snooze) return release(error.message, error.delaySeconds);
  if (error instanceof Retry) return failure(error.message, { retry_after: error.afterSeconds });
  if (error instanceof GiveUp) return failure(error.message || "GiveUp", { retryable: false });
  if (error instanceof Cancelled) return failure(error.message);
  return failure(readable(error));
}

export function failure(message: string, more: JsonObject = {}): Outcome {
  return { verb: "fail", body: { error_message: cut(message, MAX_MESSAGE_CHARS), ...more } };
}

export function release(reason: string, delay = 0): Outcome {
  return { verb: "release", body: { delay, reason: cut(reason, 1000) } };
}

/**
 * What is said of a run that was to stop; null: nothing. `outcome` is what its handler gave, null if it did not end.
 *
 * cancelled: it lets go, whatever it gave. lease_lost: nobody wants to know. timeout: it failed. shutdown: what it gave
 * if that was done, else the task is given back and costs no attempt.
 */
export function afterStop(reason: StopReason, outcome: Outcome | null): Outcome | null {
  if (reason === "lease_lost") return null;
  if (reason === "cancelled") return release("cancelled");
  if (reason === "timeout") return failure("timeout: the attempt took longer than it may");
  return outcome?.verb === "complete" ? outcome : release("the worker stops");
}

/** `TypeError: what it says`. */
function readable(error: unknown): string {
  if (error instanceof Error) return error.message ? `${error.name}: ${error.message}` : error.name;
  return isObject(error) ? Object.prototype.toString.call(error) : String(error);
}

/** At most `chars` of `text`, without half characters. */
function cut(text: string, chars: number): string {
  return wellFormed(text.length <= chars ? text : `${text.slice(0, chars - 1)}…`);
}

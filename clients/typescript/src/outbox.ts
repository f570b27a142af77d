/**
 * What is to be said about tasks, said once: every outcome is written down, sent until the server has taken or refused
 * it, and crossed out. A task in hand stands there too, as given back: that is what a worker that died would say. It
 * says so once, and a mark of it stays in the store: a task that is in hand again when its worker dies again is left to
 * its lease, and the server counts it.
 */

import { Bell } from "./bell.js";
import type { CircuitBreaker } from "./breaker.js";
import type { TaskspoolClient } from "./client.js";
import { Conflict, InvalidRequest, NotFound, StoreUnavailable, TaskCancelled } from "./errors.js";
import type { ResultStore, StoredResult } from "./store.js";

/** How often the server may break on one result before it is told as a failure. */
const MAX_FAULTS = 5;
/** How many marks are kept; the oldest go first. */
const MAX_MARKS = 100;

/** What became of a result: taken; dropped, because the task is not ours any more; kept, because time was up. */
export type Delivery = "taken" | "dropped" | "kept";

export interface OutboxParts {
  readonly client: TaskspoolClient;
  readonly breaker: CircuitBreaker;
  readonly store: ResultStore;
  /** Ends all sending; what was not taken stays in the store. */
  readonly signal: AbortSignal;
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
}

export class Outbox {
  readonly #parts: OutboxParts;
  readonly #entries = new Map<string, StoredResult>();
  readonly #emptied = new Bell();
  /** Marks of the tasks that were given back because a worker before this one died, by their ids. */
  readonly #givenBack = new Map<string, StoredResult>();
  #isSaving = false;
  #saved: Promise<void> = Promise.resolve();

  constructor(parts: OutboxParts) {
    this.#parts = parts;
  }

  /** Results that wait to be taken; tasks in hand are none. */
  get waiting(): readonly StoredResult[] {
    return [...this.#entries.values()].filter((each) => !each.is_running);
  }

  /** What a worker before this one left: it is sent as soon as the server can be reached. */
  async load(): Promise<void> {
    for (const { is_running, is_again, is_mark, ...left } of await this.#parts.store.load()) {
      if (is_again) this.#givenBack.delete(left.task_id);
      if (is_again || this.#entries.has(left.lease_token)) continue;
      if (is_running || is_mark) this.#mark(left);
      if (!is_mark) void this.deliver(left);
    }
    await this.#save();
  }

  /** The task is in hand from here on. */
  async hold(taskId: string, leaseToken: string): Promise<void> {
    const body = { reason: "its worker was killed, or put to sleep" };
    const again = this.#givenBack.has(taskId) ? { is_again: true } : {};
    this.#entries.set(leaseToken, { task_id: taskId, lease_token: leaseToken, verb: "release", body, is_running: true,
                                    ...again });
    await this.#save();
  }

  /** There is nothing to be said about the task, or all is said. Its mark goes too, unless it was given back. */
  async forget(leaseToken: string): Promise<void> {
    const entry = this.#entries.get(leaseToken);
    if (!entry) return;
    this.#entries.delete(leaseToken);
    if (entry.is_running || entry.verb !== "release") this.#givenBack.delete(entry.task_id);
    if (this.waiting.length === 0) this.#emptied.ring();
    await this.#save();
  }

  /** Write `result` down; `deliver` sends it. */
  async write(result: StoredResult): Promise<void> {
    this.#entries.set(result.lease_token, result);
    await this.#save();
  }

  /** Write `result` down and send it until the server has taken or refused it, or the end. */
  async deliver(result: StoredResult): Promise<Delivery> {
    await this.write(result);
    let said = result;
    for (let faults = 0; ; ) {
      try {
        await this.#parts.breaker.run(() => this.#send(said), this.#parts.signal);
        await this.forget(result.lease_token);
        return "taken";
      } catch (error) {
        if (this.#parts.signal.aborted) return "kept";
        if (error instanceof StoreUnavailable) continue; // the breaker knows how long to wait
        faults += 1;
        if (await this.#mayGoOn(error, faults)) continue;
        const next = insteadOf(said, error);
        if (error instanceof NotFound) this.#givenBack.delete(said.task_id); // nobody can have it in hand again
        if (next === null) return this.#dropped(said);
        [said, faults] = [next, 0];
      }
    }
  }

  /** Whether the server broke on it, and may take it yet. */
  async #mayGoOn(error: unknown, faults: number): Promise<boolean> {
    if (error instanceof Conflict || error instanceof NotFound) return false;
    this.#parts.onError(error);
    if (error instanceof InvalidRequest || faults >= MAX_FAULTS) return false;
    const { clock } = this.#parts.client.connection;
    await clock.wait(faults, this.#parts.signal);
    return true;
  }

  /** Until nothing waits any more, or `seconds`. */
  async drain(seconds: number): Promise<void> {
    const { clock } = this.#parts.client.connection;
    const endsAt = clock.seconds() + seconds;
    while (this.waiting.length > 0 && clock.seconds() < endsAt) {
      await this.#emptied.wait(clock, endsAt - clock.seconds());
    }
    await this.#saved;
  }

  #mark(left: StoredResult): void {
    this.#givenBack.set(left.task_id, { ...left, is_mark: true });
    const [oldest] = this.#givenBack.keys();
    if (this.#givenBack.size > MAX_MARKS && oldest !== undefined) this.#givenBack.delete(oldest);
  }

  async #dropped(said: StoredResult): Promise<Delivery> {
    await this.forget(said.lease_token);
    return "dropped";
  }

  async #send(said: StoredResult): Promise<void> {
    const { client, signal } = this.#parts;
    const how = { retries: 0, signal };
    const token = { lease_token: said.lease_token };
    if (said.checkpoint !== undefined && said.verb !== "complete") {
      await client.heartbeat(said.task_id, { ...token, checkpoint: said.checkpoint }, how);
    }
    await client[said.verb](said.task_id, { ...said.body, ...token }, how);
  }

  /** One `save` at a time, of what there is when it begins. A store that fails costs only what a restart would. */
  async #save(): Promise<void> {
    this.#parts.onChange();
    if (!this.#isSaving) {
      this.#isSaving = true;
      this.#saved = this.#saved.then(async () => {
        this.#isSaving = false;
        await this.#parts.store.save([...this.#givenBack.values(), ...this.#entries.values()]);
      }).catch((error: unknown) => this.#parts.onError(error));
    }
    await this.#saved;
  }
}

/**
 * What is said when the server will not have `said`: of a task that is to be cancelled, that we let go; of one that is
 * not ours any more, nothing; else that it failed, then that it is given back, then nothing.
 */
function insteadOf(said: StoredResult, error: unknown): StoredResult | null {
  const { checkpoint: _, ...rest } = said;
  const isToBeCancelled = error instanceof TaskCancelled;
  if (isToBeCancelled && said.verb !== "release") return { ...rest, verb: "release", body: { reason: "cancelled" } };
  if (error instanceof Conflict || error instanceof NotFound) return null;
  if (said.checkpoint !== undefined && said.verb !== "complete") return rest;
  const why = error instanceof Error ? error.message : String(error);
  if (said.verb === "complete") {
    const retryable = !(error instanceof InvalidRequest);
    const body = { error_message: `the handler's result was refused: ${why}`.slice(0, 2000), retryable };
    return { ...rest, verb: "fail", body };
  }
  if (said.verb === "fail") return { ...rest, verb: "release", body: { reason: "its failure could not be told" } };
  return null;
}

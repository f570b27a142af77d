/** The tasks in hand: each is begun, watched, ended once, and said of what came of it. */

import { Bell } from "./bell.js";
import type { TaskspoolClient } from "./client.js";
import { TaskContext } from "./context.js";
import { afterStop, execute, type Handlers, type Outcome } from "./execution.js";
import { HeldTask } from "./held.js";
import type { Outbox } from "./outbox.js";
import type { StoredResult } from "./store.js";
import type { ClaimedTask } from "./types.js";

/** How long the last lines of a log may hold up the result. */
const LOG_CLOSE_SECONDS = 10;
/** How long a handler is waited for when the whole worker stops: its own grace is over then. */
const LEAVING_SECONDS = 1;

export interface RunsParts {
  readonly client: TaskspoolClient;
  readonly outbox: Outbox;
  readonly handlers: Handlers;
  readonly workerId: string;
  /** How long a handler that was told to stop is waited for. */
  readonly graceSeconds: number;
  /** There is progress to tell, or another task in hand. */
  readonly onNews: (isNews: boolean) => void;
  readonly onChange: () => void;
  readonly onError: (error: unknown) => void;
}

export class Runs {
  /** Results of this life that the server has taken. */
  done = 0;
  failed = 0;
  readonly #parts: RunsParts;
  readonly #held = new Set<HeldTask>();
  readonly #emptied = new Bell();
  readonly #leaving = new AbortController();

  constructor(parts: RunsParts) {
    this.#parts = parts;
  }

  /** How many hands are full: also of tasks whose outcome the server has not taken yet. */
  get count(): number {
    return this.#held.size;
  }

  /** Those whose handler runs. */
  get running(): readonly HeldTask[] {
    return [...this.#held].filter((held) => !held.isOver);
  }

  /** Those whose lease is to be kept; the outbox keeps those of what is over. */
  get beating(): readonly HeldTask[] {
    return this.running.filter(({ stopReason }) => stopReason !== "lease_lost" && stopReason !== "timeout");
  }

  /** The task is in hand from here on, until the server has taken what came of it. `seconds` until it must be over. */
  begin(task: ClaimedTask, seconds: number | undefined): void {
    const { client } = this.#parts;
    const { clock, random } = client.connection;
    const held: HeldTask = new HeldTask(task, async (lines, offset) => {
      const body = { lease_token: task.lease.token, offset, lines };
      const heard = await client.appendLog(task.task_id, body, { retries: 0 });
      if (heard.cancel_requested) held.stop("cancelled");
      return heard.next_offset;
    }, clock, random);
    this.#held.add(held);
    this.#parts.onNews(false);
    this.#parts.onChange();
    void this.#whole(held, seconds).catch(this.#parts.onError).finally(() => this.#putDown(held));
  }

  /** The worker stops: every handler is told, and given up a moment later. */
  async stopAll(): Promise<void> {
    for (const held of this.running) held.stop("shutdown");
    this.#parts.onChange();
    const { clock } = this.#parts.client.connection;
    const endsAt = clock.seconds() + LEAVING_SECONDS;
    await this.whenIdle(() => endsAt);
    this.#leaving.abort();
  }

  /** Until no handler runs, or `until()` (seconds of the clock) is over; asked again after `wake`. */
  whenIdle(until: () => number): Promise<void> {
    return this.#when(() => this.running.length === 0, until);
  }

  /** Until the last outcome is counted, or `until()` is over. */
  whenCounted(until: () => number): Promise<void> {
    return this.#when(() => this.count === 0, until);
  }

  async #when(isSo: () => boolean, until: () => number): Promise<void> {
    const { clock } = this.#parts.client.connection;
    while (!isSo() && clock.seconds() < until()) await this.#emptied.wait(clock, until() - clock.seconds());
  }

  /** Whoever waits for the end of what runs asks again how long to wait. */
  wake(): void {
    this.#emptied.ring();
  }

  #putDown(held: HeldTask): void {
    this.#held.delete(held);
    this.#emptied.ring();
    this.#parts.onNews(false);
    this.#parts.onChange();
  }

  async #whole(held: HeldTask, seconds: number | undefined): Promise<void> {
    const { outbox } = this.#parts;
    await outbox.hold(held.id, held.token);
    const outcome = await this.#outcome(held, seconds);
    const reason = held.stopReason;
    const said = reason === null ? outcome : afterStop(reason, outcome);
    const result = said === null ? null : this.#result(held, said);
    if (result !== null) void outbox.write(result); // it is safe from here on; the log's last lines go before it
    held.isOver = true;
    this.#emptied.ring();
    await held.log.close(LOG_CLOSE_SECONDS);
    if (said === null || result === null) return outbox.forget(held.token);
    const delivery = await outbox.deliver(result);
    if (delivery !== "taken" || said.verb === "release") return;
    if (said.verb === "complete") this.done += 1;
    else this.failed += 1;
  }

  /** What the handler gave; null when it was told to stop and did not end within the grace. */
  async #outcome(held: HeldTask, seconds: number | undefined): Promise<Outcome | null> {
    const { client, handlers, workerId, onNews } = this.#parts;
    const { clock } = client.connection;
    const over = new AbortController();
    const context = new TaskContext(held, client, workerId, () => onNews(true));
    const late = seconds === undefined ? null : clock.wait(seconds, over.signal).then(() => {
      if (!over.signal.aborted) held.stop("timeout");
    });
    try {
      return await Promise.race([execute(handlers, context, held.task.data), this.#givenUp(held, over.signal)]);
    } finally {
      over.abort();
      await late;
    }
  }

  /** Null, when the run was told to stop and a grace has passed since. */
  async #givenUp(held: HeldTask, over: AbortSignal): Promise<null> {
    await aborted(held.signal, over);
    this.#parts.onChange();
    const { clock } = this.#parts.client.connection;
    await Promise.race([clock.wait(this.#parts.graceSeconds, over), aborted(this.#leaving.signal, over)]);
    return null;
  }

  #result(held: HeldTask, said: Outcome): StoredResult {
    const kept = held.checkpoint === undefined ? {} : { checkpoint: held.checkpoint };
    return { ...said, task_id: held.id, lease_token: held.token, ...kept };
  }
}

/** Resolves when one of `signals` is aborted. */
function aborted(...signals: readonly AbortSignal[]): Promise<void> {
  return new Promise((resolve) => {
    for (const signal of signals) {
      if (signal.aborted) resolve();
      else signal.addEventListener("abort", () => resolve(), { once: true });
    }
  });
}

/** Asking for tasks: one question at a time, repeated under its own name until it is answered. */

import type { CircuitBreaker } from "./breaker.js";
import type { TaskspoolClient } from "./client.js";
import { newId } from "./clock.js";
import type { ClaimedTask, ClaimRequest, Order } from "./types.js";

/** How long the last word of a question that was broken off is waited for. */
const SETTLE_SECONDS = 5;

export interface Given {
  readonly tasks: readonly ClaimedTask[];
  /** Seconds until the attempt must be over, by the server's clock; a task without a timeout is not there. */
  readonly seconds: ReadonlyMap<string, number>;
  readonly order: Order | null;
}

export class Claiming {
  readonly #client: TaskspoolClient;
  readonly #breaker: CircuitBreaker;
  readonly #request: ClaimRequest;
  /** The question that was not answered yet. */
  #open: ClaimRequest | null = null;
  #isSent = false;

  constructor(client: TaskspoolClient, breaker: CircuitBreaker, request: ClaimRequest) {
    this.#client = client;
    this.#breaker = breaker;
    this.#request = request;
  }

  /**
   * Up to `max` tasks. Throws what the server refuses, an outage, or the reason of `signal`. After an outage the next
   * call asks the same question again: what was given and did not arrive, arrives then.
   */
  async ask(max: number, signal: AbortSignal): Promise<Given> {
    const { random } = this.#client.connection;
    this.#open ??= { ...this.#request, max, request_id: newId(random) };
    const question = this.#open;
    const answer = await this.#breaker.run(() => {
      this.#isSent = true;
      return this.#client.claim(question, { signal });
    }, signal);
    this.#close();
    const stamp = (answer as { server_time?: unknown }).server_time;
    const tasks = answer.tasks ?? [];
    return { tasks, seconds: timeouts(tasks, typeof stamp === "string" ? stamp : null), order: answer.state ?? null };
  }

  /**
   * The question was broken off, maybe while its answer was on the way: ask it once more without waiting, and give back
   * what comes. Throws nothing: what is not given back comes back when its lease runs out.
   */
  async settle(): Promise<void> {
    const question = this.#isSent ? this.#open : null;
    this.#close();
    if (!question) return;
    const how = { retries: 0, timeoutSeconds: SETTLE_SECONDS };
    try {
      for (const task of await this.#client.next({ ...question, wait: 0 }, how)) {
        await this.#client.release(task.task_id, { lease_token: task.lease.token, reason: "the worker stops" }, how);
      }
    } catch {
      return; // the server is away or has no more to say: the lease ends it
    }
  }

  #close(): void {
    this.#open = null;
    this.#isSent = false;
  }
}

function timeouts(tasks: readonly ClaimedTask[], serverTime: string | null): ReadonlyMap<string, number> {
  const left = (task: ClaimedTask): number =>
    (Date.parse(task.deadline_at ?? "") - Date.parse(serverTime ?? task.claimed_at)) / 1000;
  return new Map(tasks.filter((task) => task.deadline_at !== null).map((task) => [task.task_id, left(task)]));
}

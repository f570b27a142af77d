/** One attempt on one task, as its handler sees it. */

import type { TaskspoolClient } from "./client.js";
import { Conflict, NotFound, isOutage } from "./errors.js";
import { Cancelled, type StopReason } from "./fates.js";
import type { HeldTask } from "./held.js";
import { toJson, wellFormed, type Json, type JsonObject } from "./json.js";
import type { Wishes } from "./types.js";

const MAX_MESSAGE_CHARS = 1000;

export class TaskContext {
  readonly taskId: string;
  readonly type: string;
  readonly requester: string;
  readonly worker: string;
  /** From 1. */
  readonly attempt: number;
  readonly maxAttempts: number;
  /** How the attempt before this one ended. */
  readonly previousError: string | null;
  /** What an earlier attempt kept. */
  readonly previousCheckpoint: Json;
  /** From then on the result is refused; null when the task has no timeout. By the server's clock. */
  readonly deadline: Date | null;
  readonly #held: HeldTask;
  readonly #client: TaskspoolClient;
  readonly #nudge: () => void;

  constructor(held: HeldTask, client: TaskspoolClient, worker: string, nudge: () => void) {
    const { task } = held;
    this.taskId = task.task_id;
    this.type = task.task_type;
    this.requester = task.requester;
    this.worker = worker;
    this.attempt = task.attempt;
    this.maxAttempts = task.max_attempts;
    this.previousError = task.previous_error;
    this.previousCheckpoint = task.checkpoint;
    this.deadline = task.deadline_at === null ? null : new Date(task.deadline_at);
    this.#held = held;
    this.#client = client;
    this.#nudge = nudge;
  }

  /** Aborted when the run is to stop; give it to `fetch` and to whatever else takes one. */
  get signal(): AbortSignal {
    return this.#held.signal;
  }

  /** Why the run is to stop; null: go on. */
  get stopReason(): StopReason | null {
    return this.#held.stopReason;
  }

  get isCancelled(): boolean {
    return this.signal.aborted;
  }

  /** Throws Cancelled when the run is to stop: let it through. */
  throwIfCancelled(): void {
    this.signal.throwIfAborted();
  }

  /** Show how far it is: `percent` in 0..100 (what is beyond is cut), `message` for people. The last word is sent. */
  progress(percent: number | null, message: string | null = null): void {
    const isNumber = typeof percent === "number" && !Number.isNaN(percent);
    this.#held.percent = isNumber ? Math.max(0, Math.min(percent, 100)) : null;
    this.#held.message = message === null ? null : wellFormed(String(message)).slice(0, MAX_MESSAGE_CHARS);
    this.#held.hasNews = true;
    this.#nudge();
  }

  /**
   * Keep `value` for the attempts that come after this one; null forgets it. When it resolved it is stored; while the
   * server cannot be reached it is sent as soon as it can. Throws InvalidRequest, and Cancelled when it is not wanted.
   */
  async checkpoint(value: Json): Promise<void> {
    const kept = JSON.parse(toJson(value, "checkpoint")) as Json; // what the handler changes later is not meant
    const beat = { lease_token: this.#held.token, checkpoint: kept };
    const number = this.#held.keep();
    try {
      const heard = await this.#client.heartbeat(this.taskId, beat, { retries: 0 });
      if (heard.cancel_requested) this.#held.stop("cancelled");
    } catch (error) {
      if (error instanceof Conflict || error instanceof NotFound) {
        this.#held.stop("lease_lost");
        throw new Cancelled(this.#held.stopReason ?? "lease_lost");
      }
      if (!isOutage(error)) throw error;
      this.#held.untold(number, kept);
    }
  }

  /** Add lines to the task's live log. Never throws. */
  log(text: string, stream: "log" | "out" | "err" = "log"): void {
    this.#held.log.write(stream, String(text));
  }

  /** Wait, at most until the run is to stop: then true, at once. */
  async wait(seconds: number): Promise<boolean> {
    await this.#client.connection.clock.wait(seconds, this.signal);
    return this.isCancelled;
  }

  /** Hand a task over whose parent is this one; its id. */
  submit(type: string, data: JsonObject = {}, wishes: Wishes = {}): Promise<string> {
    return this.#client.submit(type, data, { parent_id: this.taskId, ...wishes });
  }
}

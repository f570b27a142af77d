/** The client of the bridge: hand tasks over, wait for results, look after them, or be a worker. */

import { Connection, DEFAULT_URL, taskPath, type Call, type ConnectionOptions } from "./connection.js";
import { newId } from "./clock.js";
import { ResultPending } from "./errors.js";
import { follow } from "./following.js";
import { isObject, type Json, type JsonObject } from "./json.js";
import type * as wire from "./types.js";

/** The longest wait the bridge grants at once, and Chrome an extension: longer waits are made of several. */
export const LONG_POLL_SECONDS = 25;

export interface Asking {
  /** Ends the call: it rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
}

export interface Submitting extends Asking {
  /** The same key with the same task gives the same id. Made when absent: a repeat after a lost answer is safe. */
  readonly idempotencyKey?: string;
}

export interface WorkerCall extends Asking {
  readonly retries?: number;
  readonly timeoutSeconds?: number;
}

/**
 * A client of the bridge at `url`. Every call has an end, and every call that is repeated after a lost answer is safe
 * to repeat: submits carry an idempotency key, finishes a lease token. What the server refuses is thrown as a
 * TaskspoolError of its name; no answer is ServerUnreachable.
 */
export class TaskspoolClient {
  readonly connection: Connection;
  readonly #retries: number;

  constructor(url: string = DEFAULT_URL, options: ConnectionOptions = {}) {
    this.connection = new Connection(url, options);
    this.#retries = options.retries ?? 5;
  }

  get url(): string {
    return this.connection.url;
  }

  // -- handing over -------------------------------------------------------------------------------------------------

  /** Hand one task over; its id. Once it resolved, the task is on the server's disk. */
  async submit(type: string, data: JsonObject = {}, wishes: wire.Wishes = {}, how: Submitting = {}): Promise<string> {
    return (await this.submitTask({ ...wishes, task_type: type, data }, how)).task_id;
  }

  /** As `submit`, for a task that is a value already; the whole answer. */
  submitTask(task: wire.Submission, how: Submitting = {}): Promise<wire.Submitted> {
    const body = { requester: "typescript-client", ...task };
    return this.#call("POST", "/api/tasks", { body, headers: this.#key(how), signal: how.signal });
  }

  /** Hand `tasks` over, all of them or none; their ids in the same order. */
  async submitMany(tasks: readonly wire.Submission[], how: Submitting = {}): Promise<readonly string[]> {
    const body = { tasks: tasks.map((task) => ({ requester: "typescript-client", ...task })) };
    const call = { body, headers: this.#key(how), signal: how.signal };
    return (await this.#call<wire.BatchSubmitted>("POST", "/api/tasks/batch", call)).task_ids;
  }

  /** The result of a finished task, waiting up to `wait` seconds (0..25) for it. Throws ResultPending, TaskNotFound. */
  result(taskId: string, wait = 0, how: Asking = {}): Promise<wire.ResultAnswer> {
    const seconds = Math.min(Math.max(0, wait), LONG_POLL_SECONDS);
    const query = seconds > 0 ? { wait: seconds.toFixed(3) } : {};
    return this.#call("GET", taskPath(taskId, "result"), { query, waitSeconds: seconds, signal: how.signal });
  }

  /** The same, waiting as long as it takes, at most `timeoutSeconds` (60). A failed task has a result: see `status`. */
  async waitForResult(
    taskId: string, how: Asking & { readonly timeoutSeconds?: number } = {},
  ): Promise<wire.ResultAnswer> {
    const { clock } = this.connection;
    const endsAt = clock.seconds() + (how.timeoutSeconds ?? 60);
    for (;;) {
      const left = Math.max(0, endsAt - clock.seconds());
      try {
        return await this.result(taskId, left, how);
      } catch (error) {
        if (!(error instanceof ResultPending) || clock.seconds() >= endsAt) throw error;
        await clock.wait(Math.min(0.05, left), how.signal); // bounds the pace should a server answer without waiting
      }
    }
  }

  // -- looking ------------------------------------------------------------------------------------------------------

  task(taskId: string, how: Asking = {}): Promise<wire.TaskTold> {
    return this.#call("GET", taskPath(taskId), how);
  }

  /** Why the task is where it is, and what happens next. */
  explain(taskId: string, how: Asking = {}): Promise<wire.ExplanationAnswer> {
    return this.#call("GET", taskPath(taskId, "explain"), how);
  }

  /** Up to `limit` (10) tasks; with a filter their true `total`. */
  list(filters: wire.TaskFilters = {}, how: Asking = {}): Promise<wire.TaskList> {
    const { state, status, priority, ...others } = filters;
    const query = { ...others, ...commas({ state, status, priority }) };
    return this.#call("GET", "/api/tasks", { query, signal: how.signal });
  }

  health(how: Asking = {}): Promise<wire.Health> {
    return this.#call("GET", "/health", how);
  }

  // -- looking after ------------------------------------------------------------------------------------------------

  /** End the task: one that waits at once, one that runs as soon as its worker lets go. Throws TaskFinished. */
  cancel(taskId: string, wish: wire.Wish = {}, how: Asking = {}): Promise<wire.CancelAnswer> {
    return this.#call("POST", taskPath(taskId, "cancel"), { body: wish, signal: how.signal });
  }

  /** Let a dead or cancelled task wait again, with all its attempts before it. Throws NotRetryable. */
  retry(taskId: string, wish: wire.Wish = {}, how: Asking = {}): Promise<wire.Accepted> {
    return this.#call("POST", taskPath(taskId, "retry"), { body: wish, signal: how.signal });
  }

  // -- working ------------------------------------------------------------------------------------------------------

  /** Claim tasks. Never repeated by itself: repeat it with the same `request_id`, and a lost answer costs nothing. */
  async next(request: wire.ClaimRequest, how: WorkerCall = {}): Promise<readonly wire.ClaimedTask[]> {
    return (await this.claim(request, how)).tasks ?? [];
  }

  /** As `next`, with all that the bridge answers: an order to this worker comes as `state`. */
  async claim(request: wire.ClaimRequest, how: WorkerCall = {}): Promise<wire.Claimed> {
    const call = { retries: 0, ...how, body: request, waitSeconds: request.wait ?? 0 };
    const answer = await this.#call<wire.Claimed>("POST", "/api/tasks/next", call);
    return { ...answer, tasks: answer.tasks ?? (answer.task ? [answer.task] : []) };
  }

  /** The lease starts anew; progress is shown, a checkpoint kept. Throws LeaseLost: stop working on it. */
  heartbeat(taskId: string, beat: wire.Beat, how: WorkerCall = {}): Promise<wire.BeatAnswer> {
    return this.#call("POST", taskPath(taskId, "heartbeat"), { ...how, body: beat });
  }

  /** One beat for all tasks of a worker, and its report of itself. */
  heartbeatWorker(workerId: string, beats: wire.WorkerBeat, how: WorkerCall = {}): Promise<wire.BeatsAnswer> {
    return this.#call("POST", `/api/workers/${encodeURIComponent(workerId)}/heartbeat`, { ...how, body: beats });
  }

  /** Hand in the result. The same again is answered the same; any other token throws LeaseLost. */
  complete(taskId: string, body: wire.Complete, how: WorkerCall = {}): Promise<wire.Accepted> {
    return this.#call("POST", taskPath(taskId, "complete"), { ...how, body });
  }

  /** Say that the attempt failed: it is tried again while retries are left, else it is dead. */
  fail(taskId: string, body: wire.Fail, how: WorkerCall = {}): Promise<wire.Accepted> {
    return this.#call("POST", taskPath(taskId, "fail"), { ...how, body });
  }

  /** Give the task back undone; it costs no attempt. */
  release(taskId: string, body: wire.Release, how: WorkerCall = {}): Promise<wire.Accepted> {
    return this.#call("POST", taskPath(taskId, "release"), { ...how, body });
  }

  // -- logs ---------------------------------------------------------------------------------------------------------

  /** Add lines to the task's log. `offset`: how many this claim has added before. Throws LogOffset. */
  appendLog(taskId: string, body: wire.LogAppend, how: WorkerCall = {}): Promise<wire.LogAccepted> {
    return this.#call("POST", taskPath(taskId, "log"), { ...how, body });
  }

  /** Up to `limit` lines behind line `after`. */
  log(taskId: string, after = -1, limit = 1000, how: Asking = {}): Promise<wire.LogAnswer> {
    return this.#call("GET", taskPath(taskId, "log"), { query: { after, limit }, signal: how.signal });
  }

  /** The lines behind line `after`, as they come, each once, until the task is finished. Survives cut connections. */
  async *followLog(taskId: string, after = -1, how: Asking = {}): AsyncGenerator<wire.LogLine> {
    let last = after;
    const following = { query: { follow: 1, after }, signal: how.signal, retries: this.#retries,
                        ...(after >= 0 && { after: String(after) }) };
    for await (const message of follow(this.connection, taskPath(taskId, "log"), following)) {
      const line = parsed(message.data);
      if (!line || typeof line["number"] !== "number" || line["number"] <= last) continue;
      last = line["number"];
      yield line as unknown as wire.LogLine;
    }
  }

  // -- events -------------------------------------------------------------------------------------------------------

  /**
   * What happens to tasks, as it happens; of one task or of all. `after`: the id of the last event that was seen; left
   * out begins now. A connection that breaks is made anew and goes on behind the last event. `reset` says that what
   * came between is not known any more: look anew.
   */
  async *events(
    how: Asking & { readonly after?: string; readonly taskId?: string } = {},
  ): AsyncGenerator<wire.TaskEvent> {
    const path = how.taskId === undefined ? "/api/events" : taskPath(how.taskId, "events");
    const following = { after: how.after, signal: how.signal, retries: this.#retries };
    for await (const message of follow(this.connection, path, following)) {
      const event = parsed(message.data);
      if (event) yield { event: message.name, ...event, id: message.id || event["id"] } as unknown as wire.TaskEvent;
    }
  }

  // -- inside -------------------------------------------------------------------------------------------------------

  /** The bridge keeps to /openapi.json, and a test holds our types against it: answers are taken at their word. */
  async #call<Answer>(method: string, path: string, call: Call): Promise<Answer> {
    return (await this.connection.call(method, path, call)) as Answer;
  }

  #key(how: Submitting): Record<string, string> {
    return { "Idempotency-Key": how.idempotencyKey ?? newId(this.connection.random) };
  }
}

function commas(lists: Readonly<Record<string, string | readonly string[] | undefined>>): Record<string, string> {
  const told: Record<string, string> = {};
  for (const [name, value] of Object.entries(lists)) {
    if (value !== undefined) told[name] = typeof value === "string" ? value : value.join(",");
  }
  return told;
}

function parsed(text: string): Record<string, Json> | null {
  try {
    const value: unknown = JSON.parse(text);
    return isObject(value) ? (value as Record<string, Json>) : null;
  } catch {
    return null; // not of a kind that we know
  }
}

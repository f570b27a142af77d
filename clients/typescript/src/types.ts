/**
 * What travels over the wire, under the names of the wire. An interface with the name of a schema in /openapi.json has
 * exactly its fields; a test compares them. Durations are seconds, times RFC 3339 text in UTC.
 */

import type { Json, JsonObject } from "./json.js";

export type State = "scheduled" | "ready" | "claimed" | "done" | "dead" | "cancelled";
export type Status = "pending" | "in_progress" | "completed" | "failed" | "cancelled";
export type Priority = "low" | "normal" | "high" | "critical";

// -- handing over ---------------------------------------------------------------------------------------------------

/** How long a failed task waits: before retry n `min(cap, base * 2^(n-1))`, and by chance up to `jitter` of it more. */
export interface BackoffAsked {
  readonly kind?: "exponential" | "linear" | "constant";
  readonly base?: number;
  readonly cap?: number;
  readonly jitter?: number;
}

/** A task as it is asked for. Only `task_type` must be there. */
export interface Submission {
  readonly task_type: string;
  readonly data?: JsonObject | null;
  readonly requester?: string | null;
  readonly priority?: Priority | null;
  /** Tries after the first. */
  readonly max_retries?: number;
  /** Seconds, or the time, until it may be taken: one of them. */
  readonly delay?: number | null;
  readonly run_at?: string | null;
  readonly backoff?: BackoffAsked | null;
  /** Seconds one attempt may take. */
  readonly timeout?: number | null;
  /** Seconds from now to its end, tries and waits included. */
  readonly total_timeout?: number | null;
  /** Seconds its worker may be silent. */
  readonly lease?: number | null;
  /** Given up if nobody took it by then. */
  readonly start_before?: string | null;
  readonly group?: string | null;
  /** The task that this one is a child of. */
  readonly parent_id?: string | null;
  readonly tags?: readonly string[] | null;
  /** Only one unfinished task may have it. */
  readonly unique_key?: string | null;
  readonly on_conflict?: "existing" | "reject" | "replace" | null;
}

/** Everything of a submission but its type and data. */
export type Wishes = Omit<Submission, "task_type" | "data">;

export interface Submitted {
  readonly success: boolean;
  readonly task_id: string;
  readonly message: string;
  readonly status: Status;
  readonly state: State;
  /** false: it was accepted before, under the same key. */
  readonly created: boolean;
  readonly priority: Priority;
  readonly queue_position?: number | null;
}

export interface BatchSubmitted {
  readonly success: boolean;
  readonly count: number;
  readonly created: boolean;
  readonly task_ids: readonly string[];
  readonly tasks: readonly JsonObject[];
}

/** What came of a task. A failed or cancelled task has a result too. */
export interface ResultAnswer {
  readonly task_id: string;
  readonly worker: string;
  readonly status: "success" | "error" | "cancelled";
  readonly success: boolean;
  readonly data: Json;
  readonly error: string | null;
  readonly error_message: string | null;
  readonly submitted_at: string;
  readonly completed_at: string;
}

// -- looking --------------------------------------------------------------------------------------------------------

export interface TaskAnswer {
  readonly id: string;
  readonly task_id: string;
  readonly type: string;
  readonly task_type: string;
  readonly requester: string;
  readonly data: JsonObject;
  readonly status: Status;
  readonly priority: Priority;
  readonly created_at: string;
  readonly updated_at: string;
  readonly assigned_to: string | null;
}

/** A task with everything that is known of it; `history` is oldest first. */
export interface TaskTold extends TaskAnswer {
  readonly state: State;
  readonly progress: ProgressTold | null;
  readonly checkpoint: Json;
  readonly options: JsonObject;
  readonly history: readonly HistoryEntry[];
  readonly cancel_requested: boolean;
  readonly lease: JsonObject | null;
  readonly deadline_at: string | null;
}

export interface ProgressTold {
  readonly percent: number | null;
  readonly message: string | null;
}

export interface HistoryEntry {
  readonly verb: string;
  readonly at: string;
  readonly state: State | null;
  readonly worker: string | null;
  readonly attempt: number | null;
  readonly seconds: number | null;
  readonly reason: string | null;
}

export interface TaskList {
  readonly count: number;
  readonly tasks: readonly TaskAnswer[];
  readonly total_pending?: number | null;
  readonly total?: number | null;
  readonly limit?: number | null;
  readonly offset?: number | null;
  readonly next_cursor?: string | null;
}

/** Which tasks `list` is asked for. Without any but `limit` and `type`: what waits, oldest first. */
export interface TaskFilters {
  readonly state?: State | readonly State[];
  readonly status?: Status | readonly Status[];
  readonly type?: string | readonly string[];
  readonly priority?: Priority | readonly Priority[];
  readonly group?: string;
  readonly parent?: string;
  /** Several: all of them. */
  readonly tag?: string | readonly string[];
  readonly requester?: string;
  readonly worker?: string;
  readonly batch?: string;
  readonly id_prefix?: string;
  readonly created_after?: string;
  readonly created_before?: string;
  readonly finished_after?: string;
  readonly finished_before?: string;
  /** created_at, updated_at, finished_at, priority, type or state; `-` before it turns it round. */
  readonly sort?: string;
  readonly order?: "asc" | "desc";
  readonly limit?: number;
  readonly offset?: number;
  readonly cursor?: string;
}

export interface ExplanationAnswer {
  readonly task_id: string;
  readonly status: Status;
  readonly state: State;
  readonly summary: string;
  readonly sentences: readonly string[];
  readonly next: string;
  readonly next_at: string | null;
}

/** Something that happened to a task. `event` is a verb of the life of a task, or `reset`: look anew. */
export interface TaskEvent {
  readonly id: string;
  readonly at: string;
  readonly event: string;
  readonly task_id: string | null;
  readonly state: State | null;
  readonly status: Status | null;
  readonly type: string | null;
  readonly worker: string | null;
  readonly attempt: number | null;
  readonly reason: string | null;
}

// -- looking after --------------------------------------------------------------------------------------------------

/** Who wants something done to a task, and why. */
export interface Wish {
  readonly by?: string | null;
  readonly reason?: string | null;
}

export interface CancelAnswer {
  readonly success: boolean;
  readonly task_id: string;
  readonly status: Status;
  readonly state: State;
  /** true: it runs, and ends when its worker lets go. */
  readonly cancel_requested: boolean;
  readonly message: string;
}

// -- working --------------------------------------------------------------------------------------------------------

export interface ClaimRequest {
  readonly worker_id?: string | null;
  /** Only tasks of these types; left out: any. */
  readonly types?: readonly string[] | null;
  readonly max?: number;
  /** Seconds to wait for a task when there is none, at most 25. */
  readonly wait?: number | null;
  readonly lease?: number | null;
  /** The same again, by the same worker: the same tasks again. */
  readonly request_id?: string | null;
  /** When this worker was started: an order to the one before it is not for this one. */
  readonly started_at?: string | null;
}

export interface LeaseTold {
  /** Shown with everything that is said about the task. */
  readonly token: string;
  readonly generation: number;
  readonly lease_seconds: number;
  readonly expires_at: string;
  readonly heartbeat_every: number;
}

/** A task that is this worker's. */
export interface ClaimedTask extends TaskAnswer {
  readonly claimed_at: string;
  /** From 1. */
  readonly attempt: number;
  readonly max_attempts: number;
  readonly previous_error: string | null;
  /** When this attempt must be over. */
  readonly deadline_at: string | null;
  /** What an earlier attempt kept. */
  readonly checkpoint: Json;
  readonly lease: LeaseTold;
}

export interface Claimed {
  readonly task?: ClaimedTask | null;
  readonly tasks?: readonly ClaimedTask[] | null;
  readonly retry_after?: number | null;
  /** What this worker is told to do. */
  readonly state?: Order | null;
}

export interface Told {
  readonly percent?: number | null;
  readonly message?: string | null;
}

/** A sign of life for one task, and how far it is. `checkpoint` left out: what was kept stays. */
export interface Beat {
  readonly lease_token: string;
  readonly progress?: number | Told | null;
  readonly message?: string | null;
  readonly checkpoint?: Json;
}

export interface Running extends Beat {
  readonly task_id: string;
}

/** A sign of life for all tasks of a worker, and the worker's report of itself. */
export interface WorkerBeat {
  readonly running?: readonly Running[];
  readonly types?: readonly string[] | null;
  /** http, folder, exec, browser, or another word. */
  readonly kind?: string | null;
  readonly concurrency?: number | null;
  readonly host?: string | null;
  readonly pid?: number | null;
  readonly version?: string | null;
  readonly labels?: Readonly<Record<string, string>> | null;
  /** running, quiet, stopping; gone: it says goodbye. */
  readonly state?: string | null;
  /** Another one: it has been started anew. */
  readonly started_at?: string | null;
  readonly done?: number | null;
  readonly failed?: number | null;
}

export interface BeatAnswer {
  readonly success: boolean;
  readonly task_id: string;
  readonly lease_expires_at: string;
  readonly cancel_requested: boolean;
  readonly reason: string | null;
  readonly next_beat: number;
}

/** What a worker is told to do: go on, take nothing new, or end. */
export type Order = "run" | "quiet" | "terminate";

export interface BeatsAnswer {
  readonly state: Order;
  /** Ids of tasks that are to be cancelled. */
  readonly cancel: readonly string[];
  /** Ids of tasks that are not this worker's any more. */
  readonly lost: readonly string[];
  readonly leases: Readonly<Record<string, string>>;
  readonly next_beat: number;
}

export interface Complete {
  readonly worker_id?: string | null;
  readonly data?: Json;
  readonly lease_token: string;
}

export interface Fail {
  readonly worker_id?: string | null;
  readonly data?: Json;
  readonly error_message?: string | null;
  readonly error?: string | JsonObject | null;
  readonly message?: string | null;
  /** false: do not try again, whatever retries are left. */
  readonly retryable?: boolean;
  /** Seconds until the next try. */
  readonly retry_after?: number | null;
  readonly lease_token: string;
}

export interface Release {
  readonly lease_token: string;
  /** Seconds until it may be taken again. */
  readonly delay?: number;
  readonly reason?: string | null;
}

export interface Accepted {
  readonly success: boolean;
  readonly task_id: string;
  readonly message: string;
  readonly status: Status;
}

// -- logs -----------------------------------------------------------------------------------------------------------

export interface LogLine {
  /** From 0, over all attempts. */
  readonly number: number;
  readonly at: string;
  readonly attempt: number;
  readonly stream: string;
  readonly text: string;
}

/** A line as its worker says it; a text alone is one of the stream `out`. */
export interface LineSent {
  readonly stream?: "out" | "err" | "log";
  readonly text: string;
}

/** `offset`: how many lines this claim has added before. */
export interface LogAppend {
  readonly lease_token: string;
  readonly offset?: number | null;
  readonly lines: readonly (string | LineSent)[];
}

export interface LogAccepted {
  readonly task_id: string;
  readonly next_offset: number;
  readonly cancel_requested: boolean;
}

/** Part of a task's log. `first`: the oldest line there is; `next`: the number of the line that comes next. */
export interface LogAnswer {
  readonly task_id: string;
  readonly first: number;
  readonly next: number;
  readonly is_finished: boolean;
  readonly lines: readonly LogLine[];
}

// -- the server -----------------------------------------------------------------------------------------------------

export interface Health {
  readonly status: string;
  readonly service: string;
  readonly version: string;
}

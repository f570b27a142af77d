/**
 * The error tree: what the server refused is thrown under the same names as in Python.
 *
 *     TaskspoolError
 *     ├── InvalidRequest        400  what was asked breaks a rule; `details` names the field and the rule
 *     │   └── PayloadTooLarge   413
 *     ├── Forbidden             403  this page or extension may not use the server
 *     ├── NotFound              404
 *     │   ├── TaskNotFound, BatchNotFound, QueueNotFound, WorkerNotFound, TaskNotClaimable
 *     │   └── ResultPending     404  the task is not finished yet
 *     ├── Conflict              409
 *     │   ├── LeaseLost         409  somebody else holds, or has finished, this task
 *     │   │   └── TaskCancelled 409  it was cancelled, or is to be
 *     │   ├── TaskFinished, NotRetryable, DuplicateTask
 *     ├── LogOffset             416  a gap before the lines; `details.next_offset` is where to go on
 *     ├── IdempotencyConflict   422  the key was used before with another body
 *     └── StoreUnavailable      503  nothing was accepted; the same call may be repeated
 *         ├── StoreFull         507  no room left
 *         ├── QueueFull         503  as many tasks wait as may wait
 *         └── ServerUnreachable 503  no answer from the bridge
 *
 * `code` is stable and for programs, `message` is for people, `hint` says what a person can do about it.
 */

export interface ErrorFields {
  readonly code?: string;
  readonly status?: number;
  readonly details?: Readonly<Record<string, unknown>>;
  readonly hint?: string;
  readonly cause?: unknown;
}

export class TaskspoolError extends Error {
  readonly code: string;
  readonly status: number;
  readonly details: Readonly<Record<string, unknown>>;
  readonly hint: string;

  constructor(message: string, fields: ErrorFields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    const kind = KINDS.find(([made]) => made === new.target);
    this.name = new.target.name;
    this.code = fields.code ?? kind?.[1] ?? "TASKSPOOL_ERROR";
    this.status = fields.status ?? kind?.[2] ?? 500;
    this.details = fields.details ?? {};
    this.hint = fields.hint ?? "";
  }
}

export class InvalidRequest extends TaskspoolError {}
export class PayloadTooLarge extends InvalidRequest {}
export class Forbidden extends TaskspoolError {}
export class NotFound extends TaskspoolError {}
export class TaskNotFound extends NotFound {}
export class BatchNotFound extends NotFound {}
export class QueueNotFound extends NotFound {}
export class WorkerNotFound extends NotFound {}
export class TaskNotClaimable extends NotFound {}
export class ResultPending extends NotFound {}
export class Conflict extends TaskspoolError {}
export class LeaseLost extends Conflict {}
export class TaskCancelled extends LeaseLost {}
export class TaskFinished extends Conflict {}
export class NotRetryable extends Conflict {}
export class DuplicateTask extends Conflict {}
export class LogOffset extends TaskspoolError {}
export class IdempotencyConflict extends TaskspoolError {}
export class StoreUnavailable extends TaskspoolError {}
export class StoreFull extends StoreUnavailable {}
export class QueueFull extends StoreUnavailable {}
export class ServerUnreachable extends StoreUnavailable {}

type ErrorClass = new (message: string, fields?: ErrorFields) => TaskspoolError;

const KINDS: readonly (readonly [ErrorClass, string, number])[] = [
  [InvalidRequest, "INVALID_REQUEST", 400],
  [PayloadTooLarge, "PAYLOAD_TOO_LARGE", 413],
  [Forbidden, "FORBIDDEN", 403],
  [NotFound, "NOT_FOUND", 404],
  [TaskNotFound, "TASK_NOT_FOUND", 404],
  [BatchNotFound, "BATCH_NOT_FOUND", 404],
  [QueueNotFound, "QUEUE_NOT_FOUND", 404],
  [WorkerNotFound, "WORKER_NOT_FOUND", 404],
  [TaskNotClaimable, "TASK_NOT_CLAIMABLE", 404],
  [ResultPending, "RESULT_PENDING", 404],
  [Conflict, "CONFLICT", 409],
  [LeaseLost, "LEASE_LOST", 409],
  [TaskCancelled, "TASK_CANCELLED", 409],
  [TaskFinished, "TASK_FINISHED", 409],
  [NotRetryable, "TASK_NOT_RETRYABLE", 409],
  [DuplicateTask, "DUPLICATE_TASK", 409],
  [LogOffset, "LOG_OFFSET", 416],
  [IdempotencyConflict, "IDEMPOTENCY_CONFLICT", 422],
  [StoreUnavailable, "STORE_UNAVAILABLE", 503],
  [StoreFull, "STORE_FULL", 507],
  [QueueFull, "QUEUE_FULL", 503],
  [ServerUnreachable, "SERVER_UNREACHABLE", 503],
];

/** The error for `{error, code, message, details, hint}`; an unknown code goes by its status. */
export function errorOf(status: number, body: Readonly<Record<string, unknown>>): TaskspoolError {
  const code = typeof body["code"] === "string" ? body["code"] : "";
  const kind = KINDS.find(([, known]) => known === code)?.[0] ?? byStatus(status);
  const message = String(body["message"] ?? body["error"] ?? `HTTP ${status}`);
  const details = (typeof body["details"] === "object" && body["details"]) || {};
  const hint = typeof body["hint"] === "string" ? body["hint"] : "";
  return new kind(message, { status, details: { ...details }, hint, ...(code && { code }) });
}

function byStatus(status: number): ErrorClass {
  if ([429, 502, 503, 504].includes(status)) return StoreUnavailable;
  if (status === 404) return NotFound;
  if (status === 409) return Conflict;
  return status >= 400 && status < 500 ? InvalidRequest : TaskspoolError;
}

/** Whether the same call may be answered later: nothing was accepted, or nobody knows. */
export function isOutage(error: unknown): error is StoreUnavailable {
  return error instanceof StoreUnavailable;
}

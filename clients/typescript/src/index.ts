/** The client of taskspool and its polling worker. */

export { LONG_POLL_SECONDS, TaskspoolClient } from "./client.js";
export type { Asking, Submitting, WorkerCall } from "./client.js";
export { DEFAULT_URL, type ConnectionOptions } from "./connection.js";
export { systemClock, type Backoff, type Clock, type Random } from "./clock.js";
export type { BreakerOptions, Circuit } from "./breaker.js";
export { TaskContext } from "./context.js";
export * from "./errors.js";
export type { Handler, Handlers } from "./execution.js";
export { Cancelled, GiveUp, Retry, Snooze, type StopReason } from "./fates.js";
export type { Json, JsonObject } from "./json.js";
export type { PollerOptions, StopOptions } from "./options.js";
export { HttpTaskPoller } from "./poller.js";
export type { PollerState, PollerStatus, RunningTask } from "./state.js";
export {
  MemoryResultStore, extensionStore, webStore,
  type ExtensionArea, type ResultStore, type StoredResult, type TextStorage,
} from "./store.js";
export type * from "./types.js";
export { VERSION } from "./version.js";

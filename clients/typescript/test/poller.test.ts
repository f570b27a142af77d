/** The poller against the real bridge: what a handler sees, and how its task ends. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  Cancelled, GiveUp, HttpTaskPoller, InvalidRequest, Retry, Snooze, type StopReason, type TaskContext,
} from "../src/index.js";
import { BRIDGE_URL, client, eventually, fresh, pledge, polling, verbs } from "./support.js";

test("a task is done by the handler of its type, which sees whose it is", async () => {
  const type = fresh();
  const poller = polling({ [type]: (data, context) => ({ ...data, by: context.worker, attempt: context.attempt }) });
  const id = await client.submit(type, { name: "ä€😀" });
  const result = await client.waitForResult(id);
  assert.deepEqual(result.data, { name: "ä€😀", by: poller.workerId, attempt: 1 });
  assert.equal(result.worker, poller.workerId);
  await eventually(() => poller.state.done === 1 && poller.state.status === "polling", "it is counted");
});

test("so many run at once as are allowed, and no more", async () => {
  const type = fresh();
  let [now, most] = [0, 0];
  const gate = pledge();
  const poller = polling({ [type]: async () => {
    most = Math.max(most, ++now);
    await gate.kept;
    now -= 1;
  } }, { concurrency: 3 });
  const ids = await client.submitMany(Array.from({ length: 7 }, () => ({ task_type: type })));
  await eventually(() => now === 3, "three run");
  assert.equal(poller.state.running.length, 3);
  gate.keep();
  for (const id of ids) assert.equal((await client.waitForResult(id)).data, null);
  assert.equal(most, 3);
});

test("what a handler throws fails the attempt, and the next one knows what it was and what was kept", async () => {
  const type = fresh();
  const seen: unknown[] = [];
  polling({ [type]: async (_, context) => {
    seen.push([context.attempt, context.maxAttempts, context.previousError, context.previousCheckpoint]);
    if (context.attempt === 2) return "done";
    await context.checkpoint({ page: 4 });
    throw new TypeError("tired");
  } });
  const id = await client.submit(type, {}, { max_retries: 1, backoff: { base: 0, jitter: 0 } });
  assert.equal((await client.waitForResult(id)).data, "done");
  assert.deepEqual(seen, [[1, 2, null, null], [2, 2, "TypeError: tired", { page: 4 }]]);
});

test("Retry waits as long as it says, and counts; GiveUp ends it whatever is left; Snooze costs nothing", async () => {
  const type = fresh();
  let tries = 0;
  polling({ [type]: ({ how }) => {
    tries += 1;
    if (how === "give up") throw new GiveUp("never");
    if (how === "retry") throw new Retry(0, "later");
    if (tries === 1) throw new Snooze(0, "not now");
    return "done";
  } });
  const snoozed = await client.submit(type, { how: "snooze" });
  assert.equal((await client.waitForResult(snoozed)).data, "done");
  assert.deepEqual(await verbs(snoozed), ["enqueue", "claim", "release", "claim", "complete"]);
  const dead = await client.submit(type, { how: "give up" }, { max_retries: 5 });
  assert.equal((await client.waitForResult(dead)).error, "never");
  const retried = await client.submit(type, { how: "retry" }, { max_retries: 1 });
  assert.equal((await client.waitForResult(retried)).error, "later");
  assert.equal((await verbs(retried)).filter((verb) => verb === "claim").length, 2);
});

test("a result that is no JSON, or too large, fails the task with the reason, at once", async () => {
  const type = fresh();
  const errors: unknown[] = [];
  polling({ [type]: ({ how }) => (how === "nan" ? { n: NaN } : "x".repeat(2 << 20)) },
          { onError: (error) => errors.push(error) });
  for (const [how, words] of [["nan", /must be JSON/], ["large", /refused.*large/i]] as const) {
    const result = await client.waitForResult(await client.submit(type, { how }, { max_retries: 3 }));
    assert.deepEqual([result.success, words.test(result.error ?? "")], [false, true], result.error ?? "");
  }
});

test("progress is shown while the task runs, here and there", async () => {
  const type = fresh();
  const gate = pledge();
  const poller = polling({ [type]: async (_, context) => {
    context.progress(140, "nearly");
    await gate.kept;
  } });
  const id = await client.submit(type);
  const shown = await eventually(async () => (await client.task(id)).progress, "the bridge knows");
  assert.deepEqual([shown.percent, shown.message], [100, "nearly"]);
  assert.deepEqual(poller.state.running.map((each) => [each.taskId, each.percent]), [[id, 100]]);
  gate.keep();
  await client.waitForResult(id);
});

/** A handler that goes on until it is told to stop; why it was. */
function patient(): {
  readonly handler: (data: unknown, context: TaskContext) => Promise<never>;
  readonly reason: Promise<StopReason | null>;
} {
  const { kept, keep } = pledge<StopReason | null>();
  return {
    reason: kept,
    handler: async (_, context) => {
      while (!(await context.wait(600))) continue;
      keep(context.stopReason);
      throw context.signal.reason as Cancelled;
    },
  };
}

test("a cancel reaches the running handler with the next beat, and the task ends as cancelled", async () => {
  const type = fresh();
  const { handler, reason } = patient();
  const poller = polling({ [type]: handler }, { leaseSeconds: 6 });
  const id = await client.submit(type, {}, { max_retries: 3 });
  await eventually(() => poller.state.status === "working", "it runs");
  assert.equal((await client.cancel(id, { by: "me" })).cancel_requested, true);
  assert.equal(await reason, "cancelled");
  assert.equal((await client.waitForResult(id)).status, "cancelled");
  assert.equal((await verbs(id)).at(-1), "cancel");
  await eventually(() => poller.state.status === "polling", "its hand is free");
});

test("a handler that ignores the cancel is given up after its grace, and another task takes its place", async () => {
  const type = fresh();
  const poller = polling({ [type]: ({ hangs }) => (hangs ? new Promise(() => undefined) : "done") },
                         { leaseSeconds: 6, handlerGraceSeconds: 0.1 });
  const hanging = await client.submit(type, { hangs: true });
  const other = await client.submit(type);
  await eventually(() => poller.state.status === "working", "it runs");
  await client.cancel(hanging);
  assert.equal((await client.waitForResult(hanging)).status, "cancelled");
  assert.equal((await client.waitForResult(other)).data, "done");
});

test("an attempt that takes too long is told so, and has failed", async () => {
  const type = fresh();
  const { handler, reason } = patient();
  let deadline: Date | null = null;
  polling({ [type]: (data, context) => {
    deadline = context.deadline;
    return handler(data, context);
  } });
  const id = await client.submit(type, {}, { timeout: 0.5 });
  assert.equal(await reason, "timeout");
  assert.ok(deadline !== null);
  const result = await client.waitForResult(id);
  assert.deepEqual([result.success, result.status], [false, "error"]);
});

test("stopping lets what runs end in its time, and its result counts", async () => {
  const type = fresh();
  const gate = pledge();
  const poller = polling({ [type]: () => gate.kept });
  const id = await client.submit(type);
  await eventually(() => poller.state.running.length === 1, "it runs");
  const stopped = poller.stop({ graceSeconds: 600 });
  assert.equal(poller.state.status, "stopping");
  gate.keep();
  await stopped;
  assert.equal((await client.result(id)).status, "success");
  assert.equal(poller.state.status, "stopped");
});

test("what does not end in its time is told, and given back without costing an attempt", async () => {
  const type = fresh();
  const { handler, reason } = patient();
  const poller = polling({ [type]: handler });
  const id = await client.submit(type);
  await eventually(() => poller.state.running.length === 1, "it runs");
  const long = poller.stop({ graceSeconds: 600 });
  await poller.stop({ graceSeconds: 0 });
  await long;
  assert.equal(await reason, "shutdown");
  assert.deepEqual(await verbs(id), ["enqueue", "claim", "release"]);
  const [again] = await client.next({ types: [type] });
  assert.equal(again?.attempt, 1);
});

test("a worker that stops keeps no handler that hangs, and gives its task back", async () => {
  const type = fresh();
  const poller = polling({ [type]: () => new Promise(() => undefined) });
  const id = await client.submit(type);
  await eventually(() => poller.state.running.length === 1, "it runs");
  await poller.stop({ graceSeconds: 0 });
  assert.equal((await verbs(id)).at(-1), "release");
});

test("a quiet worker takes nothing new until it is to go on", async () => {
  const type = fresh();
  const poller = polling({ [type]: () => "done" });
  poller.quiet();
  const id = await client.submit(type);
  await eventually(() => poller.state.status === "quiet", "it is quiet");
  assert.equal((await client.task(id)).state, "ready");
  poller.resume();
  assert.equal((await client.waitForResult(id)).data, "done");
});

test("a task that a handler hands over is its child", async () => {
  const [type, other] = [fresh(), fresh()];
  polling({ [type]: (_, context) => context.submit(other, { n: 1 }) });
  const id = await client.submit(type);
  const child = String((await client.waitForResult(id)).data);
  assert.equal((await client.list({ parent: id, state: "ready" })).tasks[0]?.task_id, child);
});

test("whoever watches learns of every change, and ends nothing by throwing", async () => {
  const type = fresh();
  const statuses = new Set<string>();
  const errors: unknown[] = [];
  const poller = polling({ [type]: () => "done" }, {
    onError: (error) => errors.push(error),
    onState: (state) => {
      statuses.add(state.status);
      throw new Error("a watcher's own");
    },
  });
  assert.equal((await client.waitForResult(await client.submit(type))).data, "done");
  await poller.stop();
  assert.deepEqual([...statuses].sort(), ["polling", "stopped", "stopping", "working"]);
  assert.ok(errors.length > 0);
});

test("options that make no sense are refused with their field and rule", () => {
  const handlers = { ping: () => null };
  for (const [field, options] of [
    ["handlers", { handlers: {} }], ["types", { handlers, types: ["pong"] }],
    ["concurrency", { handlers, concurrency: 0 }], ["waitSeconds", { handlers, waitSeconds: 26 }],
    ["leaseSeconds", { handlers, leaseSeconds: 0.5 }],
    ["handlerGraceSeconds", { handlers, handlerGraceSeconds: NaN }],
  ] as const) {
    assert.throws(() => new HttpTaskPoller(BRIDGE_URL, options), (error) =>
      error instanceof InvalidRequest && error.details["field"] === field, field);
  }
});

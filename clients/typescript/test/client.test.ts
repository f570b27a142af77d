/** The client against the real bridge. */

import assert from "node:assert/strict";
import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import {
  DuplicateTask, IdempotencyConflict, InvalidRequest, LeaseLost, NotRetryable, ResultPending, ServerUnreachable,
  TaskFinished, TaskNotFound, TaskspoolClient, TaskspoolError,
} from "../src/index.js";
import { BRIDGE_URL, client, eventually, fresh, unlucky } from "./support.js";

const UNKNOWN = "00000000-0000-7000-8000-000000000000";

test("a task goes in, is worked on, and its result comes out", async () => {
  const type = fresh();
  const id = await client.submit(type, { text: "ä€😀" }, { priority: "high", max_retries: 2, tags: ["x"] });
  await assert.rejects(client.result(id), ResultPending);
  const [task] = await client.next({ worker_id: "one", types: [type] });
  assert.ok(task);
  assert.deepEqual([task.task_id, task.data, task.priority, task.attempt, task.max_attempts],
                   [id, { text: "ä€😀" }, "high", 1, 3]);
  const waiting = client.waitForResult(id);
  await client.complete(id, { lease_token: task.lease.token, data: { length: 4 } });
  const result = await waiting;
  assert.deepEqual([result.status, result.success, result.data], ["success", true, { length: 4 }]);
  assert.equal(result.worker, "one");
});

test("a wait for a result ends in time, and says that there is none", async () => {
  const id = await client.submit(fresh());
  await assert.rejects(client.waitForResult(id, { timeoutSeconds: 0.2 }), ResultPending);
});

test("a submit whose answer is lost is repeated, and makes one task", async () => {
  const type = fresh();
  let losses = 2;
  const shaky = unlucky(() => (losses-- > 0 ? "lose" : "pass"));
  const id = await shaky.submit(type);
  const { tasks } = await client.list({ type, state: ["ready"] });
  assert.deepEqual(tasks.map((task) => task.task_id), [id]);
});

test("several tasks go in together, all or none", async () => {
  const type = fresh();
  const ids = await client.submitMany([{ task_type: type }, { task_type: type, priority: "low" }]);
  assert.equal(ids.length, 2);
  await assert.rejects(client.submitMany([{ task_type: type }, { task_type: "" }]), InvalidRequest);
  assert.equal((await client.list({ type, state: "ready" })).total, 2);
});

test("what the server refuses has its name, its code, its field and its rule", async () => {
  const refused = await client.submit("").then(() => null, (error: unknown) => error);
  assert.ok(refused instanceof InvalidRequest && refused instanceof TaskspoolError);
  assert.deepEqual([refused.name, refused.code, refused.status], ["InvalidRequest", "INVALID_REQUEST", 400]);
  assert.ok(refused.details["field"] && refused.details["rule"]);
  await assert.rejects(client.task(UNKNOWN), TaskNotFound);
  await assert.rejects(client.result(UNKNOWN), TaskNotFound);
});

test("what JSON cannot say is refused before it is sent", async () => {
  const round: Record<string, unknown> = {};
  round["self"] = round;
  for (const wrong of [{ n: NaN }, { n: [Infinity] }, { f: () => 1 }, { m: new Map() }, { b: 1n }, round]) {
    await assert.rejects(client.submit(fresh(), wrong as never), InvalidRequest);
  }
});

test("a key used again with the same task gives the same id, with another task it is refused", async () => {
  const [type, idempotencyKey] = [fresh(), fresh("key")];
  const id = await client.submit(type, { n: 1 }, {}, { idempotencyKey });
  assert.equal(await client.submit(type, { n: 1 }, {}, { idempotencyKey }), id);
  await assert.rejects(client.submit(type, { n: 2 }, {}, { idempotencyKey }), IdempotencyConflict);
});

test("a unique key that another task has is refused, with that one's id", async () => {
  const [type, unique_key] = [fresh(), fresh("unique")];
  const id = await client.submit(type, {}, { unique_key });
  await assert.rejects(client.submit(type, {}, { unique_key, on_conflict: "reject" }), (error) =>
    error instanceof DuplicateTask && error.details["task_id"] === id);
});

test("a task is cancelled, retried, and cannot be either twice", async () => {
  const type = fresh();
  const id = await client.submit(type);
  assert.equal((await client.cancel(id, { by: "me", reason: "changed my mind" })).state, "cancelled");
  assert.equal((await client.result(id)).status, "cancelled");
  assert.equal((await client.retry(id)).status, "pending");
  await assert.rejects(client.retry(id), NotRetryable);
  const [task] = await client.next({ types: [type] });
  await client.complete(id, { lease_token: task!.lease.token });
  await assert.rejects(client.cancel(id), TaskFinished);
});

test("a wrong token is a lost lease", async () => {
  const type = fresh();
  const id = await client.submit(type);
  const [task] = await client.next({ types: [type] });
  const lease_token = task!.lease.token.replace(/.$/, (last) => (last === "0" ? "1" : "0"));
  for (const verb of ["heartbeat", "complete", "fail", "release"] as const) {
    await assert.rejects(client[verb](id, { lease_token }), LeaseLost, verb);
  }
  assert.deepEqual((await client.heartbeatWorker("w", { running: [{ task_id: id, lease_token }] })).lost, [id]);
});

test("progress and a checkpoint are kept, and the next attempt has the checkpoint", async () => {
  const type = fresh();
  const id = await client.submit(type, {}, { max_retries: 1 });
  const [first] = await client.next({ types: [type] });
  const lease_token = first!.lease.token;
  await client.heartbeat(id, { lease_token, progress: 40, message: "page 4", checkpoint: { page: 4 } });
  const shown = (await client.task(id)).progress;
  assert.deepEqual([shown?.percent, shown?.message], [40, "page 4"]);
  await client.fail(id, { lease_token, error_message: "tired", retry_after: 0 });
  const second = await eventually(async () => (await client.next({ types: [type] }))[0], "the second attempt");
  assert.deepEqual([second.attempt, second.previous_error, second.checkpoint], [2, "tired", { page: 4 }]);
  assert.match((await client.explain(id)).summary, /\w/);
});

test("a list is filtered and tells its true total", async () => {
  const type = fresh();
  for (const priority of ["low", "high", "high"] as const) await client.submit(type, {}, { priority });
  const page = await client.list({ type, priority: ["high"], state: ["ready", "scheduled"], limit: 1 });
  assert.deepEqual([page.count, page.total], [1, 2]);
  const next = await client.list({ type, priority: "high", state: ["ready", "scheduled"], limit: 1,
                                   cursor: page.next_cursor ?? "" });
  assert.notEqual(next.tasks[0]?.task_id, page.tasks[0]?.task_id);
});

test("events are told as they happen, and each once over a cut connection", async () => {
  let streams = 0;
  const cutting: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    return String(input).includes("/events") && streams++ === 0 ? cutShort(response) : response;
  };
  const shaky = new TaskspoolClient(BRIDGE_URL, { fetch: cutting, backoff: { baseSeconds: 0.01, capSeconds: 0.05 } });
  const id = await client.submit(fresh());
  const ending = new AbortController();
  const seen: string[] = [];
  for await (const event of shaky.events({ taskId: id, signal: ending.signal })) {
    seen.push(event.event);
    if (seen.length === 1) void client.cancel(id);
    if (event.state === "cancelled") break;
  }
  assert.equal(streams, 2);
  assert.deepEqual([...new Set(seen)], seen);
  assert.deepEqual([seen[0], seen.at(-1)], ["enqueue", "cancel"]);
});

/** The answer until its first whole event; then the connection breaks. */
function cutShort(response: Response): Response {
  const reader = response.body!.getReader();
  const body = new ReadableStream<Uint8Array>({
    async pull(control): Promise<void> {
      const { value } = await reader.read();
      if (!value) return control.close();
      const end = new TextDecoder("latin1").decode(value).indexOf("\n\n");
      control.enqueue(end < 0 ? value : value.slice(0, end + 2));
      if (end < 0) return;
      await reader.cancel();
      control.error(new TypeError("terminated"));
    },
  });
  return new Response(body, { headers: response.headers });
}

test("a signal ends a call at once, with its reason", async () => {
  const ending = new AbortController();
  const waiting = client.next({ types: [fresh()], wait: 25 }, { signal: ending.signal });
  const why = new Error("enough");
  setImmediate(() => ending.abort(why));
  await assert.rejects(waiting, why);
});

async function impostor(
  answer: (response: ServerResponse) => void, timeoutSeconds: number,
): Promise<TaskspoolClient> {
  const server: Server = createServer((_, response) => answer(response)).listen(0, "127.0.0.1");
  await new Promise((resolve) => server.once("listening", resolve));
  after(() => { server.closeAllConnections(); server.close(); });
  return new TaskspoolClient(`http://127.0.0.1:${(server.address() as AddressInfo).port}`,
                             { retries: 0, timeoutSeconds });
}

function isAway(words: RegExp): (error: unknown) => boolean {
  return (error) => error instanceof ServerUnreachable && words.test(error.message);
}

test("no answer, one that is late and one of another program are all told as no answer", async () => {
  const silent = await impostor(() => undefined, 0.2);
  await assert.rejects(silent.health(), isAway(/too long/));
  const other = await impostor((response) => response.end("<html>"), 60);
  await assert.rejects(other.health(), isAway(/another program/));
  const nobody = new TaskspoolClient("http://127.0.0.1:1", { retries: 1, backoff: { baseSeconds: 0, capSeconds: 0 } });
  await assert.rejects(nobody.submit("x"), ServerUnreachable);
});

test("an address that is none is refused at once", () => {
  for (const wrong of ["", "localhost:8091", "ftp://x", "http://"]) {
    assert.throws(() => new TaskspoolClient(wrong), InvalidRequest);
  }
});

/** The worker as others see it, and what it is told from outside. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { VERSION } from "../src/index.js";
import { client, eventually, fresh, pledge, polling } from "./support.js";

interface Told {
  readonly kind: string;
  readonly state: string;
  readonly is_alive: boolean;
  readonly types: readonly string[];
  readonly concurrency: number;
  readonly version: string;
  readonly labels: Record<string, string>;
  readonly running: readonly string[];
  readonly done: number;
}

function call(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
  return client.connection.call(method, path, body ? { body } : {});
}

async function told(worker: string): Promise<Told | null> {
  const { workers } = await call("GET", "/api/workers") as { workers: readonly (Told & { worker_id: string })[] };
  return workers.find((each) => each.worker_id === worker) ?? null;
}

test("a worker is listed from its start to its end, with what it does and has done", async () => {
  const type = fresh();
  const gate = pledge();
  const poller = polling({ [type]: () => gate.kept }, { kind: "browser", labels: { tab: "7" }, concurrency: 2 });
  const first = await eventually(async () => {
    const found = await told(poller.workerId);
    return found?.kind === "browser" ? found : null; // its first question may be heard before its first report
  }, "it is listed");
  assert.deepEqual([first.is_alive, first.types, first.concurrency, first.version, first.labels],
                   [true, [type], 2, VERSION, { tab: "7" }]);
  const id = await client.submit(type);
  await eventually(async () => (await told(poller.workerId))?.running.includes(id), "it is seen at work");
  gate.keep();
  await client.waitForResult(id);
  await poller.stop();
  const last = await told(poller.workerId);
  assert.deepEqual([last?.is_alive, last?.done], [false, 1]);
});

test("quiet from outside: it takes nothing new and what runs goes on; run ends that", async () => {
  const type = fresh();
  const gate = pledge();
  const poller = polling({ [type]: () => gate.kept }, { concurrency: 2, leaseSeconds: 6 });
  const running = await client.submit(type);
  await eventually(() => poller.state.running.length === 1, "it runs");
  await eventually(() => told(poller.workerId), "it is listed");
  await call("POST", `/api/workers/${poller.workerId}/quiet`, { by: "me", reason: "an update" });
  await eventually(async () => (await told(poller.workerId))?.state === "quiet", "it is quiet");
  const waiting = await client.submit(type);
  gate.keep();
  await client.waitForResult(running);
  assert.equal(poller.state.status, "quiet");
  assert.equal((await client.task(waiting)).state, "ready");
  await call("POST", `/api/workers/${poller.workerId}/run`, {});
  assert.equal((await client.waitForResult(waiting)).success, true);
});

test("terminate from outside: it ends as if it were stopped here", async () => {
  const poller = polling({ [fresh()]: () => null });
  await eventually(() => told(poller.workerId), "it is listed");
  await call("POST", `/api/workers/${poller.workerId}/terminate`, { by: "me" });
  await eventually(() => poller.state.status === "stopped", "it has ended");
  assert.equal((await told(poller.workerId))?.is_alive, false);
});

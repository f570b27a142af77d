/** What the tests share: the real bridge, names nobody else uses, waiting for a condition, a fetch that misbehaves. */

import assert from "node:assert/strict";
import { after } from "node:test";
import { HttpTaskPoller, TaskspoolClient, type Handlers, type PollerOptions } from "../src/index.js";

/** The bridge that whoever started the tests has running; see tests/clients/typescript/. */
export const BRIDGE_URL = process.env["BRIDGE_URL"] ?? "";
assert.ok(BRIDGE_URL, "BRIDGE_URL must name a running bridge: taskspool serve bridge --port 0");

export const client = new TaskspoolClient(BRIDGE_URL);

let number = 0;

/** A task type, key or worker name no other test uses. */
export function fresh(word = "kind"): string {
  return `${word}-${process.pid}-${Date.now().toString(36)}-${number++}`;
}

/** What `look` gives as soon as it is true; looked at every 20 ms. */
export async function eventually<Value>(
  look: () => Value | Promise<Value>, why: string, seconds = 30,
): Promise<NonNullable<Value>> {
  const endsAt = performance.now() + seconds * 1000;
  for (;;) {
    const isLastLook = performance.now() >= endsAt;
    const value = await look();
    if (value) return value;
    assert.ok(!isLastLook, `not within ${seconds} s: ${why} (last value: ${JSON.stringify(value)})`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A poller that is ended with the tests of its file, also when one of them fails. */
export function polling(
  handlers: Handlers, more: Partial<PollerOptions> = {}, over: TaskspoolClient = client,
): HttpTaskPoller {
  const poller = new HttpTaskPoller(over, { handlers, onError: (error) => console.error(error), ...more }).start();
  after(() => poller.stop({ graceSeconds: 0 }));
  return poller;
}

/** The verbs of a task's history, oldest first. */
export async function verbs(taskId: string): Promise<string[]> {
  return (await client.task(taskId)).history.map((entry) => entry.verb);
}

/** What befalls a call: nothing; no connection; or the server does it and its answer is lost. */
export type Fate = "pass" | "away" | "lose";

/** A client whose every call goes to the real bridge, or meets the fate that `choose` finds for it. */
export function unlucky(choose: (method: string, path: string) => Fate): TaskspoolClient {
  const shaky: typeof fetch = async (input, init) => {
    const url = new URL(String(input));
    const fate = choose(init?.method ?? "GET", url.pathname);
    if (fate === "away") throw new TypeError("fetch failed");
    const response = await fetch(input, init);
    if (fate === "pass") return response;
    await response.text();
    throw new TypeError("the connection was cut");
  };
  return new TaskspoolClient(BRIDGE_URL, { fetch: shaky, backoff: { baseSeconds: 0.02, capSeconds: 0.1 } });
}

/** A promise and the function that keeps it. */
export function pledge<Value = void>(): { readonly kept: Promise<Value>; readonly keep: (value: Value) => void } {
  let keep: (value: Value) => void = () => undefined;
  const kept = new Promise<Value>((resolve) => (keep = resolve));
  return { kept, keep };
}

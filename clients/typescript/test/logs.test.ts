/** The live log of a task, written by a poller and followed by a client. */

import assert from "node:assert/strict";
import { test } from "node:test";
import {
  InvalidRequest, LeaseLost, LogOffset, ServerUnreachable, TaskspoolClient, type LogAccepted, type LogLine,
} from "../src/index.js";
import { systemClock } from "../src/clock.js";
import { TaskLog, type LogEntry } from "../src/task-log.js";
import { BRIDGE_URL, client, fresh, polling, unlucky } from "./support.js";
import { FakeClock } from "./fake-clock.js";

test("every line arrives once and in order, also when answers are lost, to who reads along or comes late", async () => {
  const type = fresh();
  let calls = 0;
  const shaky = unlucky((_, path) => (path.endsWith("/log") && ++calls % 2 ? "lose" : "pass"));
  polling({ [type]: async (_, context) => {
    for (let number = 0; number < 3000; number++) {
      context.log(`line ${number} ä€😀`, number % 2 ? "err" : "out");
      if (number % 500 === 0) await context.wait(0.05);
    }
  } }, {}, shaky);
  const id = await client.submit(type);
  const along = read(client, id);
  await client.waitForResult(id);
  for (const lines of [await along, await read(client, id)]) {
    assert.deepEqual(lines.map((line) => line.text), Array.from({ length: 3000 }, (_, number) => `line ${number} ä€😀`));
    assert.deepEqual(lines.map((line) => line.number), Array.from({ length: 3000 }, (_, number) => number));
    assert.deepEqual([lines[0]!.stream, lines[1]!.stream, lines[0]!.attempt], ["out", "err", 1]);
  }
  const page = await client.log(id, 2989, 5);
  assert.deepEqual([page.next, page.lines.length], [2995, 5]);
  assert.equal((await client.log(id, 2999)).is_finished, true);
});

async function read(from: TaskspoolClient, taskId: string): Promise<LogLine[]> {
  const lines: LogLine[] = [];
  for await (const line of from.followLog(taskId)) lines.push(line);
  return lines;
}

test("a reader that is cut off goes on behind its last line", async () => {
  const type = fresh();
  polling({ [type]: (_, context) => context.log(Array.from({ length: 500 }, (_, number) => `${number}`).join("\n")) });
  const id = await client.submit(type);
  await client.waitForResult(id);
  let cuts = 2;
  const cutting: typeof fetch = async (input, init) => {
    const response = await fetch(input, init);
    return cuts-- > 0 ? new Response(firstBytes(response, 20_000), { headers: response.headers }) : response;
  };
  const shaky = new TaskspoolClient(BRIDGE_URL, { fetch: cutting, backoff: { baseSeconds: 0.01, capSeconds: 0.05 } });
  const lines = await read(shaky, id);
  assert.deepEqual(lines.map((line) => line.text), Array.from({ length: 500 }, (_, number) => `${number}`));
  assert.ok(cuts < 0);
});

/** So many bytes of an answer; then the connection breaks. */
function firstBytes(response: Response, bytes: number): ReadableStream<Uint8Array> {
  const reader = response.body!.getReader();
  let left = bytes;
  return new ReadableStream({
    async pull(control): Promise<void> {
      const { value, done } = await reader.read();
      if (done) return control.close();
      control.enqueue(value.slice(0, left));
      left -= value.length;
      if (left > 0) return;
      await reader.cancel();
      control.error(new TypeError("terminated"));
    },
  });
}

test("a gap before the lines is refused, with where to go on; a strange token too", async () => {
  const type = fresh();
  const id = await client.submit(type);
  const [task] = await client.next({ types: [type] });
  const token = task!.lease.token;
  const append = (offset: number, lines: readonly unknown[], lease_token = token): Promise<LogAccepted> =>
    client.appendLog(id, { lease_token, offset, lines: lines as string[] });
  assert.equal((await append(0, ["a", { stream: "err", text: "b" }])).next_offset, 2);
  assert.equal((await append(1, ["b again", "c"])).next_offset, 3);
  await assert.rejects(append(7, ["late"]), (error) =>
    error instanceof LogOffset && error.details["next_offset"] === 3);
  await assert.rejects(append(0, ["x"], token.replace(/.$/, "z")), LeaseLost);
  await assert.rejects(append(3, [{ stream: "odd", text: "x" }]), InvalidRequest);
  const { lines } = await client.log(id);
  assert.deepEqual(lines.map((line) => [line.stream, line.text]), [["out", "a"], ["err", "b"], ["out", "c"]]);
});

test("beyond a mebibyte that cannot be sent lines are lost, and the log says how many", async () => {
  const clock = new FakeClock();
  let isAway = true;
  const sent: string[] = [];
  const log = new TaskLog(async (lines, offset) => {
    if (isAway) throw new ServerUnreachable("away");
    sent.push(...lines.map((line) => line.text));
    return offset + lines.length;
  }, clock, () => 1);
  for (let number = 0; number < 110; number++) log.write("out", "x".repeat(10_000));
  await clock.pass(10);
  isAway = false;
  await clock.pass(10);
  log.write("out", "after");
  await clock.pass(1);
  assert.equal(sent.filter((text) => text.length === 10_000).length, 104);
  assert.deepEqual(sent.slice(104, 105), ["(6 lines were lost: nobody could be reached)"]);
  assert.equal(sent.at(-1), "after");
});

test("a bridge that has more of the lines than we know of is believed", async () => {
  const sent: LogEntry[][] = [];
  let calls = 0;
  const log = new TaskLog((lines, offset) => {
    calls += 1;
    if (calls === 1) return Promise.reject(new LogOffset("gap", { details: { next_offset: 2 } }));
    sent.push([...lines]);
    return Promise.resolve(offset + lines.length);
  }, systemClock, Math.random);
  log.write("out", "a\nb\nc");
  await log.close(30);
  assert.deepEqual(sent.flat().map((line) => line.text), ["c"]);
});

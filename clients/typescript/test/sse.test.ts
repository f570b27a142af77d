/** Server-sent events as the HTML standard wants them, however the pieces are cut. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { messages, type Message } from "../src/sse.js";

async function* cut(text: string, size: number): AsyncGenerator<Uint8Array> {
  const bytes = new TextEncoder().encode(text);
  for (let start = 0; start < bytes.length; start += size) yield bytes.slice(start, start + size);
}

async function read(text: string, size: number): Promise<Message[]> {
  const found: Message[] = [];
  for await (const message of messages(cut(text, size))) found.push(message);
  return found;
}

const STREAM = ": beat\n\nid: 1\ndata: {\"a\": \"ä€😀\"}\n\nevent: reset\r\nid: 2\r\ndata:x\r\ndata: y\r\n\r\n" +
  "id: 3\rdata\r\rdata: torn";

test("every message arrives, whatever the size of the pieces, and one that did not end is dropped", async () => {
  for (let size = 1; size <= STREAM.length; size++) {
    assert.deepEqual(await read(STREAM, size), [
      { id: "1", name: "", data: '{"a": "ä€😀"}' },
      { id: "2", name: "reset", data: "x\ny" },
      { id: "3", name: "", data: "" },
    ], `pieces of ${size} bytes`);
  }
});

test("a line without an end is refused before it fills the memory", async () => {
  await assert.rejects(read(`data: ${"x".repeat(5 << 20)}`, 1 << 20), RangeError);
});

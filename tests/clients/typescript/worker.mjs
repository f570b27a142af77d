// A poller in a process of its own: node worker.mjs PACKAGE URL NAME STORE LEASE_SECONDS
// Says on its output what it does, a JSON object a line; ends with its input.

import { readFile, rename, writeFile } from "node:fs/promises";
import { pathToFileURL } from "node:url";

const [, , folder, url, workerId, file, leaseSeconds] = process.argv;
const { GiveUp, HttpTaskPoller, Retry, Snooze } = await import(pathToFileURL(`${folder}/dist/index.js`).href);

const say = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const store = {
  load: async () => JSON.parse(await readFile(file, "utf8").catch(() => "[]")),
  save: async (results) => {
    await writeFile(`${file}.new`, JSON.stringify(results));
    await rename(`${file}.new`, file);
  },
};

const fates = {
  ok: ({ number }) => ({ number }),
  error: () => { throw new TypeError("as was asked"); },
  retry: (_, context) => {
    if (context.attempt === 1) throw new Retry(0, "once more");
    return "second";
  },
  give_up: () => { throw new GiveUp("never"); },
  snooze: async (_, context) => {
    if (context.previousCheckpoint) return "rested";
    await context.checkpoint(1);
    throw new Snooze(0);
  },
  wait: async ({ seconds }, context) => {
    await context.wait(seconds);
    context.throwIfCancelled();
    return "waited";
  },
  hang: () => new Promise(() => undefined),
  die: (_, context) => {
    if (context.attempt === 1) process.kill(process.pid, "SIGKILL");
    return "survived";
  },
};

const told = async (name, data, context) => {
  say({ event: "begin", task: context.taskId, attempt: context.attempt });
  context.log(`attempt ${context.attempt}`);
  try {
    return await fates[name](data, context);
  } finally {
    say({ event: "end", task: context.taskId, attempt: context.attempt, stop: context.stopReason });
  }
};

const poller = new HttpTaskPoller(url, {
  workerId, store, concurrency: 4, leaseSeconds: Number(leaseSeconds), handlerGraceSeconds: 1,
  breaker: { failures: 3, openSeconds: 1 },
  handlers: { ts: (data, context) => told(data.fate, data, context), ping: () => ({ message: "pong" }) },
  onState: ({ status, waiting, circuit }) => say({ event: "state", status, waiting, circuit }),
  onError: (error) => say({ event: "error", message: String(error) }),
}).start();

process.stdin.resume();
process.stdin.on("end", () => void poller.stop({ graceSeconds: 1 }).then(() => process.exit(0)));

// The same job as fate_jobs.py, for the TypeScript poller: node fate_poller.mjs URL TYPE, from FATE_DIST.
import { appendFileSync, closeSync, existsSync, openSync, readFileSync } from "node:fs";

const { HttpTaskPoller, Retry, GiveUp } = await import(process.env.FATE_DIST);
const [url, type] = process.argv.slice(2);
const folder = process.env.FATE_FOLDER;
const stamps = `${folder}/stamps`;
const stamp = (id, what, word = "-") => appendFileSync(stamps, `${id} ${what} ${process.pid} ${word}\n`);
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function begin(id) {
  const open = new Set();
  for (const line of existsSync(stamps) ? readFileSync(stamps, "utf8").split("\n") : []) {
    const [who, what, number] = line.split(" ");
    if (who === id && what === "begin") open.add(number);
    if (who === id && what === "end") open.delete(number);
  }
  stamp(id, "begin", [...open].some(lives) ? "beside" : "alone");
}

function lives(number) {
  try {
    return !"ZX".includes(readFileSync(`/proc/${number}/stat`, "utf8").split(") ").at(-1)[0]);
  } catch {
    return false;
  }
}

function isFirst(id) {
  try {
    closeSync(openSync(`${folder}/${id}.first`, "wx"));
    return true;
  } catch {
    return false;
  }
}

async function fate(data, context) {
  const id = context.taskId;
  begin(id);
  const first = isFirst(id);
  if (data.fate === "hang" || data.fate === "ignore") await pause(4000);
  if (data.fate === "obey") {
    for (let left = 6000; left > 0 && !context.isCancelled; left -= 1) await pause(20);
    stamp(id, "told", context.isCancelled ? "True" : "False");
  }
  while (data.fate === "span" && !existsSync(`${folder}/go`)) await pause(50);
  stamp(id, "end");
  if (data.fate === "die" && first) process.kill(process.pid, "SIGKILL");
  if (data.fate === "error") throw new Error("it broke");
  if (data.fate === "retry" && first) throw new Retry(0.1, "not yet");
  if (data.fate === "give_up") throw new GiveUp("hopeless");
  return { task: id };
}

const poller = new HttpTaskPoller(url, {
  handlers: { [type]: fate }, workerId: type, concurrency: 4, waitSeconds: 5, handlerGraceSeconds: 0.3,
  onError: (error) => console.error(error),
});
process.on("SIGTERM", async () => {
  await poller.stop({ graceSeconds: 1 });
  process.exit(0);
});
poller.start();

/** The poller when answers are lost, the server is away, a lease is taken, or the program itself was killed. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { extensionStore, webStore, type ExtensionArea, type StopReason, type StoredResult } from "../src/index.js";
import { known } from "../src/store.js";
import { client, eventually, fresh, pledge, polling, unlucky, verbs, type Fate } from "./support.js";

/** What `chrome.storage.local` does, and what it holds: only what JSON can say. */
interface Area extends ExtensionArea {
  held(): readonly StoredResult[];
  copy(): Area;
}

function area(): Area {
  let items: Record<string, unknown> = {};
  return {
    get: async (key) => ({ [key]: items[key] }),
    set: async (more) => void (items = JSON.parse(JSON.stringify({ ...items, ...more })) as Record<string, unknown>),
    held: () => known(items["taskspool"]),
    copy: () => {
      const other = area();
      void other.set(items);
      return other;
    },
  };
}

const QUICK = { failures: 3, openSeconds: 0.2, backoff: { baseSeconds: 0.02, capSeconds: 0.1 } };

test("a claim whose answer was lost is asked again, and the task runs once", async () => {
  const type = fresh();
  let losses = 1;
  let runs = 0;
  const shaky = unlucky((_, path) => (path.endsWith("/next") && runs === 0 && losses-- > 0 ? "lose" : "pass"));
  const id = await client.submit(type);
  polling({ [type]: () => ++runs }, { breaker: QUICK }, shaky);
  assert.equal((await client.waitForResult(id)).data, 1);
  assert.deepEqual(await verbs(id), ["enqueue", "claim", "complete"]);
});

test("a result whose answer was lost is sent again, and taken once", async () => {
  const type = fresh();
  let losses = 3;
  const shaky = unlucky((_, path) => (path.endsWith("/complete") && losses-- > 0 ? "lose" : "pass"));
  const poller = polling({ [type]: () => "done" }, { breaker: QUICK }, shaky);
  const id = await client.submit(type);
  await eventually(() => poller.state.done === 1, "the poller knows that it was taken");
  assert.ok(losses < 0);
  assert.equal((await client.result(id)).data, "done");
  assert.equal((await verbs(id)).filter((verb) => verb === "complete").length, 1);
});

test("what is done while the server is away is kept, shown as waiting, and handed in when it is back", async () => {
  const type = fresh();
  let fate: Fate = "pass";
  const gate = pledge();
  const poller = polling({ [type]: () => gate.kept.then(() => "done") }, { breaker: QUICK }, unlucky(() => fate));
  const id = await client.submit(type);
  await eventually(() => poller.state.running.length === 1, "it runs");
  fate = "away";
  gate.keep();
  await eventually(() => poller.state.waiting === 1 && poller.state.circuit === "open", "it waits");
  assert.equal(poller.state.status, "offline");
  assert.match(poller.state.lastError ?? "", /no answer/);
  assert.equal((await client.task(id)).state, "claimed");
  fate = "pass";
  assert.equal((await client.waitForResult(id)).data, "done");
  await eventually(() => poller.state.status === "polling" && poller.state.waiting === 0, "it goes on");
  assert.deepEqual(await verbs(id), ["enqueue", "claim", "complete"]);
});

test("a program that ends while the server is away hands its results in when it is started again", async () => {
  const type = fresh();
  const [storage, workerId] = [area(), fresh("worker")];
  let fate: Fate = "pass";
  const options = { breaker: QUICK, store: extensionStore(storage), workerId };
  const gate = pledge();
  const first = polling({ [type]: () => gate.kept.then(() => "done") }, { ...options, onError: () => undefined },
                        unlucky(() => fate));
  const id = await client.submit(type);
  await eventually(() => first.state.running.length === 1, "it runs");
  fate = "away";
  gate.keep();
  await eventually(() => first.state.waiting === 1, "it waits");
  await first.stop({ graceSeconds: 0 });
  assert.deepEqual(storage.held().map((each) => [each.task_id, each.verb]), [[id, "complete"]]);
  polling({ [type]: () => assert.fail("it was done before") }, options);
  assert.equal((await client.waitForResult(id)).data, "done");
  await eventually(() => storage.held().length === 0, "it is crossed out");
  assert.deepEqual(await verbs(id), ["enqueue", "claim", "complete"]);
});

test("a program that was killed gives back what it had in hand, as soon as it is started again", async () => {
  const type = fresh();
  const [storage, workerId] = [area(), fresh("worker")];
  let fate: Fate = "pass";
  const killed = polling({ [type]: () => new Promise(() => undefined) },
                         { store: extensionStore(storage), workerId, breaker: QUICK, onError: () => undefined },
                         unlucky(() => fate));
  const id = await client.submit(type);
  await eventually(() => storage.held().length === 1 && killed.state.running.length === 1, "it runs");
  fate = "away";
  polling({ [type]: (_, context) => context.attempt }, { store: extensionStore(storage.copy()), workerId });
  assert.equal((await client.waitForResult(id)).data, 1);
  assert.deepEqual(await verbs(id), ["enqueue", "claim", "release", "claim", "complete"]);
});

test("a program killed between giving a task back and taking it again leaves the next one a mark of it", async () => {
  const type = fresh();
  const [first, workerId] = [area(), fresh("worker")];
  const dead = new Set<Area>();
  const dying = (store: Area, mayAsk: boolean): void => void polling(
    { [type]: () => new Promise(() => undefined) },
    { store: extensionStore(store), workerId, breaker: QUICK, onError: () => undefined },
    unlucky((_, path) => (dead.has(store) || (!mayAsk && path.endsWith("/next")) ? "away" : "pass")));
  const afterDeath = (store: Area): Area => {
    dead.add(store);
    return store.copy();
  };
  const id = await client.submit(type, {}, { lease: 600 });
  dying(first, true);
  await eventually(() => first.held().some((each) => each.is_running), "it is in hand");
  const second = afterDeath(first);
  dying(second, false);
  await eventually(() => second.held().every((each) => each.is_mark), "it is given back");
  const third = afterDeath(second);
  dying(third, true);
  await eventually(() => third.held().some((each) => each.is_running), "it is in hand again");
  const fourth = afterDeath(third);
  polling({ [type]: () => 1, [`${type}-next`]: () => 2 }, { store: extensionStore(fourth), workerId });
  assert.equal((await client.waitForResult(await client.submit(`${type}-next`))).data, 2);
  assert.deepEqual(await verbs(id), ["enqueue", "claim", "release", "claim"]);
  await eventually(() => fourth.held().length === 0, "no mark is left of what the server will count");
});

test("a checkpoint that could not be told goes with the next beat; one that is refused costs no lease", async () => {
  const type = fresh();
  let fate: Fate = "pass";
  const gate = pledge();
  polling({ [type]: async ({ chars }, context) => {
    fate = "away";
    await context.checkpoint("x".repeat(chars as number));
    fate = "pass";
    context.progress(50);
    await gate.kept;
    return "done";
  } }, { concurrency: 2, leaseSeconds: 6, breaker: { ...QUICK, failures: 1000 } }, unlucky(() => fate));
  const ids = [];
  for (const chars of [3, 500_000]) {
    const id = await client.submit(type, { chars });
    ids.push(id);
    await eventually(async () => (await client.task(id)).progress?.percent === 50, "a beat has got through");
    assert.equal((await client.task(id)).checkpoint, chars === 3 ? "xxx" : null);
  }
  gate.keep();
  for (const id of ids) assert.equal((await client.waitForResult(id)).data, "done");
});

test("a lease that was lost stops its handler, and its result is dropped", async () => {
  const type = fresh();
  let isMute = true;
  const reason = pledge<StopReason | null>();
  const poller = polling({ [type]: async (_, context) => {
    if (context.attempt > 1) return "second";
    while (!(await context.wait(600))) continue;
    reason.keep(context.stopReason);
    return "first";
  } }, { leaseSeconds: 1, concurrency: 2, breaker: { ...QUICK, failures: 1000 } },
  unlucky((_, path) => (isMute && path.endsWith("/heartbeat") ? "away" : "pass")));
  const id = await client.submit(type, {}, { max_retries: 2, backoff: { base: 0, jitter: 0 } });
  await eventually(async () => (await verbs(id)).includes("expire"), "its lease runs out");
  isMute = false;
  assert.equal(await reason.kept, "lease_lost");
  assert.equal((await client.waitForResult(id)).data, "second");
  await eventually(() => poller.state.running.length === 0 && poller.state.waiting === 0, "nothing is left");
  assert.equal(poller.state.done, 1);
});

test("a result for a lease that was lost meanwhile is refused once, and forgotten", async () => {
  const type = fresh();
  const storage = area();
  const id = await client.submit(type, {}, { max_retries: 1 });
  const [claimed] = await client.next({ types: [type] });
  await client.release(id, { lease_token: claimed!.lease.token });
  const result = { task_id: id, lease_token: claimed!.lease.token, verb: "complete", body: { data: 1 } } as const;
  await extensionStore(storage).save([result]);
  const poller = polling({ [fresh()]: () => null }, { store: extensionStore(storage) });
  await eventually(() => storage.held().length === 0, "it is forgotten");
  assert.equal(poller.state.waiting, 0);
  assert.equal((await client.task(id)).state, "ready");
});

test("a store that fails is told, and ends nothing", async () => {
  const type = fresh();
  const errors: unknown[] = [];
  const store = { load: () => Promise.reject(new Error("locked")), save: () => Promise.reject(new Error("full")) };
  polling({ [type]: () => "done" }, { store, onError: (error) => errors.push(error) });
  assert.equal((await client.waitForResult(await client.submit(type))).data, "done");
  assert.ok(errors.some((error) => /locked/.test(String(error))) && errors.some((error) => /full/.test(String(error))));
});

test("a store in a page keeps what it is given, and takes no other program's words for ours", async () => {
  const texts = new Map<string, string>();
  const storage = { getItem: (key: string) => texts.get(key) ?? null,
                    setItem: (key: string, text: string) => void texts.set(key, text) };
  const store = webStore(storage, "mine");
  assert.deepEqual(await store.load(), []);
  const result: StoredResult = { task_id: "t", lease_token: "l", verb: "fail", body: { error_message: "no" } };
  await store.save([result]);
  assert.deepEqual(await store.load(), [result]);
  const evil = '{"task_id": "a", "lease_token": "b", "verb": "eval", "body": {}}';
  for (const foreign of ["", "{", "7", `[1, null, {"task_id": 1}, ${evil}]`]) {
    texts.set("mine", foreign);
    assert.deepEqual(await store.load(), []);
  }
});

test("a worker that stops while its question is on the way loses no task to it", async () => {
  const type = fresh();
  const asked = pledge();
  const poller = polling({ [type]: () => "done" }, {}, unlucky((_, path) => {
    if (path.endsWith("/next")) asked.keep();
    return "pass";
  }));
  await asked.kept;
  const id = await client.submit(type);
  await poller.stop({ graceSeconds: 60 });
  const state = (await client.task(id)).state;
  assert.ok(state === "ready" || state === "done", state);
});

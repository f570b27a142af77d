/** The circuit breaker, on a clock that stands still. */

import assert from "node:assert/strict";
import { test } from "node:test";
import { CircuitBreaker } from "../src/breaker.js";
import { backoffSeconds } from "../src/clock.js";
import { InvalidRequest, ServerUnreachable } from "../src/index.js";
import { FakeClock, settled } from "./fake-clock.js";

const never = new AbortController().signal;
const away = (): Promise<never> => Promise.reject(new ServerUnreachable("away"));
const here = (): Promise<string> => Promise.resolve("here");

function made(): { clock: FakeClock; breaker: CircuitBreaker } {
  const clock = new FakeClock();
  return { clock, breaker: new CircuitBreaker(clock, () => 1) };
}

async function fail(breaker: CircuitBreaker, clock: FakeClock, times: number): Promise<void> {
  for (let round = 0; round < times; round++) {
    const call = breaker.run(away, never).catch(() => undefined);
    await clock.pass(10);
    await call;
  }
}

test("five outages in a row open it, and no call goes until it has been open for its time", async () => {
  const { clock, breaker } = made();
  await fail(breaker, clock, 4);
  assert.equal(breaker.state, "closed");
  await breaker.run(away, never).catch(() => undefined);
  assert.equal(breaker.state, "open");
  let calls = 0;
  const call = breaker.run(() => { calls += 1; return here(); }, never);
  await clock.pass(9.9);
  assert.equal(calls, 0);
  await clock.pass(0.2);
  assert.equal(await call, "here");
  assert.equal(breaker.state, "closed");
});

test("half-open lets one call through, and the others wait for what becomes of it", async () => {
  const { clock, breaker } = made();
  await fail(breaker, clock, 5);
  await clock.pass(10);
  let went = 0;
  let answer: (value: string) => void = () => undefined;
  const calls = [1, 2, 3].map(() => breaker.run(() => {
    went += 1;
    return went === 1 ? new Promise<string>((resolve) => (answer = resolve)) : here();
  }, never));
  await settled();
  assert.equal(breaker.state, "half-open");
  assert.equal(went, 1);
  answer("here");
  await clock.pass(0);
  assert.deepEqual(await Promise.all(calls), ["here", "here", "here"]);
});

test("half-open and no answer opens it again, for as long", async () => {
  const { clock, breaker } = made();
  await fail(breaker, clock, 5);
  await clock.pass(10);
  await assert.rejects(breaker.run(away, never), ServerUnreachable);
  assert.equal(breaker.state, "open");
});

test("the one that was let through and went away makes room for the next", async () => {
  const { clock, breaker } = made();
  await fail(breaker, clock, 5);
  await clock.pass(10);
  const leaving = new AbortController();
  const call = breaker.run(() => new Promise((_, reject) => {
    leaving.signal.addEventListener("abort", () => reject(new Error("left")));
  }), leaving.signal);
  await settled();
  leaving.abort();
  await assert.rejects(call);
  const next = breaker.run(here, never);
  await clock.pass(0);
  assert.equal(await next, "here");
});

test("whatever the server answers closes it, also a refusal", async () => {
  const { clock, breaker } = made();
  await fail(breaker, clock, 4);
  await clock.pass(10);
  await assert.rejects(breaker.run(() => Promise.reject(new InvalidRequest("no")), never), InvalidRequest);
  assert.equal(breaker.failures, 0);
});

test("the waits before it opens double up to their bound, and chance takes any part of them", () => {
  const backoff = { baseSeconds: 0.2, capSeconds: 5 };
  const waits = [1, 2, 3, 4, 5, 6, 7, 2000].map((failures) => backoffSeconds(failures, backoff, () => 1));
  assert.deepEqual(waits, [0.2, 0.4, 0.8, 1.6, 3.2, 5, 5, 5]);
  assert.equal(backoffSeconds(3, backoff, () => 0.25), 0.2);
  assert.equal(backoffSeconds(3, backoff, () => 0), 0);
});

test("a call after an outage waits for its time", async () => {
  const { clock, breaker } = made();
  await assert.rejects(breaker.run(away, never), ServerUnreachable);
  let calls = 0;
  const call = breaker.run(() => { calls += 1; return here(); }, never);
  await clock.pass(0.19);
  assert.equal(calls, 0);
  await clock.pass(0.02);
  assert.equal(await call, "here");
});

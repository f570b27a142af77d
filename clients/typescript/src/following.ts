/** A stream that is followed: when its connection breaks it is made anew, and goes on behind the last message. */

import type { Connection, Query } from "./connection.js";
import { isOutage } from "./errors.js";
import { messages, type Message } from "./sse.js";

/** A stream that says nothing for so long is broken: the bridge gives a sign of life every 15 s. */
export const SILENCE_SECONDS = 45;

export interface Following {
  readonly query?: Query;
  /** The id of the last message that was seen. */
  readonly after?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly retries: number;
  readonly silenceSeconds?: number;
}

/**
 * Every message once. Ends when a message named `end` came, or the server refuses for good: then it throws. An outage
 * is waited out, up to `retries` attempts in a row; an aborted `signal` throws its reason.
 */
export async function* follow(connection: Connection, path: string, how: Following): AsyncGenerator<Message> {
  let after = how.after;
  for (let failures = 0; ; failures++) {
    if (failures > 0) await connection.pause(failures, null, how.signal);
    const headers = { Accept: "text/event-stream", ...(after !== undefined && { "Last-Event-ID": after }) };
    const call = { query: how.query ?? {}, headers, signal: how.signal };
    try {
      for await (const message of messages(connection.stream(path, call, how.silenceSeconds ?? SILENCE_SECONDS))) {
        failures = 0;
        if (message.name === "end") return;
        after = message.id || after;
        yield message;
      }
    } catch (error) {
      if (!isOutage(error) || failures >= how.retries) throw error;
    }
  }
}

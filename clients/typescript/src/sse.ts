/** Server-sent events, read piece by piece. Source of the format: HTML standard, section 9.2.6. */

/** One message of the stream. `id` empty: the last one stands. */
export interface Message {
  readonly id: string;
  readonly name: string;
  readonly data: string;
}

/** A line that does not end by then is none of the bridge's. */
const MAX_LINE_CHARS = 4 << 20;

/** The messages in `pieces`, however they are cut. One that did not end is dropped. */
export async function* messages(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<Message> {
  let id = "";
  let name = "";
  let data: string[] = [];
  for await (const line of lines(pieces)) {
    if (line === "") {
      if (data.length > 0) yield { id, name, data: data.join("\n") };
      [id, name, data] = ["", "", []];
      continue;
    }
    const [field, value] = parted(line);
    if (field === "data") data.push(value);
    else if (field === "event") name = value;
    else if (field === "id" && !value.includes("\0")) id = value;
  }
}

function parted(line: string): readonly [string, string] {
  const colon = line.indexOf(":");
  if (colon < 0) return [line, ""];
  const value = line.slice(colon + 1);
  return [line.slice(0, colon), value.startsWith(" ") ? value.slice(1) : value];
}

/** Lines without their ends; `\r\n` counts once, also when it was cut in two. */
async function* lines(pieces: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = "";
  let isAfterReturn = false;
  for await (const piece of pieces) {
    let came = decoder.decode(piece, { stream: true });
    if (came === "") continue;
    if (isAfterReturn && came.startsWith("\n")) came = came.slice(1);
    isAfterReturn = came === "" ? false : came.endsWith("\r");
    const found = (rest + came).split(/\r\n|\r|\n/);
    rest = found.pop() ?? "";
    if (rest.length > MAX_LINE_CHARS) throw new RangeError("a line of the stream does not end");
    yield* found;
  }
}

// A worker in Node: counts the words of a text.
import { readFileSync } from "node:fs";

const task = JSON.parse(readFileSync(0, "utf8"));       // id, type, data, attempt, checkpoint, ...
console.error(`attempt ${task.attempt}`);               // stderr and stdout are the task's live log
if (typeof task.data.text !== "string") {
  console.error("the task has no text");
  process.exit(65);                                     // give up: it will never have one
}
console.log("::progress 50 counting");
const words = task.data.text.split(/\s+/).filter(Boolean).length;
console.log(JSON.stringify({ words }));                 // the last line is the result

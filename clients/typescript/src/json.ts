/** What JSON can say, and the check that a value is such. */

import { InvalidRequest } from "./errors.js";

export type Json = null | boolean | number | string | readonly Json[] | JsonObject;
export interface JsonObject {
  readonly [name: string]: Json | undefined;
}

/** The longest chain of values in values that is written. */
const MAX_DEPTH = 200;

/**
 * `value` as JSON text; `undefined` is null. Fields that are undefined are left out, `toJSON` is asked (a Date is its
 * text). Throws InvalidRequest for what JSON cannot say: NaN, functions, Maps and Sets, circles.
 */
export function toJson(value: unknown, field = "data"): string {
  check(value, field, 0);
  return JSON.stringify(value === undefined ? null : value);
}

function check(value: unknown, field: string, depth: number): void {
  if (depth > MAX_DEPTH) throw refusal(field, "it is nested too deeply, or holds itself");
  if (typeof value === "number" && !Number.isFinite(value)) throw refusal(field, `${value} is no number of JSON`);
  if (["function", "symbol", "bigint"].includes(typeof value)) throw refusal(field, `a ${typeof value} is no JSON`);
  if (typeof value !== "object" || value === null || hasOwnText(value)) return;
  if (value instanceof Map || value instanceof Set) throw refusal(field, "Maps and Sets are no JSON");
  for (const each of Array.isArray(value) ? value : Object.values(value)) check(each, field, depth + 1);
}

function hasOwnText(value: object): boolean {
  return "toJSON" in value && typeof value.toJSON === "function";
}

function refusal(field: string, why: string): InvalidRequest {
  return new InvalidRequest(`${field} must be JSON: ${why}`, { details: { field, rule: "JSON" } });
}

/** `text` with its half characters replaced: UTF-8 has none. */
export function wellFormed(text: string): string {
  return text.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
}

export function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

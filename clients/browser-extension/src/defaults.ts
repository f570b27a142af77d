/** What holds until a person says otherwise. Whoever builds for others, whose bridge is elsewhere, changes it here. */

export const DEFAULTS = {
  address: "http://127.0.0.1:8091",
  /** How often Chrome starts the service worker anew if it was ended. 30 is the least a packed extension gets. */
  alarmSeconds: 30,
  /** How many tasks are done at once. */
  concurrency: 4,
} as const;

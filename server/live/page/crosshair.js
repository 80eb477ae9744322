/** The instant that somebody points at, which is the same one in all charts; null when nobody does. */

const listeners = new Set();
let current = null;

export function onPointed(listener) {
  listeners.add(listener);
}

/** Point at `time`, in Unix seconds, or at nothing. */
export function pointAt(time) {
  if (time === current) return;
  current = time;
  for (const listener of listeners) listener(time);
}

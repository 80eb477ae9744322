/** The server's numbers: asked for once a second while somebody looks, and kept for as long as the charts show. */

const PATIENCE_MS = 5000;

/**
 * Follow the server for ever.
 *
 * `show(document, points)` gets each answer of /live and all points of the last minutes; points outlive a restart of
 * the server, which numbers its own anew. `lost(since)` is told, each second, when there is no answer.
 */
export async function follow(show, lost) {
  let points = [];
  let started = null;
  let last = Date.now();
  for (;;) {
    try {
      const since = points.length && started !== null ? points.at(-1).number : 0;
      let document = await ask(since);
      if (started !== document.about.started && since > 0) document = await ask(0);
      started = document.about.started;
      points = merged(points, document);
      last = Date.now();
      show(document, points);
    } catch (error) {
      if (!(error instanceof Unanswered)) throw error;
      lost(last);
    }
    await pause(1000);
  }
}

class Unanswered extends Error {}

async function ask(since) {
  try {
    const response = await fetch(`/live?since=${since}`, { cache: "no-store", signal: AbortSignal.timeout(PATIENCE_MS) });
    if (!response.ok) throw new Error(response.statusText);
    return await response.json();
  } catch (error) {
    throw new Unanswered(error.message);
  }
}

function merged(points, document) {
  const newest = points.length ? points.at(-1).time : -Infinity;
  const all = [...points, ...document.points.filter((point) => point.time > newest)];
  const end = all.length ? all.at(-1).time : 0;
  return all.filter((point) => point.time > end - document.about.history);
}

/** Wait; in a tab that nobody sees, until somebody does. */
async function pause(milliseconds) {
  await new Promise((resolve) => setTimeout(resolve, milliseconds));
  while (document.hidden) {
    await new Promise((resolve) => document.addEventListener("visibilitychange", resolve, { once: true }));
  }
}

/** From numbers to shapes. */

// Without a point for so long, a line is broken: nobody knows what was.
const GAP_SECONDS = 3.5;

/** The next number that a person likes at the top of an axis. */
export function niceTop(value) {
  if (!(value > 0)) return 1;
  const size = 10 ** Math.floor(Math.log10(value));
  return [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((step) => value <= step * size * (1 + 1e-9)) * size;
}

/** Rows of numbers as layers, each on top of those before it; where all are unknown, so are the layers. */
export function stack(rows) {
  const sums = (rows[0] ?? []).map(() => 0);
  return rows.map((row) => row.map((value, index) => (value === null ? null : (sums[index] += value))));
}

/** A path along `values`; with `floor`, the area between them and it. */
export function curve(times, values, x, y, floor = null) {
  return runs(times, values)
    .map((run) => {
      const top = run.map((index) => `${x(times[index]).toFixed(1)} ${y(values[index]).toFixed(1)}`);
      if (!floor) return run.length > 1 ? `M${top.join("L")}` : `M${top[0]}h1`;
      const back = run.map((index) => `${x(times[index]).toFixed(1)} ${y(floor[index] ?? 0).toFixed(1)}`).reverse();
      return `M${top.join("L")}L${back.join("L")}Z`;
    })
    .join("");
}

/** The positions of known values, in runs without a gap. */
function runs(times, values) {
  const found = [];
  let last = -Infinity;
  values.forEach((value, index) => {
    if (value === null || value === undefined) return;
    const follows = found.length && found.at(-1).at(-1) === index - 1 && times[index] - last <= GAP_SECONDS;
    if (follows) found.at(-1).push(index);
    else found.push([index]);
    last = times[index];
  });
  return found;
}

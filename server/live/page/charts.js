/** Which charts there are, and what each of them shows; a colour means the same in all of them. */

import { Chart } from "./chart.js";
import { batch, bytes, cores, count, duration, perSecond } from "./format.js";

const OUTCOMES = ["ok", "rejected", "invalid", "failed", "cancelled"];
const OUTCOME_LABELS = ["answered", "rejected", "bad input", "failed", "cancelled"];
const STAGES = ["decode", "queue", "compute", "rest"];
const NO_REQUESTS = "no requests in these minutes";

/** Series of the same name and colour, each reading one place of `point[key]`. */
function places(key, names, colours = names) {
  return names.map((label, index) => ({ label, colour: colours[index], value: (point) => point[key]?.[index] ?? null }));
}

/** Those that are not zero all the time; the first one always. */
function present(points, series) {
  return series.filter((one, index) => index === 0 || points.some((point) => one.value(point)));
}

function reasons(points) {
  const seen = new Set(points.flatMap((point) => Object.keys(point.reasons)));
  return [...seen].sort().map((reason) => ({
    label: reason.replaceAll("_", " "),
    colour: reason,
    value: (point) => point.reasons[reason] ?? 0,
  }));
}

/** All charts, for a server with the facts `about`. */
export function charts(about) {
  const outcomes = places("rates", OUTCOME_LABELS, OUTCOMES);
  const latency = places("latency", ["p50", "p95", "p99"]);
  return [
    new Chart({
      title: "Requests",
      note: "Requests that ended in each second, by outcome; an image of a call counts as one",
      series: (points) => present(points, outcomes),
      unit: perSecond,
      stacked: true,
      empty: NO_REQUESTS,
    }),
    new Chart({
      title: "Latency",
      note: "From arrival to answer, of the ten seconds before; interpolated within the histogram's buckets",
      series: () => latency,
      unit: duration,
      least: 0.005,
      limit: () => ({ value: about.objective, label: `objective ${duration(about.objective)}` }),
      empty: NO_REQUESTS,
    }),
    new Chart({
      title: "Where the time goes",
      note: "Mean of an answer's time, of the ten seconds before",
      series: () => places("stages", STAGES),
      unit: duration,
      stacked: true,
      least: 0.005,
      empty: NO_REQUESTS,
    }),
    new Chart({
      title: "Queue",
      note: "Requests that wait for an instance, once a second; of the model whose queue is the fullest",
      series: () => places("queue", ["waiting"], ["queue"]),
      unit: count,
      stacked: true,
      least: 4,
      limit: (points) => {
        const most = points.at(-1).queue?.[1];
        return most ? { value: most, label: `limit ${count(most)}` } : null;
      },
      empty: "nobody waits",
    }),
    new Chart({
      title: "Refused and failed, by reason",
      series: reasons,
      unit: perSecond,
      stacked: true,
      empty: "every request was answered",
    }),
    new Chart({
      title: "Batch size",
      note: "Rows of an execution, in each second",
      series: () => places("batch", ["mean", "largest"], ["compute", "rest"]),
      unit: batch,
      least: 2,
      empty: NO_REQUESTS,
    }),
    new Chart({
      title: `Processors, of ${about.machine_cores}`,
      note: "Cores that are busy: by this server, and by all processes of the machine",
      series: () => [
        { label: "server", colour: "compute", value: (point) => point.processors[0] },
        { label: "machine", colour: "rest", value: (point) => point.processors[1] * about.machine_cores },
      ],
      unit: cores,
      least: about.machine_cores,
    }),
    new Chart({
      title: "Memory",
      note: "Resident memory of this server",
      series: () => places("memory", ["server"], ["compute"]),
      unit: bytes,
      measure: 2 ** 20,
      limit: () => ({ value: about.machine_memory, label: `machine ${bytes(about.machine_memory)}` }),
    }),
    new Chart({
      title: "Event loop lag",
      note: "How late the network's thread was, at worst in each second",
      series: () => [{ label: "lag", colour: "rest", value: (point) => point.lag }],
      unit: duration,
      stacked: true,
      least: 0.01,
      empty: "none",
    }),
  ];
}

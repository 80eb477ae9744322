/** The slowest answers and the latest failures, each with where its time went. */

import { html, whenChanged } from "./dom.js";
import { clock, count, duration } from "./format.js";

const STAGES = ["decode", "queue", "compute", "rest"];

/** A bar of `seconds` by stage; its length is the share that their sum has of `longest`. */
export function breakdown(seconds, longest) {
  const total = seconds.reduce((sum, value) => sum + value, 0);
  const told = STAGES.map((stage, index) => `${stage} ${duration(seconds[index])}`).join(", ");
  const bar = html("div", { class: "breakdown", role: "img", "aria-label": told, title: told });
  seconds.forEach((value, index) => {
    const part = html("i", { "data-colour": STAGES[index] });
    part.style.width = `${(100 * value) / Math.max(longest, total, 1e-9)}%`;
    bar.append(part);
  });
  return bar;
}

/** Returns a function that shows `requests` in `list`, if they have changed; `empty` says that there are none. */
export function requestList(list, empty) {
  return whenChanged((requests) => {
    const longest = Math.max(...requests.map((request) => request.total), 0);
    const none = html("li", { class: "muted" }, empty);
    list.replaceChildren(...(requests.length ? requests.map((request) => item(request, longest)) : [none]));
  });
}

function item(request, longest) {
  const about = [
    request.model && (request.version ? `${request.model}/${request.version}` : request.model),
    request.method,
    request.batch > 0 && `batch of ${count(request.batch)}`,
    request.id && `id ${request.id}`,
  ];
  return html(
    "li",
    {},
    html("time", {}, clock(request.finished)),
    request.reason ? html("span", { class: "chip" }, html("i", { "data-colour": request.reason }), request.reason) : null,
    html("b", {}, duration(request.total)),
    breakdown(request.stages, longest),
    html("span", { class: "muted about" }, about.filter(Boolean).join(" · ")),
  );
}

/** The verdict and the figures below it: what there is to see within the first seconds. */

import { html, whenChanged } from "./dom.js";
import { clock, count, duration, percent, perSecond, rate, UNKNOWN } from "./format.js";

const SIGNS = { ok: "✓", idle: "○", wait: "…", warn: "!", bad: "✕", lost: "⚡" };

export class Verdict {
  constructor(element) {
    this.element = element;
    this.sign = html("span", { class: "sign", "aria-hidden": "true" });
    this.title = html("h2", { role: "status" });
    this.reason = html("p");
    this.others = html("ul");
    element.replaceChildren(this.sign, html("div", {}, this.title, this.reason, this.others));
    this.#title = whenChanged((text) => (this.title.textContent = text)); // screen readers tell each change
  }

  #title;

  /** `findings` are `{level, title, reason}`, the worst first. */
  show(findings) {
    const [first, ...others] = findings;
    this.element.dataset.level = first.level;
    document.title = `${SIGNS[first.level]} ${first.title} · CoordServe`;
    this.sign.textContent = SIGNS[first.level];
    this.#title(first.title);
    this.reason.textContent = first.reason;
    this.others.replaceChildren(
      ...others.map((each) => html("li", { "data-level": each.level }, html("b", {}, each.title), ` ${each.reason}`)),
    );
  }

  /** Nobody has answered since `last`, in milliseconds. */
  showLost(last) {
    const told = `The server has not answered since ${clock(last / 1e3)}. What is below is from then; trying again…`;
    this.show([{ level: "lost", title: "Connection lost", reason: told }]);
  }
}

/** Seven figures of the last seconds. */
export class Figures {
  constructor(element) {
    this.tiles = {};
    for (const [key, label] of TILES) {
      const value = html("dd", { "data-figure": key });
      const detail = html("dd", { class: "detail" });
      this.tiles[key] = { value, detail };
      element.append(html("div", {}, html("dt", {}, label), value, detail));
    }
  }

  show(now, objective) {
    const { summary } = now;
    this.#put("rate", rate(summary.rate), `per second, last ${summary.seconds} s`);
    summary.latency.forEach((quantile, index) => {
      const late = quantile !== null && quantile[0] > objective;
      this.#put(["p50", "p95", "p99"][index], duration(quantile?.[0]), between(quantile), late ? "warn" : "");
    });
    const bad = summary.not_answered > 0.01 ? "warn" : "";
    this.#put("errors", percent(summary.not_answered), details(summary), bad);
    const full = summary.capacity && summary.waiting / summary.capacity > 0.5 ? "warn" : "";
    this.#put("queue", count(summary.waiting), `of at most ${count(summary.capacity)}`, full);
    this.#put("busy", `${summary.busy} / ${summary.instances}`, `${count(now.succeeded)} answered in all`);
  }

  #put(key, value, detail, level = "") {
    const tile = this.tiles[key];
    tile.value.textContent = value;
    tile.value.dataset.level = level;
    tile.detail.textContent = detail;
  }
}

const TILES = [
  ["rate", "Requests"],
  ["p50", "p50 latency"],
  ["p95", "p95 latency"],
  ["p99", "p99 latency"],
  ["errors", "Not answered"],
  ["queue", "Waiting"],
  ["busy", "Instances busy"],
];
const OUTCOME_LABELS = { rejected: "rejected", invalid: "bad input", failed: "failed", cancelled: "cancelled" };

/** What the histogram really knows of a quantile. */
function between(quantile) {
  if (!quantile) return UNKNOWN;
  const [, low, high] = quantile;
  if (high === null) return `above ${duration(low)}`;
  return low === 0 ? `below ${duration(high)}` : `${duration(low)} to ${duration(high)}`;
}

function details({ outcomes, seconds }) {
  const kinds = Object.keys(OUTCOME_LABELS).filter((kind) => outcomes[kind] > 0);
  if (!kinds.length) return "no failures";
  return kinds.map((kind) => `${OUTCOME_LABELS[kind]} ${perSecond(outcomes[kind] / seconds)}`).join(", ");
}

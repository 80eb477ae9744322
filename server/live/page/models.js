/** The table of models and versions. */

import { html } from "./dom.js";
import { batch, count, duration, perSecond, rate, UNKNOWN } from "./format.js";

const COLUMNS = ["Model", "State", "Requests/s", "p50", "p99", "Mean batch", "Queue", "Busy", "Failures", "Answered"];
const FAILURES = { REJECTED: "rejected", CANCELED: "cancelled", BACKEND: "failed inside", OTHER: "bad input or other" };

export class Models {
  constructor(table) {
    this.body = html("tbody");
    const heads = COLUMNS.map((name, index) => html("th", { scope: "col", class: index > 1 ? "number" : null }, name));
    table.append(html("thead", {}, html("tr", {}, ...heads)), this.body);
  }

  show(models) {
    const none = html("tr", {}, html("td", { colspan: COLUMNS.length, class: "muted" }, "The repository is empty."));
    this.body.replaceChildren(...(models.length ? models.map(row) : [none]));
  }
}

function row(model) {
  const name = model.version ? html("span", { class: "muted" }, ` / ${model.version}`) : null;
  const state = html("td", { "data-label": COLUMNS[1] }, html("span", { class: "state", "data-state": model.state }, word(model.state)));
  if (model.reason) state.append(html("div", { class: "reason" }, model.reason));
  const cells = [html("th", { scope: "row" }, model.name, name), state];
  const values = model.instances === undefined ? COLUMNS.slice(2).map(() => UNKNOWN) : numbers(model);
  values.forEach((value, index) => {
    const kind = value === UNKNOWN ? "number unknown" : "number";
    cells.push(html("td", { class: kind, "data-label": COLUMNS[index + 2] }, value));
  });
  return html("tr", {}, ...cells);
}

function numbers(model) {
  return [
    rate(model.rate),
    duration(model.latency[0]?.[0]),
    duration(model.latency[2]?.[0]),
    batch(model.batch),
    ...(model.instances ? places(model) : [UNKNOWN, UNKNOWN]), // an ensemble's requests wait for its steps' models
    failures(model),
    count(model.total),
  ];
}

function places(model) {
  return [`${count(model.waiting)} / ${count(model.capacity)}`, `${model.busy} / ${model.instances}`];
}

function failures(model) {
  const kinds = Object.entries(model.failures);
  if (!kinds.length) return model.failed_total ? `none now, ${count(model.failed_total)} before` : "none";
  return kinds.map(([reason, value]) => `${FAILURES[reason] ?? reason} ${perSecond(value)}`).join(", ");
}

function word(state) {
  return { READY: "ready", LOADING: "loading", UNAVAILABLE: "unavailable" }[state] ?? state;
}

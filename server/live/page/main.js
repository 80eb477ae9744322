/** Puts the page together, and keeps it up to date. */

import { charts } from "./charts.js";
import { ClassifyBox } from "./classify.js";
import { follow } from "./feed.js";
import { age } from "./format.js";
import { Models } from "./models.js";
import { requestList } from "./requests.js";
import { Figures, Verdict } from "./verdict.js";

const find = (id) => document.getElementById(id);

const verdict = new Verdict(find("verdict"));
const figures = new Figures(find("figures"));
const models = new Models(find("models"));
const slowest = requestList(find("slowest"), "No request was answered in the last ten minutes.");
const failures = requestList(find("failures"), "No request has failed.");
const box = new ClassifyBox(find("classify"));
let drawn = null;

function show({ about, now }, points) {
  document.body.classList.remove("lost");
  find("about").textContent = `${about.version} · up ${age(Date.now() / 1e3 - about.started)}`;
  box.most = about.most_image_bytes;
  if (!now) return; // the server has only just started to look
  if (!drawn) {
    drawn = charts(about);
    find("charts").replaceChildren(...drawn.map((chart) => chart.element));
  }
  verdict.show(now.findings);
  figures.show(now, about.objective);
  for (const chart of drawn) chart.draw(points, about.history);
  models.show(now.models);
  slowest(now.slowest);
  failures(now.failures);
  box.showModels([...new Set(now.models.filter((model) => model.state === "READY").map((model) => model.name))]);
}

function lost(since) {
  document.body.classList.add("lost");
  verdict.showLost(since);
}

follow(show, lost);

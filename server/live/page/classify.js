/** The box that takes an image, by drop, choice or paste, and shows what a model takes it for. */

import { html, whenChanged } from "./dom.js";
import { count, duration, percent } from "./format.js";
import { breakdown } from "./requests.js";

export class ClassifyBox {
  constructor(element) {
    this.input = element.querySelector("input");
    this.model = element.querySelector("select");
    this.preview = element.querySelector("img");
    this.output = element.querySelector("output");
    this.zone = element.querySelector(".drop");
    this.most = Infinity;
    this.asked = 0;
    this.showModels = whenChanged((names) => this.#offer(names));
    this.#listen();
  }

  /** Ask the server what is in `file`, and show that. */
  async classify(file) {
    const number = ++this.asked; // an answer that comes after a newer question is of no interest
    URL.revokeObjectURL(this.preview.src);
    this.preview.src = URL.createObjectURL(file);
    this.preview.hidden = false;
    this.output.replaceChildren(html("p", { class: "muted" }, "asking the server…"));
    const shown = await this.#ask(file);
    if (number === this.asked) this.output.replaceChildren(...shown);
  }

  async #ask(file) {
    if (file.size > this.most) return problem(`The file has more than ${count(this.most)} bytes.`);
    try {
      const address = `/classify?model=${encodeURIComponent(this.model.value)}`;
      const response = await fetch(address, { method: "POST", body: file });
      const answer = await response.json();
      return response.ok ? result(answer) : problem(answer.error, answer.code);
    } catch {
      return problem("The server did not answer.");
    }
  }

  #offer(names) {
    const chosen = this.model.value;
    const options = names.map((name) => html("option", { value: name }, name));
    this.model.replaceChildren(html("option", { value: "" }, "the only one for images"), ...options);
    if (names.includes(chosen)) this.model.value = chosen;
  }

  #listen() {
    this.input.addEventListener("change", () => this.#take(this.input.files));
    document.addEventListener("paste", (event) => this.#take(event.clipboardData.files));
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      this.zone.classList.add("over");
    });
    document.addEventListener("dragleave", () => this.zone.classList.remove("over"));
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      this.zone.classList.remove("over");
      this.#take(event.dataTransfer.files);
    });
    this.preview.addEventListener("error", () => (this.preview.hidden = true));
  }

  #take(files) {
    if (files.length) this.classify(files[0]);
  }
}

function problem(text, code = "") {
  return [html("p", { class: "problem" }, code ? html("b", {}, code) : null, ` ${text}`)];
}

function result(answer) {
  const classes = answer.classes.map((each) => {
    const bar = html("i");
    bar.style.width = `${each.probability * 100}%`;
    const label = html("span", { class: "label" }, each.label || `class ${each.index}`);
    return html("li", {}, label, html("span", { class: "bar" }, bar), html("b", {}, percent(each.probability)));
  });
  const { decode, queue, compute, total } = answer.seconds;
  const stages = [decode, queue, compute, Math.max(0, total - decode - queue - compute)];
  const names = ["decode", "queue", "compute", "rest"];
  const legend = stages.map((seconds, index) =>
    html("li", {}, html("i", { "data-colour": names[index] }), names[index], html("b", {}, duration(seconds))),
  );
  const facts = `${answer.model} / ${answer.version} · ${duration(total)} in all · batch of ${answer.batch_size}`;
  return [
    html("ol", { class: "classes" }, ...classes),
    breakdown(stages, total),
    html("ul", { class: "legend" }, ...legend),
    html("p", { class: "muted" }, facts),
  ];
}

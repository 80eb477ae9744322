/** A chart of the last minutes: lines, or areas on top of each other, with a crosshair that all charts share. */

import { onPointed, pointAt } from "./crosshair.js";
import { html, svg } from "./dom.js";
import { clock } from "./format.js";
import { curve, niceTop, stack } from "./geometry.js";

const HEIGHT = 132;
const TOP = 14;
const BOTTOM = 18;
const MINUTE = 60;
const STEP = 5; // seconds that an arrow key moves the crosshair

/**
 * `series(points)` lists `{label, colour, value(point)}`, `unit` formats values, `least` is the smallest top of the
 * axis, `limit(points)` a `{value, label}` to compare with, or null; `empty` is shown where there is nothing to draw.
 * `measure` is the size of a unit whose round numbers the axis takes.
 */
export class Chart {
  constructor({ title, note, series, unit, stacked = false, least = 0, measure = 1, ...more }) {
    const { limit = () => null, empty = "no data" } = more;
    Object.assign(this, { title, series, unit, stacked, least, measure, limit, empty });
    this.points = [];
    this.top = 0;
    this.pointed = null;
    this.legend = html("ul", { class: "legend" });
    this.canvas = svg("svg", { class: "plot", tabindex: "0", role: "img", height: HEIGHT });
    const heading = html("h3", note ? { title: note } : {}, title);
    this.element = html("figure", { class: "panel chart" }, html("figcaption", {}, heading, this.legend), this.canvas);
    this.#listen();
  }

  draw(points, span) {
    this.points = points;
    this.span = span;
    this.#render();
  }

  #render() {
    const width = this.canvas.clientWidth;
    if (!this.points.length || !width) return;
    this.end = this.points.at(-1).time;
    this.shown = this.series(this.points);
    const rows = this.shown.map((one) => this.points.map(one.value));
    const layers = this.stacked ? stack(rows) : rows;
    const limit = this.limit(this.points);
    this.#scale(layers, limit);
    const x = (time) => width - ((this.end - time) / this.span) * width;
    const y = (value) => HEIGHT - BOTTOM - (value / this.top) * (HEIGHT - BOTTOM - TOP);
    this.x = x;
    const times = this.points.map((point) => point.time);
    const shapes = layers.map((layer, index) => this.#shape(layer, layers[index - 1], this.shown[index], times, x, y));
    this.cross = svg("line", { class: "cross", y1: TOP, y2: HEIGHT - BOTTOM });
    this.when = svg("text", { class: "when", y: HEIGHT - 5 });
    const nothing = rows.every((row) => row.every((value) => !value));
    this.canvas.replaceChildren(
      ...this.#grid(width, y),
      ...shapes.reverse(),
      ...this.#limitLine(limit, width, y),
      ...(nothing ? [svg("text", { class: "empty", x: width / 2, y: HEIGHT / 2 }, this.empty)] : []),
      this.cross,
      this.when,
    );
    this.#label();
  }

  /** The axis grows at once and shrinks only when it is far too large: it must not jump to and fro. */
  #scale(layers, limit) {
    const largest = layers.flat().reduce((most, value) => Math.max(most, value ?? 0), this.least);
    const near = limit && limit.value <= largest * 4 ? Math.max(largest, limit.value * 1.08) : largest;
    const top = niceTop(near / this.measure) * this.measure;
    if (top > this.top || top < this.top / 2) this.top = top;
  }

  #shape(layer, below, one, times, x, y) {
    const d = curve(times, layer, x, y, this.stacked ? (below ?? layer.map(() => 0)) : null);
    return svg("path", { class: this.stacked ? "area" : "line", "data-colour": one.colour, d });
  }

  #grid(width, y) {
    const parts = [];
    for (const share of [0, 0.5, 1]) {
      const level = Math.round(y(this.top * share)) + 0.5;
      parts.push(svg("line", { class: "grid", x1: 0, x2: width, y1: level, y2: level }));
      if (share) parts.push(svg("text", { class: "tick", x: 2, y: level - 3 }, this.#tick(this.top * share)));
    }
    const first = Math.ceil((this.end - this.span) / MINUTE) * MINUTE;
    for (let time = first; time <= this.end; time += MINUTE) {
      const place = this.x(time);
      if (place < 18 || place > width - 18) continue;
      parts.push(svg("text", { class: "tick minute", x: place, y: HEIGHT - 5 }, clock(time, false)));
    }
    return parts;
  }

  /** Axes have round numbers, which need no decimals. */
  #tick(value) {
    return this.unit(value).replace(/\.0+(?!\d)/, "");
  }

  #limitLine(limit, width, y) {
    if (!limit) return [];
    const inside = limit.value <= this.top;
    const level = inside ? Math.round(y(limit.value)) + 0.5 : TOP;
    const place = { x: width - 2, y: level + (inside ? -4 : 1) };
    if (!inside) return [svg("text", { class: "far", ...place }, `${limit.label} ↑`)];
    const line = svg("line", { class: "limit", x1: 0, x2: width, y1: level, y2: level });
    return [line, svg("text", { class: "limit", ...place }, limit.label)];
  }

  /** The legend tells the newest values, or those at the crosshair. */
  #label() {
    const point = this.pointed === null ? this.points.at(-1) : this.#nearest(this.pointed);
    const texts = this.shown.map((one) => [one.label, this.unit(one.value(point))]);
    const items = texts.map(([label, value], index) =>
      html("li", {}, html("i", { "data-colour": this.shown[index].colour }), label, html("b", {}, value)),
    );
    this.legend.replaceChildren(...items);
    this.canvas.setAttribute("aria-label", `${this.title}: ${texts.map((pair) => pair.join(" ")).join(", ")}`);
    const place = this.x(point.time);
    const state = this.pointed === null ? "none" : "inline";
    for (const part of [this.cross, this.when]) part.style.display = state;
    this.cross.setAttribute("x1", place);
    this.cross.setAttribute("x2", place);
    this.when.setAttribute("x", Math.min(Math.max(place, 28), this.canvas.clientWidth - 28));
    this.when.textContent = clock(point.time);
  }

  #nearest(time) {
    return this.points.reduce((best, point) =>
      Math.abs(point.time - time) < Math.abs(best.time - time) ? point : best,
    );
  }

  #listen() {
    new ResizeObserver(() => this.#render()).observe(this.canvas);
    onPointed((time) => {
      this.pointed = time;
      if (this.points.length && this.x) this.#label();
    });
    const { canvas } = this;
    canvas.addEventListener("pointermove", (event) => {
      if (!this.points.length) return;
      const share = 1 - event.offsetX / canvas.clientWidth;
      pointAt(this.#nearest(this.end - share * this.span).time);
    });
    canvas.addEventListener("pointerleave", () => pointAt(null));
    canvas.addEventListener("blur", () => pointAt(null));
    canvas.addEventListener("keydown", (event) => this.#key(event));
  }

  #key(event) {
    const step = { ArrowLeft: -STEP, ArrowRight: STEP }[event.key];
    if (event.key === "Escape") pointAt(null);
    if (!step || !this.points.length) return;
    event.preventDefault();
    pointAt(this.#nearest((this.pointed ?? this.end) + step).time);
  }
}

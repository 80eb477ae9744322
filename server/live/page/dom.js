/** Making elements: text only ever becomes text, so nothing that a model or a caller named can become markup. */

const SVG = "http://www.w3.org/2000/svg";

/** An HTML element; `attributes` may hold `class` and any other attribute, `children` are elements and texts. */
export function html(name, attributes = {}, ...children) {
  return filled(document.createElement(name), attributes, children);
}

/** The same for SVG. */
export function svg(name, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, name), attributes, children);
}

/** Calls `render(value)` when `value` has changed since the last time; what is selected or focused else stays so. */
export function whenChanged(render) {
  let last;
  return (value) => {
    const text = JSON.stringify(value);
    if (text !== last) render(value);
    last = text;
  };
}

function filled(element, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) {
    if (value !== undefined && value !== null) element.setAttribute(key, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

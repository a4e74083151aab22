/* Elements are made one by one, never parsed: no text of a table can become markup. */

const SVG = "http://www.w3.org/2000/svg";

/** An element with attributes; `on` holds listeners, `true` is an empty attribute, null is none. */
function element(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

/** The same for a part of a drawing. */
function drawing(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(made, { on = {}, ...attributes }, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    made.setAttribute(name, value === true ? "" : value);
  }
  for (const [event, act] of Object.entries(on)) made.addEventListener(event, act);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

/** A number with a true minus sign; an en dash where there is none. */
function written(value, digits) {
  if (value === null || !Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "−");
}

/** Where a value lies on an axis, in percent: outside on the edge, in the middle of one without length. */
function placed(value, { low, high }) {
  if (!(high > low)) return 50;
  return 100 * Math.min(Math.max((value - low) / (high - low), 0), 1);
}

function shortened(text, length) {
  return text.length <= length ? text : `${text.slice(0, length - 1).trimEnd()}…`;
}

/** A name as nodes that may be broken after its marks, sooner than inside a word. */
function breakable(name) {
  return name.split(/(?<=[_./-])/).flatMap((part, k) => (k ? [element("wbr"), part] : [part]));
}

/** A thin rail with a dot where a score lies among all pictures. */
function rail(value, score) {
  const dot = Number.isFinite(value) && value !== null
    ? drawing("circle", { class: "dot small", cx: `${placed(value, score)}%`, cy: "50%", r: 4 })
    : null;
  return drawing("svg", { class: "plot", width: "100%", height: 12, "aria-hidden": "true" },
    drawing("line", { class: "rail", x1: "0", x2: "100%", y1: "50%", y2: "50%" }), dot);
}

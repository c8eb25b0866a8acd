// Parallel coordinates: one line per trial, one axis per parameter. Dragging along an axis filters the trials.

import { el, fill, svg } from "./dom.js";

const WIDTH = 1000, HEIGHT = 300, LEFT = 70, TOP = 34, BOTTOM = 270;

export function parallel(change) {
  const image = svg("svg", { class: "parallel", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, role: "img", "aria-label": "Parallel coordinates of the trials" });
  const clear = el("button", { type: "button", onclick: () => { kept.clear(); update(); } }, "Show all trials");
  // The same filter for the keyboard.
  const which = el("select", { "aria-label": "Axis" }), from = el("input", { size: 8, "aria-label": "From" }), to = el("input", { size: 8, "aria-label": "To" });
  const form = el("form", { class: "bar", onsubmit: (event) => { event.preventDefault(); keep(); } },
    el("span", { class: "soft" }, "Drag along an axis to filter trials, or keep"), which, el("span", {}, "from"), from, el("span", {}, "to"), to, el("button", {}, "Keep"), clear);
  const element = el("div", {}, el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Parallel coordinates" }, image), form);
  const kept = new Map(); // name of an axis -> [top, bottom] of the selected range
  let rows = [], axes = [];

  const valueOf = (row, name) => (name === axes.metric ? row.value : row.point[name]);
  const inside = (row) => [...kept].every(([name, [top, bottom]]) => {
    const axis = axes.find((one) => one.name === name);
    const y = axis ? axis.y(valueOf(row, name)) : TOP;
    return y !== null && y >= top - 1 && y <= bottom + 1;
  });

  function draw(trials, metric) {
    rows = trials.filter((row) => typeof row.value === "number");
    const names = [...new Set(rows.flatMap((row) => Object.keys(row.point)))];
    axes = [...names, metric].map((name) => axisOf(name, rows.map((row) => (name === metric ? row.value : row.point[name]))));
    axes.metric = metric;
    const listed = axes.filter((axis) => axis.isNumeric).map((axis) => axis.name);
    if (listed.join() !== [...which.options].map((one) => one.value).join()) fill(which, listed.map((one) => el("option", { value: one }, one)));
    element.hidden = rows.length < 2 || !names.length;
    update();
  }

  function keep() {
    const axis = axes.find((one) => one.name === which.value);
    const [low, high] = [from, to].map((input, at) => (input.value.trim() === "" ? [-Infinity, Infinity][at] : Number(input.value)));
    const ys = [low, high].map((value, at) => (Number.isFinite(value) ? axis.y(value) : [BOTTOM, TOP][at]));
    kept.set(axis.name, [Math.min(...ys), Math.max(...ys)]);
    update();
  }

  function update() {
    const step = (WIDTH - 2 * LEFT) / Math.max(axes.length - 1, 1);
    const lines = rows.map((row) => svg("polyline", { class: inside(row) ? "" : "out",
      points: axes.map((axis, at) => [LEFT + step * at, axis.y(valueOf(row, axis.name))]).filter(([, y]) => y !== null).map((p) => p.map((c) => c.toFixed(1)).join()).join(" ") },
      titled(`trial ${row.trial}: ${JSON.stringify(row.point)} ${row.shown}`)));
    image.replaceChildren(...lines, ...axes.flatMap((axis, at) => drawn(axis, LEFT + step * at)));
    clear.hidden = !kept.size;
    change(kept.size ? (row) => typeof row.value === "number" && inside(row) : () => true);
  }

  function drawn(axis, x) {
    const name = svg("text", { x, y: 16, "text-anchor": "middle" });
    name.textContent = axis.name.split(".").pop();
    const ticks = axis.ticks.map(([y, text]) => {
      const tick = svg("text", { x: x + 5, y: y + 4 });
      tick.textContent = text;
      return tick;
    });
    const range = kept.get(axis.name);
    const brush = range ? [svg("rect", { class: "brush", x: x - 9, y: range[0], width: 18, height: Math.max(range[1] - range[0], 2) })] : [];
    const hit = svg("rect", { class: "hit", x: x - 16, y: TOP - 6, width: 32, height: BOTTOM - TOP + 12 });
    hit.addEventListener("pointerdown", (down) => drag(axis.name, down));
    return [svg("line", { class: "axis", x1: x, x2: x, y1: TOP, y2: BOTTOM }), name, ...ticks, ...brush, hit];
  }

  function drag(name, down) {
    down.preventDefault();
    const at = (event) => {
      const box = image.getBoundingClientRect();
      const scale = Math.min(box.width / WIDTH, box.height / HEIGHT);
      const y = (event.clientY - box.top - (box.height - HEIGHT * scale) / 2) / scale;
      return Math.min(Math.max(y, TOP - 4), BOTTOM + 4);
    };
    const start = at(down);
    const move = (event) => { const y = at(event); kept.set(name, [Math.min(start, y), Math.max(start, y)]); update(); };
    const end = (event) => {
      removeEventListener("pointermove", move);
      removeEventListener("pointerup", end);
      if (Math.abs(at(event) - start) < 3) { kept.delete(name); update(); }
    };
    addEventListener("pointermove", move);
    addEventListener("pointerup", end);
  }

  return { element, draw };
}

function titled(text) {
  const title = svg("title");
  title.textContent = text;
  return title;
}

// A numeric axis, logarithmic if the values span two decades or more; a categorical one for anything else.
function axisOf(name, values) {
  const numbers = values.filter((value) => typeof value === "number" && Number.isFinite(value));
  const low = Math.min(...numbers), high = Math.max(...numbers);
  if (numbers.length === values.length && high > low) {
    const log = low > 0 && high / low >= 100;
    const scale = log ? Math.log : (value) => value;
    const y = (value) => (typeof value === "number" ? BOTTOM - ((scale(value) - scale(low)) / (scale(high) - scale(low))) * (BOTTOM - TOP) : null);
    const marks = [0, 1, 2, 3, 4].map((at) => (log ? low * (high / low) ** (at / 4) : low + ((high - low) * at) / 4));
    return { name, y, isNumeric: true, ticks: marks.map((value) => [y(value), String(Number(value.toPrecision(3)))]) };
  }
  const listed = [...new Set(values.map((value) => JSON.stringify(value) ?? "-"))].sort();
  const place = (text) => BOTTOM - ((listed.indexOf(text) + 0.5) / listed.length) * (BOTTOM - TOP);
  return { name, y: (value) => place(JSON.stringify(value) ?? "-"), ticks: listed.slice(0, 12).map((text) => [place(text), text.slice(0, 14)]) };
}

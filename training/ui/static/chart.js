// Overlaid curves. With smoothing, the raw line stays visible under the smoothed one.

import { el, select } from "./dom.js";

const COLOURS = ["#3b76e1", "#e0662a", "#1f9d57", "#b04fc4", "#c99700", "#19a3b5", "#d6336c", "#7a8794", "#8a5a2b", "#5c7d0e"];
const NOT_CURVES = new Set(["epoch", "step", "time", "best_epoch"]);
export const AXES = ["epoch", "step", "minutes"];

const WHOLE = Array.from({ length: 36 }, (_, at) => [1, 2, 5][at % 3] * 10 ** Math.floor(at / 3));
const PLAIN = new Intl.NumberFormat("en-US", { maximumSignificantDigits: 6 });

export const colour = (at) => COLOURS[at % COLOURS.length];

// The label of a tick. uPlot's own rounds to three decimals, where learning rates are all the same.
export const tick = (value) => (value === null ? "" : value && Math.abs(value) < 1e-4 ? Number(value.toPrecision(6)).toExponential() : PLAIN.format(value));

export function metricsOf(rows) {
  const names = new Set();
  for (const row of rows) for (const [name, value] of Object.entries(row)) if (typeof value === "number") names.add(name);
  return [...names].filter((name) => !NOT_CURVES.has(name));
}

// [x, y] of one metric. If a resumed run reported a step twice, the later report counts.
export function points(rows, name, axis) {
  const start = rows.find((row) => typeof row.time === "number")?.time;
  const found = new Map();
  for (const row of rows) {
    const x = axis === "minutes" ? (row.time - start) / 60 : row[axis];
    if (typeof x === "number" && Number.isFinite(x) && typeof row[name] === "number") found.set(x, row[name]);
  }
  return [...found].sort((a, b) => a[0] - b[0]);
}

// Exponential moving average with bias correction, as in Adam.
function smoothed(values, weight) {
  let mean = 0, share = 0;
  return values.map((value) => {
    if (value === null || value === undefined) return value;
    mean = weight * mean + (1 - weight) * value;
    share = weight * share + (1 - weight);
    return mean / share;
  });
}

// series: [{label, points, colour, dashed, dots, bars: [[x, low, high]]}]; names: tick labels for 0, 1, …
export function chart(title, large = false) {
  const place = el("div");
  const figure = el("figure", { class: large ? "chart large" : "chart" }, el("figcaption", {}, title), place);
  let plot = null, last = null;
  // Computed colours: a canvas does not resolve CSS variables.
  const css = (element, property) => getComputedStyle(element)[property];

  function draw(series, { log = false, smoothing = 0, axis = "epoch", logX = false, names = null } = {}) {
    last = [series, { log, smoothing, axis, logX, names }];
    const keep = (y) => (y !== null && Number.isFinite(y) && (!log || y > 0) ? y : null);
    const tables = series.map((one) => [one.points.map((p) => p[0]), one.points.map((p) => keep(p[1]))]);
    const [xs, ...columns] = tables.length ? uPlot.join(tables) : [[]];
    const lines = [], data = [xs];
    series.forEach((one, at) => {
      const style = { stroke: one.colour, dash: one.dashed ? [5, 4] : undefined, spanGaps: true, points: { show: one.dots || xs.length < 2, size: one.dots ? 7 : 5 }, ...(one.dots ? { paths: () => null } : {}) };
      const value = (_, y) => (y === null || y === undefined ? "-" : String(Number(y.toPrecision(6))));
      if (smoothing) {
        lines.push({ ...style, label: `${one.label} (raw)`, class: "raw", value, alpha: 0.3, width: 1 });
        data.push(columns[at]);
      }
      lines.push({ ...style, label: one.label, value, width: 1.7 });
      data.push(smoothing ? smoothed(columns[at], smoothing) : columns[at]);
    });
    const shape = JSON.stringify([lines.map((line) => [line.label, line.stroke]), log, axis, logX, names]);
    if (plot && plot.shape === shape) return plot.setData(data);
    plot?.destroy();
    const line = { stroke: css(place, "color"), grid: { stroke: css(figure, "borderTopColor"), width: 1 }, ticks: { stroke: css(figure, "borderTopColor"), width: 1 } };
    const options = {
      width: Math.max(place.clientWidth, 200),
      height: large ? 340 : 220,
      scales: { x: { time: false, ...(logX ? { distr: 3 } : {}) }, y: log ? { distr: 3 } : {} },
      axes: [
        { ...line, label: axis, labelSize: 18, size: 34, ...(axis === "epoch" || axis === "step" ? { incrs: WHOLE } : {}),
          values: (_, at) => at.map((one) => (names ? names[one] ?? "" : tick(one))) },
        { ...line, size: 64, values: (_, at) => at.map(tick) },
      ],
      series: [{ label: axis }, ...lines],
      legend: { live: true },
      hooks: { draw: [(shown) => drawBars(shown, last[0])] },
    };
    plot = new uPlot(options, data, place);
    plot.shape = shape;
    const canvas = place.querySelector("canvas");
    canvas.setAttribute("role", "img");
    canvas.setAttribute("aria-label", `${title} by ${axis}`);
  }

  const observer = new ResizeObserver(() => {
    if (plot && place.clientWidth && Math.abs(place.clientWidth - plot.width) > 2) plot.setSize({ width: place.clientWidth, height: plot.height });
  });
  observer.observe(place);
  figure.redraw = () => {
    plot?.destroy();
    plot = null;
    if (last) draw(...last);
  };
  return { figure, draw };
}

// Error bars: [x, low, high] each.
function drawBars(plot, series) {
  const { ctx } = plot;
  for (const one of series) {
    ctx.strokeStyle = one.colour;
    ctx.lineWidth = 1.5 * devicePixelRatio;
    for (const [x, low, high] of one.bars ?? []) {
      const at = plot.valToPos(x, "x", true);
      ctx.beginPath();
      ctx.moveTo(at, plot.valToPos(low, "y", true));
      ctx.lineTo(at, plot.valToPos(high, "y", true));
      ctx.stroke();
    }
  }
}

// The controls of all curves on a page; `change` is called with the new values.
export function controls(params, change) {
  const chosen = { axis: params.get("x") || "epoch", log: params.get("log") === "1", smoothing: Number(params.get("smooth")) || 0 };
  if (!AXES.includes(chosen.axis)) chosen.axis = "epoch";
  const told = (changes, address) => {
    Object.assign(chosen, changes);
    change(address);
  };
  const bar = el("div", { class: "bar" },
    select("Horizontal axis", AXES, chosen.axis, (axis) => told({ axis }, { x: axis })),
    el("label", { class: "inline" },
      el("input", { type: "checkbox", checked: chosen.log, onchange: (event) => told({ log: event.target.checked }, { log: event.target.checked ? "1" : "" }) }),
      "Logarithmic"),
    el("label", {}, "Smoothing",
      el("input", { type: "range", min: 0, max: 0.98, step: 0.02, value: chosen.smoothing,
        oninput: (event) => told({ smoothing: Number(event.target.value) }, { smooth: event.target.value === "0" ? "" : event.target.value }) })));
  return { bar, chosen };
}

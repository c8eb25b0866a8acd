// Several runs: overlaid curves, spec differences, metrics side by side, and whether the difference may be chance.

import { el, fill, section, select, state, table } from "./dom.js";
import { get, listen, query } from "./api.js";
import { chart, colour, controls, metricsOf, points } from "./chart.js";

export async function compare(place, params, change) {
  const keys = params.getAll("run");
  let shown = await get("compare", { run: keys });
  const runs = shown.runs;
  const cursors = new Map(runs.map((run) => [run.key, run.reports.cursor]));
  const names = [...new Set(runs.flatMap((run) => metricsOf(run.reports.rows)))];
  let metric = params.get("metric") || ["val_accuracy", "val_loss"].find((name) => names.includes(name)) || names[0] || "";
  const big = chart("Curves", true);
  const { bar, chosen } = controls(params, (changes) => { change(changes); draw(); });
  bar.prepend(select("Metric", names, metric, (name) => { metric = name; change({ metric }); draw(); }));
  const tables = el("div");

  function draw() {
    big.figure.querySelector("figcaption").textContent = metric;
    big.draw(runs.map((run, at) => ({ label: run.id, colour: colour(at), points: points(run.reports.rows, metric, chosen.axis) })), chosen);
  }

  function drawTables() {
    const head = ["", ...shown.runs.map((run) => run.id)];
    const lines = (found) => Object.entries(found).map(([name, values]) => [name, ...values]);
    const states = ["state", ...shown.runs.map((run) => state(run.state))];
    const intervals = [...new Set(shown.runs.flatMap((run) => (run.figures?.metrics ?? []).filter((one) => one.interval).map((one) => one.name)))];
    const interval = (run, name) => {
      const found = run.figures?.metrics?.find((one) => one.name === name)?.interval;
      return found ? `${found[0].toFixed(4)} to ${found[1].toFixed(4)}` : "-";
    };
    fill(tables,
      shown.test ? el("p", {}, `Test: ${shown.test}`) : "",
      Object.entries(shown.changes).map(([name, part]) => section(`${part.count} samples ${name} in the second run`,
        table(["sample", "label", ...shown.runs.map((run) => run.id)], (part.largest ?? []).map((row) => [row.sample, row.label, row.first, row.second].map((value) => String(value ?? "-"))), name))),
      section("Differences", table(head, [states, ...lines(shown.differing)], "Differences")),
      section("Metrics", table(head, lines(shown.metrics), "Metrics")),
      intervals.length ? section("95 % intervals on the test split", table(head, intervals.map((name) => [name, ...shown.runs.map((run) => interval(run, name))]), "Intervals")) : "");
  }

  place.append(el("h1", {}, `Compare ${runs.length} runs`),
    el("p", {}, runs.map((run) => [el("a", { href: `#/run?${query({ run: run.key })}` }, run.id), " "])), bar, big.figure, tables);
  draw();
  drawTables();
  return listen(() => ({ run: [...cursors].map(([key, cursor]) => `${key}@${cursor}`) }), {
    reports: (told) => {
      const run = runs.find((one) => one.key === told.key);
      cursors.set(told.key, told.cursor);
      if (told.restarted) run.reports.rows.length = 0;
      run.reports.rows.push(...told.rows);
      draw();
    },
    touched: async ({ key, state: now }) => {
      const run = shown.runs.find((one) => one.key === key);
      if (run.state === now) return;
      run.state = now;
      shown = await get("compare", { run: keys });
      drawTables();
    },
  });
}

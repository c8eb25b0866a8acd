// One run: live curves, output, predictions, spec and environment, and why it ended.

import { copyable, el, facts, fill, folded, section, select, state, table } from "./dom.js";
import { get, listen, post, query } from "./api.js";
import { chart, colour, controls, metricsOf, points } from "./chart.js";

const MOST_LOG = 200_000;

export async function run(place, params, change) {
  const key = params.get("run") || "";
  let shown = await get("run", { run: key });
  const rows = shown.reports.rows;
  let { cursor } = shown.reports, logCursor = shown.log.cursor, shownAt = performance.now();
  document.title = `${shown.id} - Text Recognizer`;

  const top = el("div"), commands = el("div");
  const said = el("span", { role: "status" });
  const steering = el("div", { class: "bar" }, el("button", { type: "button", onclick: async () => {
    said.textContent = await post("stop", { run: key }).then((answer) => answer.said, (fault) => fault.message);
  } }, "Stop at the next checkpoint"), said);
  const charts = new Map();
  const curves = el("div", { class: "charts" });
  const { bar, chosen } = controls(params, (changes) => { change(changes); draw(); });
  const log = el("pre", { class: "log", tabindex: "0", role: "region", "aria-label": "Output of the run" }, plain(shown.log.text));
  const rest = el("div");
  const none = el("p", { class: "soft" }, "No reports yet.");
  place.append(top, steering, commands, section("Curves", bar, none, curves), section("Output", log), rest);

  function drawTop() {
    const ended = shown.ending.length ? shown.ending : shown.error ? [shown.error] : [];
    steering.hidden = !["created", "running"].includes(shown.state);
    if (steering.hidden) said.textContent = "";
    fill(top,
      el("h1", {}, shown.id, " ", state(shown.state)),
      ended.map((text) => el("p", {}, text)),
      shown.damage ? el("p", { class: "error" }, shown.damage) : null,
      facts([
        ["group", shown.group], ["exit reason", shown.cause], ["epoch", `${epoch() || "-"} of ${shown.epochs ?? "-"}`],
        ["created", shown.times.created], ["ended", shown.times.ended], ["duration", duration()], ["peak memory", memory(shown.memory)],
        ["folder", shown.folder], ["views of the test metrics", shown.test_looks?.problem ?? shown.test_looks],
      ]));
  }

  // The status of a running run has the epoch at which it was resumed, if any.
  function epoch() {
    const reported = rows.findLast((row) => row.epoch)?.epoch;
    return shown.state === "running" ? reported || shown.epoch : shown.epoch || reported;
  }

  function duration() {
    if (shown.duration_s === null) return null;
    return `${(shown.duration_s + (shown.state === "running" ? (performance.now() - shownAt) / 1000 : 0)).toFixed(1)} s`;
  }

  function draw() {
    const names = metricsOf(rows);
    none.hidden = names.length > 0;
    const shared = names.filter((name) => !name.startsWith("test_")).filter((name) => !name.startsWith("val_") || !names.includes(name.slice(4)));
    for (const name of shared) {
      if (!charts.has(name)) {
        charts.set(name, chart(name));
        curves.append(charts.get(name).figure);
      }
      const pair = name.startsWith("val_") ? [name] : [name, `val_${name}`].filter((one) => names.includes(one));
      charts.get(name).draw(pair.map((one, at) => ({ label: one, points: points(rows, one, chosen.axis), colour: colour(at) })), chosen);
    }
  }

  function drawRest() {
    const { figures, environment, attempts, spec } = shown;
    fill(commands, shown.commands.map(copyable));
    fill(rest,
      summary(shown),
      figures?.risk_coverage?.length ? confidences(figures) : "",
      figures?.confusions?.length ? section("Confusions", table(["label", "read as", "count"], figures.confusions, "Confusions")) : "",
      shown.has_predictions ? samples(key, params, change) : "",
      section("Attempts", attempts?.problem ? el("p", { class: "error" }, attempts.problem) : (Array.isArray(attempts) ? attempts : []).map(attempt)),
      folded("Spec", el("pre", { tabindex: "0" }, JSON.stringify(spec, null, 2))),
      folded("Environment", el("pre", { tabindex: "0" }, JSON.stringify(environment, null, 2))));
  }

  function addReports(told) {
    if (told.restarted) rows.length = 0;
    rows.push(...told.rows);
    cursor = told.cursor;
    drawTop();
    draw();
  }

  function addLog(told) {
    const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 30;
    logCursor = told.cursor;
    log.textContent = ((told.restarted ? "" : log.textContent) + plain(told.text)).slice(-MOST_LOG);
    if (atEnd) log.scrollTop = log.scrollHeight;
  }

  async function touched({ state: now, epoch }) {
    const same = now === shown.state;
    shown.epoch = epoch;
    if (!same) {
      shown = await get("run", { run: key, brief: "1" });
      shownAt = performance.now();
    }
    drawTop();
    if (!same) drawRest();
  }

  drawTop();
  draw();
  drawRest();
  log.scrollTop = log.scrollHeight;
  return listen(() => ({ run: `${key}@${cursor}`, log: `${key}@${logCursor}` }), { reports: addReports, log: addLog, touched });
}

const memory = (most) => (most && typeof most === "object" ? Object.entries(most).map(([name, mib]) => `${name} ${mib} MiB`).join(", ") : null);

// Strips terminal escape sequences; of a line that was overwritten (progress bars), keeps the last version.
const plain = (text) => text.replace(/\u001b\[[0-9;?]*[A-Za-z]/g, "").replace(/[^\n]*\r(?!\n)/g, "");

function summary(shown) {
  const figures = shown.figures?.metrics;
  if (shown.figures?.problem) return section("Test", el("p", { class: "error" }, shown.figures.problem));
  if (figures?.length) {
    const rows = figures.map((one) => [one.name, exact(one.shown, one.value), one.interval ? `${one.interval[0].toFixed(4)} to ${one.interval[1].toFixed(4)}` : ""]);
    return section(`Metrics on the ${shown.figures.split} split, ${shown.figures.count ?? "?"} samples`, table(["metric", "value", "95 % interval"], rows, "Metrics"));
  }
  const rows = Object.entries(shown.shown).map(([name, text]) => [name, exact(text, shown.summary[name])]);
  return rows.length ? section("Metrics", table(["metric", "value"], rows, "Metrics")) : "";
}

function confidences(figures) {
  const reliability = chart("Reliability"), risk = chart("Error rate of samples accepted unchecked");
  const levels = figures.calibration.map((one, at) => ({ label: `${one.level}, calibration error ${one.error}`, colour: colour(at), points: one.bins }));
  const place = section("Confidence", figures.unseen ? el("p", {}, figures.unseen) : null, el("div", { class: "charts" }, reliability.figure, risk.figure));
  requestAnimationFrame(() => { // after layout, when it has a width
    reliability.draw([{ label: "ideal", colour: "#888", dashed: true, points: [[0, 0], [1, 1]] }, ...levels], { axis: "confidence" });
    risk.draw([{ label: "error", colour: colour(1), points: figures.risk_coverage }], { axis: "share accepted unchecked" });
  });
  return place;
}

const exact = (text, value) => el("span", { title: String(value) }, text);

function attempt(one, at) {
  const when = typeof one.time === "number" ? new Date(one.time * 1000).toLocaleString() : null;
  const ended = one.ended && typeof one.ended === "object" ? [one.ended.state, one.ended.error].filter((text) => typeof text === "string").join(": ") : null;
  const texts = (value) => (value === undefined ? null : typeof value === "string" ? value : JSON.stringify(value));
  return el("div", {}, el("h3", {}, `Attempt ${at + 1}`), facts([["started", when], ["host", texts(one.host)], ["devices", texts(one.devices)], ["command", one.command], ["ended", ended]]));
}

function samples(key, params, change) {
  const place = el("div", { class: "samples" });
  const note = el("p", { class: "soft" });
  let order = params.get("samples") || "worst", seed = 0;
  const load = async () => {
    try {
      const found = await get("samples", { run: key, order, seed, count: 24 });
      note.textContent = `${found.wrong.toLocaleString()} of ${found.count.toLocaleString()} are wrong.${found.problem ? ` ${found.problem}` : ""}`;
      place.replaceChildren(...found.rows.map((one) => sample(key, one, !found.problem)));
    } catch (error) {
      note.textContent = error.message;
    }
  };
  const more = el("button", { type: "button", onclick: () => { seed += 1; load(); } }, "Other samples");
  const choose = (chosen) => { order = chosen; more.hidden = order !== "random"; change({ samples: chosen }); load(); };
  more.hidden = order !== "random";
  load();
  return section("Samples of the test split", el("div", { class: "bar" }, select("Order", ["worst", "best", "random"], order, choose), more), note, place);
}

function sample(key, one, hasPicture) {
  const marked = one.edits.map(([kind, read, right]) => (kind === "equal" ? right : [read ? el("del", {}, read) : null, right ? el("ins", {}, right) : null]));
  const wrong = one.label !== one.predicted;
  return el("figure", {},
    hasPicture ? el("img", { src: `/api/picture?${query({ run: key, position: one.position })}`, alt: one.label }) : null,
    el("figcaption", {}, wrong ? marked : el("b", {}, one.label), el("br"),
      el("span", { class: "soft" }, wrong ? "read as " : "read correctly"), wrong ? el("span", { class: "wrong" }, one.predicted || "(nothing)") : null,
      typeof one.confidence === "number" ? el("span", { class: "soft" }, ` ${one.confidence.toFixed(3)}`) : null));
}

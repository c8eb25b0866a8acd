// The list of sweeps; one sweep: its trials and why each was stopped, best value over time, effect of the parameters.

import { el, facts, fill, section, select, state, table } from "./dom.js";
import { get, listen, post, query } from "./api.js";
import { chart, colour } from "./chart.js";
import { parallel } from "./parallel.js";

export async function sweeps(place) {
  const shown = await get("sweeps");
  const rows = shown.rows.map(([key, , ...cells]) => cells.map((text, at) =>
    at === 0 ? el("a", { href: `#/sweep?${query({ sweep: key })}` }, text) : shown.columns[at] === "state" ? state(text) : text));
  place.append(el("h1", {}, "Sweeps"), rows.length ? table(shown.columns, rows, "Sweeps") : el("p", { class: "soft" }, "No sweeps yet."));
}

export async function sweep(place, params, change) {
  const key = params.get("sweep") || "";
  const shown = await get("sweep", { sweep: key });
  const trials = new Map(shown.trials_shown.map((row) => [row.trial, row]));
  const better = shown.goal === "maximize" ? (a, b) => a > b : (a, b) => a < b;
  let within = () => true;

  const top = el("div"), list = el("div"), rungs = el("div"), importance = el("div");
  const best = chart("Best so far"), scatter = chart("Scatter");
  const parameters = () => [...new Set([...trials.values()].flatMap((row) => Object.keys(row.point)))];
  const measures = () => [shown.metric, ...new Set([...trials.values()].flatMap((row) => Object.keys(row.tested)))];
  let across = params.get("across") || parameters()[0] || "", up = params.get("up") || shown.metric;
  const choice = el("div", { class: "bar" }), said = el("span", { role: "status" });
  const ask = (action) => el("button", { type: "button", onclick: async () => {
    said.textContent = await post("steer", { sweep: key, action }).then((answer) => answer.said, (fault) => fault.message);
  } }, { pause: "Pause", resume: "Resume", stop: "Stop" }[action]);
  const steering = el("div", { class: "bar" }, ["pause", "resume", "stop"].map(ask), said);
  let offered = "";
  const lines = parallel((test) => { within = test; drawList(); });
  place.append(top, steering, section("Trials", lines.element, list), section("Effect of the parameters", choice, el("div", { class: "charts" }, best.figure, scatter.figure), importance), rungs);

  function ordered() {
    const worth = (row) => row.value === null || row.value === undefined;
    return [...trials.values()].sort((a, b) => worth(a) - worth(b) || (better(a.value, b.value) ? -1 : better(b.value, a.value) ? 1 : a.trial - b.trial));
  }

  function counts() {
    const states = [...trials.values()].map((row) => row.state);
    return [...new Set(states)].map((name) => `${states.filter((one) => one === name).length} ${name}`).join(", ");
  }

  function drawTop() {
    steering.hidden = !shown.holder;
    if (steering.hidden) said.textContent = "";
    const first = ordered().find((row) => row.state === "finished");
    fill(top, el("h1", {}, shown.name, " ", state(shown.state)),
      shown.damage ? el("p", { class: "error" }, shown.damage) : null,
      first ? el("p", {}, "Best: ", trialLink(first), `, ${shown.metric} ${first.shown} with ${Object.entries(first.point).map(([name, value]) => `${name.split(".").pop()} ${text(value)}`).join(", ")}`) : null,
      facts([["search", `${shown.method}, ${shown.goal} ${shown.metric}`], ["trials", `${shown.trials}: ${counts()}`], 
        ["created", shown.created], ["sweep file", shown.source], ["driver", shown.holder], ["folder", shown.folder]]));
  }

  const trialLink = (row) => (row.runs[0] ? el("a", { href: `#/run?${query({ run: row.runs[0] })}` }, `trial ${row.trial}`) : `trial ${row.trial}`);

  // The decision that stopped a trial, if one did.
  function why(row) {
    const stop = row.decisions.find((one) => one.stop);
    return [...(stop ? [row.state === "finished" ? `it finished before the decision took effect: ${stop.text}` : stop.text] : []), ...row.why.filter((text) => !stop || !text.includes(stop.text))].join("; ");
  }

  function drawList() {
    const rows = ordered().filter(within);
    const names = [...new Set(rows.flatMap((row) => Object.keys(row.point)))];
    fill(list, el("p", { class: "soft", role: "status" }, `${rows.length} of ${trials.size} trials`),
      table(["trial", "state", shown.metric, "reason for stopping", ...names.map((name) => name.split(".").pop())], rows.map((row) => [trialLink(row), state(row.state), row.shown,
        el("span", { class: "long" }, why(row)), ...names.map((name) => (row.point[name] === undefined ? "-" : text(row.point[name])))]), "Trials"));
  }

  function drawCharts() {
    const over = [...trials.values()].filter((row) => row.ended && typeof row.value === "number" && ["finished", "stopped"].includes(row.state)).sort((a, b) => a.ended - b.ended);
    let record = null;
    const steps = over.map((row) => [(row.ended - over[0].ended) / 60, (record = record === null || better(row.value, record) ? row.value : record)]);
    const each = over.map((row) => [(row.ended - over[0].ended) / 60, row.value]);
    best.draw([{ label: "best so far", points: steps, colour: colour(0) }, { label: "each trial", points: each, colour: colour(1), dots: true }], { axis: "minutes" });
    const value = (row) => (up === shown.metric ? row.value : row.tested[up]);
    const drawn = [...trials.values()].filter((row) => row.point[across] !== undefined && typeof value(row) === "number");
    const isScale = drawn.every((row) => typeof row.point[across] === "number");
    const names = isScale ? null : [...new Set(drawn.map((row) => text(row.point[across])))].sort();
    const x = (row) => (isScale ? row.point[across] : names.indexOf(text(row.point[across])));
    drawn.sort((a, b) => x(a) - x(b));
    const beside = drawn.length ? 1e-9 * (x(drawn.at(-1)) - x(drawn[0]) || 1) : 0; // of points with the same x, only the last would be drawn
    const bars = drawn.filter((row) => up === shown.metric && typeof row.half === "number").map((row) => [x(row), row.value - row.half, row.value + row.half]);
    const logX = isScale && drawn.length > 1 && x(drawn[0]) > 0 && x(drawn.at(-1)) / x(drawn[0]) >= 100;
    scatter.draw([{ label: up, points: drawn.map((row, at) => [x(row) + at * beside, value(row)]), colour: colour(2), dots: true, bars }], { axis: across, logX, names });
    scatter.figure.querySelector("figcaption").textContent = `${up} by ${across}`;
  }

  function drawChoice() {
    const names = JSON.stringify([parameters(), measures()]);
    if (names === offered) return;
    offered = names;
    fill(choice, select("Horizontal axis", parameters(), across, (name) => { across = name; change({ across }); drawCharts(); }),
      select("Vertical axis", measures(), up, (name) => { up = name; change({ up }); drawCharts(); }));
  }

  function drawRungs() {
    const decided = [...trials.values()].flatMap((row) => row.decisions).sort((a, b) => a.time - b.time);
    const bands = [...new Set(decided.map((one) => one.band))].filter((band) => band !== null && band !== undefined).sort((a, b) => a - b);
    fill(rungs, bands.length ? section("Early termination", table(["band", "decisions", "stopped", "continued", "last threshold"], bands.map((band) => {
      const at = decided.filter((one) => one.band === band);
      const stopped = at.filter((one) => one.stop).length;
      return [band, at.length, stopped, at.length - stopped, at.at(-1).threshold].map(text);
    }), "Early termination")) : null);
  }

  async function drawImportance() {
    if ([...trials.values()].filter((row) => ["finished", "stopped"].includes(row.state)).length < 4) return;
    const found = Object.entries(await get("importance", { sweep: key }).catch(() => ({})));
    fill(importance, found.length ? [el("h3", {}, `Parameter importance for ${shown.metric}`), table(["parameter", "share", ""], found.map(([name, share]) =>
      [name, share.toFixed(2), el("meter", { min: 0, max: 1, value: share, "aria-label": `Importance of ${name}` })]), "Importance")] : null);
  }

  function draw() {
    drawTop();
    lines.draw([...trials.values()], shown.metric);
    drawList();
    drawChoice();
    drawCharts();
    drawRungs();
  }

  draw();
  drawImportance();
  return listen(() => ({ sweep: key }), {
    trials: async (changed) => {
      for (const row of changed) trials.set(row.trial, row);
      if (!changed.length || changed.some((row) => row.state !== "running")) Object.assign(shown, await get("sweep", { sweep: key, brief: 1 }));
      draw();
    },
  });
}

const text = (value) => (typeof value === "number" ? String(Number(value.toPrecision(5))) : typeof value === "string" ? value : JSON.stringify(value) ?? "-");

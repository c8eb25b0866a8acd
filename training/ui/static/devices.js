// Devices: their holders, the queue, and memory and load over the last hour.

import { el, facts, fill, section, table } from "./dom.js";
import { get } from "./api.js";
import { chart, colour } from "./chart.js";

const EVERY_MS = 5000;

export async function devices(place) {
  const now = el("div"), memory = chart("Memory in MiB, last hour"), load = chart("Load in percent, last hour");
  const past = el("div", { class: "charts" }, memory.figure, load.figure);
  place.append(el("h1", {}, "Devices"), now, past);
  let timer;

  async function draw() {
    const shown = await get("devices");
    const rows = shown.devices.map((one, at) => [one.index === null ? "hidden" : String(one.index), `${one.name} ${one.uuid}`,
      `${one.used_mib ?? "?"} / ${one.memory_mib ?? "?"}`, one.utilisation_percent === null ? "?" : `${one.utilisation_percent} %`, shown.states[at]]);
    fill(now,
      shown.absence ? el("p", {}, `No GPU on this machine: ${shown.absence}. Runs use the CPU.`) : table(["--gpu", "device", "memory (MiB)", "load", "state"], rows, "Devices"),
      shown.waiting_texts.length ? section("Waiting, oldest first", el("ol", {}, shown.waiting_texts.map((text) => el("li", {}, text)))) : null,
      facts([["CPU threads", String(shown.cpu_threads)], ["leases", shown.lock_folder]]));
    past.hidden = !shown.devices.length;
    const series = (at) => shown.devices.map((one, number) => ({ label: one.name, colour: colour(number),
      points: shown.readings.map((reading) => [reading[0], reading[at][one.uuid]]).filter(([, y]) => typeof y === "number") }));
    if (shown.devices.length) {
      memory.draw(series(1), { axis: "minutes ago" });
      load.draw(series(2), { axis: "minutes ago" });
    }
    timer = setTimeout(() => draw().catch(() => (timer = setTimeout(draw, EVERY_MS))), EVERY_MS);
  }

  await draw();
  return () => clearTimeout(timer);
}

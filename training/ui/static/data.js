// Data: registered files and their state, and the datasets of the runs: sizes, class balance, samples, rejected samples.

import { el, facts, fill, section, select, table } from "./dom.js";
import { get, query } from "./api.js";

export async function data(place, params) {
  const shown = await get("data");
  const used = shown.used.map((one) => [el("a", { href: `#/dataset?${query({ run: one.run })}` }, one.dataset), one.arguments, String(one.runs)]);
  const size = (bytes) => (bytes ? `${(bytes / 1e6).toFixed(1)} MB` : "unknown");
  place.append(el("h1", {}, "Data"),
    section("Datasets used by these runs", used.length ? table(["dataset", "arguments", "runs"], used, "Datasets") : el("p", { class: "soft" }, "No runs yet.")),
    section("Registered files", table(["name", "title", "licence", "files", "size", "state"],
      shown.remote.map((one) => [one.name, one.title, one.licence, String(one.files.length), size(one.size_bytes), one.state]), "Registered files")));
}

export async function dataset(place, params, change) {
  const run = params.get("run") || "";
  let split = params.get("split") || "train", seed = 0;
  const body = el("div"), heading = el("h1", {}, "Dataset");
  const again = el("button", { type: "button", onclick: () => { seed += 1; draw(); } }, "Other samples");
  place.append(heading, el("div", { class: "bar" }, select("Split", ["train", "validation", "test"], split, (name) => { split = name; change({ split }); draw(); }), again), body);

  async function draw() {
    const shown = await get("dataset", { run, split, seed }).catch((fault) => ({ fault }));
    if (shown.fault) return fill(body, el("p", { class: "error", role: "alert" }, shown.fault.message));
    heading.textContent = shown.dataset;
    const most = Math.max(1, ...shown.balance.map(([, count]) => count));
    return fill(body,
      shown.is_changed ? el("p", { class: "error" }, "The dataset has changed since the run: these are not the samples it was trained on.") : null,
      facts([...Object.entries(shown.sizes).map(([name, count]) => [name, `${count.toLocaleString()} samples`]), ["classes", String(shown.classes)], ["stored in", shown.store]]),
      section("Samples", el("div", { class: "samples" }, shown.samples.map((one) => el("figure", {},
        el("img", { src: `/api/picture?${query({ run, position: one.position, split })}`, alt: one.text }), el("figcaption", {}, one.text))))),
      shown.balance.length ? section("Class balance", table(["class", "count", ""], shown.balance.slice(0, 200).map(([name, count]) =>
        [name === " " ? "(space)" : name, String(count), el("meter", { min: 0, max: most, value: count, "aria-label": `Share of ${name}` })]), "Class balance")) : null,
      section("Rejected", shown.rejected.count ? [el("p", {}, shown.rejected.reasons.map(([reason, count]) => `${count} x ${reason}`).join("; ")),
        table(["name", "reason", "text"], shown.rejected.listed, "Rejected")] : el("p", { class: "soft" }, "No samples were rejected.")));
  }
  await draw();
}

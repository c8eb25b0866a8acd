// The view and its state are in the address: #/VIEW?STATE, so a link reproduces the view.

import { el } from "./dom.js";
import { query } from "./api.js";
import { runs } from "./runs.js";
import { run } from "./run.js";
import { compare } from "./compare.js";
import { sweep, sweeps } from "./sweeps.js";
import { devices } from "./devices.js";
import { data, dataset } from "./data.js";

const VIEWS = { runs, run, compare, sweeps, sweep, devices, data, dataset };
const main = document.getElementById("main");
let leave = () => {};
let shown = 0;

async function show() {
  const [path, search] = location.hash.replace(/^#\/?/, "").split("?", 2);
  const name = Object.hasOwn(VIEWS, path) ? path : "runs";
  const params = new URLSearchParams(search || "");
  const turn = ++shown;
  leave();
  leave = () => {};
  for (const link of document.querySelectorAll("nav a")) {
    const [own] = link.getAttribute("href").slice(2).split("?");
    const current = own === name || own === { run: "runs", compare: "runs", sweep: "sweeps", dataset: "data" }[name];
    if (current) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const place = el("div");
  main.replaceChildren(place);
  document.title = `${name} - Text Recognizer`;
  try {
    const over = await VIEWS[name](place, params, (changes) => change(name, params, changes));
    if (turn === shown) leave = over || leave;
    else if (over) over();
  } catch (error) {
    place.replaceChildren(el("h1", {}, "Cannot show this page"), el("p", { class: "error", role: "alert" }, error.message));
  }
}

// Writes state into the address without reloading the view.
function change(name, params, changes) {
  for (const [key, value] of Object.entries(changes)) {
    params.delete(key);
    for (const one of Array.isArray(value) ? value : [value]) if (one) params.append(key, one);
  }
  const search = query(Object.fromEntries([...new Set(params.keys())].map((key) => [key, params.getAll(key)])));
  history.replaceState(null, "", `#/${name}${search ? `?${search}` : ""}`);
}

const root = document.documentElement;
const usual = () => localStorage.getItem("theme") || "";
root.dataset.theme = usual();

// Charts keep the colours they were drawn with, and a long table holds only its visible rows: both must be redrawn.
function paint(theme, isPrinted = false) {
  root.dataset.theme = theme;
  for (const one of document.querySelectorAll(".chart, .virtual")) one.redraw(isPrinted);
}
document.getElementById("theme").addEventListener("click", () => {
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  localStorage.setItem("theme", dark ? "light" : "dark");
  paint(usual());
});
addEventListener("beforeprint", () => paint("light", true));
addEventListener("afterprint", () => paint(usual()));
addEventListener("hashchange", () => {
  if (location.hash === "#main") return;
  show();
  main.focus();
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault();
  main.focus();
});
show();

// All runs as a table, filtered and sorted by the server like `runs list`. Only the visible rows are drawn.

import { el, fill, isNumber, state } from "./dom.js";
import { get, listen, query } from "./api.js";

const ROW_PX = 32;
const FIRST = 100;
const MOST_PRINTED = 1000;
const BEYOND = 15; // rows drawn above and below the visible ones
const STATES = ["", "running", "finished", "stopped", "failed", "preempted", "died", "created", "damaged"];

export async function runs(place, params, change) {
  const ticked = new Set();
  let shown = { columns: [], rows: [], total: 0, tick: 0 };
  let again = null, loads = 0, drawn = { first: 0, last: 0 };

  const message = el("p", { class: "soft", role: "status" });
  const problem = el("p", { class: "error", role: "alert" });
  const chips = el("span", { class: "bar" });
  const condition = el("input", { class: "wide", placeholder: "network=mlp, test_accuracy>=0.9, id~lenet", list: "known-columns", autocomplete: "off" });
  const columns = el("input", { class: "wide", value: params.get("columns") || "", list: "known-columns", placeholder: "id,state,test_accuracy", autocomplete: "off" });
  const by = el("input", { value: params.get("by") || "", list: "known-columns", placeholder: "network", size: 14, autocomplete: "off" });
  const known = el("datalist", { id: "known-columns" });
  const compare = el("button", { type: "button", disabled: true, onclick: () => (location.hash = `#/compare?${query({ run: [...ticked] })}`) }, "Compare");
  const filterForm = el("form", { onsubmit: (event) => { event.preventDefault(); add(condition.value.trim()); } },
    el("label", {}, "Filter", condition));
  const columnForm = el("form", { onsubmit: (event) => { event.preventDefault(); set({ columns: columns.value.replaceAll(" ", "") }); } },
    el("label", {}, "Columns", columns));
  const byForm = el("form", { onsubmit: (event) => { event.preventDefault(); set({ by: by.value.trim() }); } },
    el("label", {}, "Group by", by));
  const states = el("label", {}, "State", el("select", { onchange: (event) => chooseState(event.target.value) },
    STATES.map((name) => el("option", { value: name, selected: params.getAll("filter").includes(`state=${name}`) }, name || "all"))));
  const body = el("tbody");
  const head = el("thead");
  const grid = el("table", { class: "virtual" }, head, body);
  grid.redraw = draw;
  const scroll = el("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Runs" }, grid);
  scroll.addEventListener("scroll", () => requestAnimationFrame(() => {
    const top = Math.floor(scroll.scrollTop / ROW_PX);
    if (top < drawn.first || Math.min(top + inSight(), shown.rows.length) > drawn.last) draw();
  }));
  place.append(el("h1", {}, "Runs"), el("div", { class: "bar" }, filterForm, states, columnForm, byForm, compare), known, chips, problem, message, scroll);
  for (const input of [condition, columns, by]) input.addEventListener("focus", knowColumns, { once: true });

  async function knowColumns() {
    if (known.childElementCount) return;
    known.replaceChildren(...(await get("columns")).map((name) => el("option", { value: name })));
  }
  const filters = () => params.getAll("filter");
  const set = (changes) => { change(changes); return load(); };
  const add = (text) => { if (text) { condition.value = ""; set({ filter: [...filters(), text] }); } };
  const chooseState = (name) => set({ filter: [...filters().filter((one) => !one.startsWith("state=")), name && `state=${name}`] });

  async function load() {
    clearTimeout(again);
    again = null;
    fill(chips, filters().map((text) => el("button", { type: "button", class: "chip", "data-key": text, "aria-label": `Remove the filter ${text}`,
      onclick: () => set({ filter: filters().filter((one) => one !== text) }) }, text, el("span", { "aria-hidden": "true" }, "×"))));
    chips.hidden = !filters().length;
    const asked = { filter: filters(), sort: params.get("sort"), columns: params.get("columns"), by: params.get("by") };
    const turn = ++loads;
    // First what the server can read at once, then all rows.
    for (const part of asked.by ? [{}] : [{ first: FIRST }, {}]) {
      try {
        const found = await get("runs", { ...asked, ...part, tick: part.first ? null : shown.tick });
        if (turn !== loads) return;
        shown = found;
        problem.textContent = "";
      } catch (error) {
        if (part.first) continue; // the column may be in runs that have not been read yet
        problem.textContent = error.message;
        return;
      }
      tellCount();
      drawHead();
      draw();
      if (shown.rows.length === shown.passed && !shown.unread) return;
    }
  }

  function tellCount() {
    const [rows, passed, total] = [shown.rows.length, shown.passed, shown.total].map((count) => count?.toLocaleString());
    if (shown.by) message.textContent = `${rows} groups of ${total} runs; values are means over a group with the 95 % interval and the number of runs`;
    else if (!shown.total) message.textContent = `No runs in ${shown.folder} yet.`;
    else if (shown.unread) message.textContent = `the newest ${passed} of ${total} runs in ${shown.folder}; reading the rest …`;
    else message.textContent = `${passed} of ${total} runs in ${shown.folder}`;
  }

  function drawHead() {
    const sort = params.get("sort") || "";
    const widths = shown.columns.map((name, at) => shown.rows.reduce((most, row) => Math.max(most, row[at + 2].length), name.length + 2));
    const numeric = shown.columns.map((_, at) => shown.rows.length > 0 && shown.rows.every((row) => isNumber(row[at + 2])));
    shown.numeric = numeric;
    fill(head, el("tr", {}, el("th", { scope: "col" }, el("span", { class: "soft" }, "✓")),
      shown.columns.map((name, at) => {
        const up = sort === name, down = sort === `-${name}`;
        const cell = el("th", { scope: "col", class: numeric[at] ? "number" : "", "aria-sort": up ? "ascending" : down ? "descending" : "none" },
          el("button", { type: "button", "data-key": name, onclick: () => set({ sort: down ? name : up ? "" : `-${name}` }) }, name, el("span", { "aria-hidden": "true" }, up ? " ▲" : down ? " ▼" : "")));
        cell.style.minWidth = `${Math.min(widths[at], 40) * 0.95}ch`;
        return cell;
      })));
  }

  const inSight = () => Math.ceil(scroll.clientHeight / ROW_PX) + 1;

  function draw(isPrinted = false) {
    const first = isPrinted ? 0 : Math.max(0, Math.floor(scroll.scrollTop / ROW_PX) - BEYOND);
    const last = Math.min(shown.rows.length, isPrinted ? MOST_PRINTED : first + inSight() + 2 * BEYOND);
    drawn = { first, last };
    const pad = (count) => {
      const cell = el("td", { colspan: shown.columns.length + 1 });
      cell.style.height = `${count * ROW_PX}px`;
      return el("tr", { class: "pad", "aria-hidden": "true" }, cell);
    };
    fill(body, first > 0 && pad(first), shown.rows.slice(first, last).map(line), last < shown.rows.length && !isPrinted && pad(shown.rows.length - last));
    grid.setAttribute("aria-rowcount", shown.rows.length + 1);
  }

  function line([key, name, ...cells]) {
    const id = key.split("/").pop() || key;
    if (shown.by) return groupLine(key, cells);
    const tick = el("input", { type: "checkbox", checked: ticked.has(key), "data-key": key, "aria-label": `Compare ${id}`,
      onchange: (event) => { ticked[event.target.checked ? "add" : "delete"](key); tell(); } });
    const link = (text) => el("a", { href: `#/run?${query({ run: key })}` }, text);
    const named = shown.columns.indexOf("id");
    return el("tr", {}, el("td", {}, tick), cells.map((text, at) => el("td", { class: shown.numeric[at] ? "number" : "", title: text.length > 40 ? text : null },
      at === Math.max(named, 0) ? link(text) : shown.columns[at] === "state" ? state(text) : text)));
  }

  function groupLine(condition, [name, ...cells]) {
    const own = `#/runs?${query({ filter: [...filters(), condition], sort: params.get("sort"), columns: params.get("columns") })}`;
    return el("tr", {}, el("td"), el("td", {}, condition ? el("a", { href: own }, name) : name), cells.map((text, at) => el("td", { class: shown.numeric[at + 1] ? "number" : "" }, text)));
  }

  function tell() {
    compare.disabled = !ticked.size;
    compare.textContent = ticked.size ? `Compare ${ticked.size}` : "Compare";
  }

  function update({ changed, gone }) {
    if (shown.by) return void (again ??= setTimeout(load, 5000));
    const at = new Map(shown.rows.map((row, index) => [row[0], index]));
    for (const one of changed) {
      if (at.has(one.key)) shown.rows[at.get(one.key)] = [one.key, one.state, ...one.cells];
    }
    if (gone.length || changed.some((one) => !at.has(one.key))) again ??= setTimeout(load, 2000);
    draw();
  }

  await load();
  const off = listen(() => ({ columns: (shown.by ? ["id"] : shown.columns).join(","), since: shown.tick }), { rows: update });
  return () => { clearTimeout(again); off(); };
}

// DOM elements. Content is always set as text: nothing from a run folder becomes markup.

export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled" || name === "selected") made[name] = value;
    else if (value !== null && value !== undefined && value !== false) made.setAttribute(name, value === true ? "" : value);
  }
  return fill(made, ...children);
}

// Replaces all children. If one with the focus is drawn again, with the same data-key or address, it keeps the focus.
export function fill(parent, ...children) {
  const key = (one) => one.dataset.key ?? one.getAttribute("href");
  const focused = parent.contains(document.activeElement) ? key(document.activeElement) : null;
  parent.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  if (focused) [...parent.querySelectorAll("a, [data-key]")].find((one) => key(one) === focused)?.focus({ preventScroll: true });
  return parent;
}

export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export const state = (name) => el("span", { class: `state ${/^[a-z]+$/.test(name) ? name : ""}` }, name);

export const isNumber = (text) => text === "-" || (text !== "" && Number.isFinite(Number(text)));

// A table; cells are text or elements.
export function table(columns, rows, caption) {
  const numeric = columns.map((_, at) => rows.length > 0 && rows.every((row) => typeof row[at] === "string" && isNumber(row[at])));
  const cls = (at) => (numeric[at] ? "number" : "");
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption, "data-key": caption },
    el("table", {},
      el("thead", {}, el("tr", {}, columns.map((name, at) => name ? el("th", { class: cls(at), scope: "col" }, name) : el("td")))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, at) => el("td", { class: cls(at) }, cell ?? "-")))))));
}

export function copyable(command) {
  const button = el("button", { type: "button", "aria-label": `Copy ${command}` }, "Copy");
  const code = el("code", {}, command);
  button.addEventListener("click", async () => {
    try {
      await navigator.clipboard.writeText(command);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(code); // the clipboard needs a secure context
      button.textContent = "Selected";
    }
    setTimeout(() => (button.textContent = "Copy"), 1500);
  });
  return el("div", { class: "copy" }, button, code);
}

export function facts(entries) {
  const told = entries.filter(([, value]) => value !== null && value !== undefined && value !== "");
  return el("dl", { class: "facts" }, told.map(([name, value]) => [el("dt", {}, name), el("dd", {}, value)]));
}

export const folded = (title, ...children) => el("details", {}, el("summary", {}, title), ...children);

export const section = (title, ...children) => el("section", {}, el("h2", {}, title), ...children);

export function select(label, options, chosen, change) {
  const choices = options.map((one) => el("option", { value: one, selected: one === chosen }, one));
  return el("label", {}, label, el("select", { "data-key": label, onchange: (event) => change(event.target.value) }, choices));
}

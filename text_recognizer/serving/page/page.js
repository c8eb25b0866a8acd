"use strict";

const at = (id) => document.getElementById(id);
const paper = at("paper");
const pen = paper.getContext("2d");
const WORDS = { line: "one line", character: "one character", page: "a page" };
let models = [];
let asked = 0; // only the answer to the latest request is shown

async function start() {
  clearPaper();
  const found = await (await fetch("v1/models")).json();
  models = found.models;
  at("model").replaceChildren(...models.map((one) => new Option(`${one.name} (${one.version})`, one.name)));
  showLayouts();
}

function showLayouts() {
  const model = models.find((one) => one.name === at("model").value);
  const word = (layout) => WORDS[layout === "line" ? model.reads : layout];
  const byForm = model.layouts.length > 1 ? [new Option("automatic", "")] : [];
  at("layout").replaceChildren(...byForm, ...model.layouts.map((layout) => new Option(word(layout), layout)));
}

function readFirst(files) {
  if (!files.length) return say("That is not a file. Drop, paste or choose an image.", true);
  const note = files.length > 1 ? `Only the first of ${files.length} files was read: ${files[0].name}.` : "";
  read(files[0], note);
}

async function read(file, note = "") {
  const form = new FormData();
  form.append("image", file);
  form.append("model", at("model").value);
  if (at("layout").value) form.append("layout", at("layout").value);
  const number = ++asked;
  say("Reading …");
  at("result").hidden = true;
  let answer, found;
  try {
    answer = await fetch("v1/predict", { method: "POST", body: form });
    found = await answer.json();
  } catch (error) {
    if (number === asked) say(`The service is not responding: ${error.message}`, true);
    return;
  }
  if (number !== asked) return;
  if (!answer.ok) {
    say(`${found.error} (request ${found.request_id})`, true);
    return;
  }
  say(note);
  await show(found, file);
}

async function show(found, file) {
  at("text").textContent = found.pred || "(no text found)";
  const model = `${found.model.name} (${found.model.version})`;
  at("facts").textContent = `confidence ${percent(found.conf)} · ${found.timing_ms.reading.toFixed(0)} ms · ${model}`;
  at("lines").replaceChildren(...found.lines.map(lineItem));
  at("result").hidden = false;
  const shown = at("shown");
  shown.hidden = true; // until the browser has decoded the file
  try {
    const image = await createImageBitmap(file);
    drawBoxes(shown, image, found.lines);
    shown.hidden = false;
  } catch {
    say("Your browser cannot show images of this format.");
  }
}

function lineItem(line) {
  const item = document.createElement("li");
  const others = line.alternatives.filter((one) => one.text !== line.text && one.confidence >= 0.001).slice(0, 3);
  const words = others.map((one) => `${one.text || "nothing"} ${percent(one.confidence)}`);
  const small = document.createElement("small");
  const doubt = line.expected_cer === undefined ? [] : [`expected CER ${percent(line.expected_cer)}`];
  const alternatives = words.length ? [`or ${words.join(", ")}`] : [];
  small.textContent = [`confidence ${percent(line.confidence)}`, ...doubt, ...alternatives].join("  ");
  item.append(line.text || "(nothing)", small);
  return item;
}

function drawBoxes(canvas, image, lines) {
  canvas.width = image.width;
  canvas.height = image.height;
  const brush = canvas.getContext("2d");
  brush.drawImage(image, 0, 0);
  brush.lineWidth = Math.max(1, image.width / 500);
  for (const line of lines) {
    for (const [one, width] of [[line, 1], ...line.characters.map((character) => [character, 0.4])]) {
      const [left, top, right, bottom] = one.box;
      brush.globalAlpha = width;
      brush.strokeStyle = one.confidence < 0.5 ? "#c62828" : one.confidence < 0.9 ? "#b26a00" : "#00796b";
      brush.strokeRect(left, top, right - left, bottom - top);
    }
  }
}

function percent(share) {
  return `${(100 * share).toFixed(1)} %`;
}

function say(text, isBad = false) {
  at("message").textContent = text;
  at("message").classList.toggle("bad", isBad);
}

function clearPaper() {
  pen.fillStyle = "#fff";
  pen.fillRect(0, 0, paper.width, paper.height);
}

function place(event) {
  const box = paper.getBoundingClientRect();
  const scale = paper.width / box.width;
  return [(event.clientX - box.left) * scale, (event.clientY - box.top) * scale];
}

paper.addEventListener("pointerdown", (event) => {
  paper.setPointerCapture(event.pointerId);
  pen.strokeStyle = "#111";
  pen.lineWidth = 9;
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath();
  const [x, y] = place(event);
  pen.moveTo(x, y);
  pen.lineTo(x + 0.01, y); // a dot; a line of no length draws nothing
  pen.stroke();
});
paper.addEventListener("pointermove", (event) => {
  if (!paper.hasPointerCapture(event.pointerId)) return;
  pen.lineTo(...place(event));
  pen.stroke();
});
at("ask").addEventListener("submit", (event) => {
  event.preventDefault();
  paper.toBlob(read, "image/png");
});
at("clear").addEventListener("click", clearPaper);
at("model").addEventListener("change", showLayouts);
at("file").addEventListener("click", () => { at("file").value = ""; }); // so that the same file can be chosen again
at("file").addEventListener("change", () => readFirst(at("file").files));
document.addEventListener("paste", (event) => readFirst(event.clipboardData.files));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault();
    at("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") readFirst(event.dataTransfer.files);
  });
}
start().catch((error) => say(`The service is not responding: ${error.message}`, true));

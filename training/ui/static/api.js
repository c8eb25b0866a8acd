// Requests to the server, and its live events.

const token = document.querySelector("meta[name=token]").content;

export function query(params) {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(params)) {
    for (const one of Array.isArray(value) ? value : [value]) if (one !== null && one !== undefined && one !== "") search.append(name, one);
  }
  return search.toString();
}

export async function get(path, params = {}) {
  return answer(await fetch(`/api/${path}?${query(params)}`));
}

export async function post(path, body) {
  return answer(await fetch(`/api/${path}`, { method: "POST", headers: { "X-Token": token }, body: JSON.stringify(body) }));
}

async function answer(response) {
  const value = await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(value.error || `the server answered with status ${response.status}.`);
  return value;
}

// Listens until the returned function is called. `params` returns the current cursors for every (re)connection.
export function listen(params, handlers) {
  const sign = document.getElementById("live");
  let source, timer, over = false;
  const open = () => {
    source = new EventSource(`/api/events?${query(params())}`);
    source.onopen = () => (sign.textContent = "live");
    source.onerror = () => {
      source.close();
      sign.textContent = "not connected";
      if (!over) timer = setTimeout(open, 2000);
    };
    for (const [name, handle] of Object.entries(handlers)) source.addEventListener(name, (event) => handle(JSON.parse(event.data)));
  };
  open();
  return () => {
    over = true;
    clearTimeout(timer);
    source.close();
    sign.textContent = "";
  };
}

// The delivery log as it grows: rows that the server sends are put where they belong.
"use strict";

(() => {
  const ROWS_MAX = 200;
  const live = document.getElementById("live");
  const body = document.getElementById("log-rows");
  if (!live || !body || !globalThis.EventSource) return;
  const state = document.getElementById("live-state");
  const button = document.getElementById("live-switch");
  const said = live.dataset;
  const address = new URL(said.from, location.href);
  let source = null;
  let paused = false;
  let ended = false;

  const place = (row) => Number(row.dataset.place);

  // Rows come newest first. One that is there already is left alone, and what is older than
  // everything shown belongs on the next page.
  function insert(markup) {
    const made = document.createElement("template");
    made.innerHTML = markup;
    const last = body.rows.length ? place(body.rows[body.rows.length - 1]) : -1;
    let count = 0;
    let next = body.rows[0] || null;
    for (const row of [...made.content.querySelectorAll("tr")]) {
      if (document.getElementById(row.id) || place(row) < last) continue;
      while (next && place(next) > place(row)) next = next.nextElementSibling;
      row.classList.add("fresh");
      body.insertBefore(row, next);
      globalThis.tidings.enhance(row);
      count += 1;
    }
    while (body.rows.length > ROWS_MAX) body.deleteRow(-1);
    if (count) {
      document.getElementById("log-found").hidden = false;
      document.getElementById("log-empty")?.remove();
    }
    return count;
  }

  function say(text) {
    if (state.textContent !== text) state.textContent = text;
  }

  function end() {
    close();
    ended = true;
    button.hidden = true;
    say(said.ended);
  }

  function close() {
    source?.close();
    source = null;
  }

  function open() {
    if (source || paused || ended || document.hidden) return;
    if (body.rows.length) {
      const after = Math.max(place(body.rows[0]), Number(address.searchParams.get("after")));
      address.searchParams.set("after", String(after));
    }
    source = new EventSource(address);
    source.addEventListener("lines", (event) => {
      const count = insert(event.data);
      if (count) say(count === 1 ? said.newOne : said.newMany.replace("{}", String(count)));
    });
    source.addEventListener("newest", (event) => {
      insert(event.data);
      say(said.leftOut);
    });
    source.addEventListener("end", end);
    source.addEventListener("error", () => {
      // A browser that gives up was refused: signed out, or too many such pages are open.
      if (source?.readyState === EventSource.CLOSED) end();
    });
  }

  button.addEventListener("click", () => {
    paused = !paused;
    button.textContent = paused ? said.resume : said.pause;
    say(paused ? said.paused : said.on);
    if (paused) close();
    else open();
  });
  // Nobody looks at a page that is hidden, and a browser has few connections to one server.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  addEventListener("pagehide", close);
  addEventListener("pageshow", open);

  live.hidden = false;
  say(said.on);
  open();
})();

// Webhooks: a look at the URL while it is typed, a filter over the types, the answer to a test on
// the spot, how far a replay is. Every form works without.
"use strict";

// Sends a form's fields as the form itself would.
async function send(path, fields, signal) {
  const body = new URLSearchParams(fields);
  return fetch(path, { method: "POST", body, signal, credentials: "same-origin" });
}

// Puts markup that the portal made into an element.
function show(element, html) {
  element.innerHTML = html;
  globalThis.tidings.enhance(element);
}

function checkUrl(input) {
  const said = document.getElementById("url-check");
  const csrf = input.form.elements.csrf.value;
  let timer = 0;
  let asking = null;
  const say = (text, bad) => {
    said.textContent = text;
    said.className = bad ? "error" : "hint";
  };
  const ask = async () => {
    const url = input.value.trim();
    if (url === "") return;
    asking = new AbortController();
    say(input.dataset.checking, false);
    try {
      const answer = await send(input.dataset.check, { csrf, url }, asking.signal);
      if (!answer.ok) return say("", false);
      const { fine, says } = await answer.json();
      say(says, fine === false);
      if (fine === false) input.setAttribute("aria-invalid", "true");
      else input.removeAttribute("aria-invalid");
    } catch (error) {
      if (error.name !== "AbortError") say("", false);
    }
  };
  input.addEventListener("input", () => {
    clearTimeout(timer);
    asking?.abort();
    say("", false);
    // What was said when the form came back is about another text.
    document.getElementById("url-error")?.remove();
    input.setAttribute("aria-describedby", "url-hint url-check");
    timer = setTimeout(ask, 500);
  });
}

function filterChoices(list) {
  const labels = [...list.querySelectorAll("label")];
  if (labels.length < 12) return;
  const field = document.createElement("input");
  field.type = "search";
  field.className = "choices-filter";
  field.placeholder = list.dataset.choices;
  field.setAttribute("aria-label", list.dataset.choices);
  field.addEventListener("input", () => {
    const wanted = field.value.trim().toLowerCase();
    for (const label of labels) label.hidden = !label.textContent.toLowerCase().includes(wanted);
  });
  // Enter in it would save the form.
  field.addEventListener("keydown", (event) => {
    if (event.key === "Enter") event.preventDefault();
  });
  list.before(field);
}

function sendTest(form) {
  const result = document.getElementById(form.dataset.test);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    result.closest("section").hidden = false;
    result.textContent = form.dataset.sending;
    try {
      const fields = [...new FormData(form), ["part", "result"]];
      const answer = await send(form.action, fields);
      // Mistakes are shown by the whole page, with the form as it was.
      if (answer.status === 422) return form.submit();
      if (!answer.ok) throw new Error(answer.statusText);
      show(result, await answer.text());
    } catch {
      result.textContent = form.dataset.failed;
    }
    for (const button of form.querySelectorAll("button")) button.disabled = false;
  });
}

function followReplay(state) {
  let failures = 0;
  let shown = "";
  const look = async () => {
    try {
      const answer = await fetch(state.dataset.poll, { credentials: "same-origin" });
      // With several servers another one may answer, which does not know it. Who is no longer
      // signed in is led to another page.
      if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
      failures = 0;
      const html = await answer.text();
      // The end is worth saying aloud, each step on the way is not.
      const ended = html.includes("data-ended");
      if (ended) state.setAttribute("aria-live", "polite");
      if (html !== shown) show(state, html);
      shown = html;
      if (ended) return document.getElementById("replay-reload")?.remove();
    } catch {
      failures += 1;
      if (failures > 20) return;
    }
    setTimeout(look, 1000);
  };
  setTimeout(look, 500);
}

for (const input of document.querySelectorAll("input[data-check]")) checkUrl(input);
for (const list of document.querySelectorAll("[data-choices]")) filterChoices(list);
for (const form of document.querySelectorAll("form[data-test]")) sendTest(form);
for (const state of document.querySelectorAll("[data-poll]")) followReplay(state);

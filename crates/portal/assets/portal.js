// What makes every page a little quicker. Nothing here is needed: pages read and forms work
// without it.
"use strict";

// Times in the viewer's zone; the title keeps UTC.
function localTimes(root) {
  const day = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const short = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });
  for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
    const date = new Date(time.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    time.title = time.textContent.trim();
    time.textContent = (time.dataset.form === "short" ? short : day).format(date);
    time.dataset.local = "";
  }
}

// Buttons that copy: data-copy names the element whose text is copied, or is empty for the text
// in data-copy-text. Hidden without a script, since they would do nothing.
function copyButtons(root) {
  for (const button of root.querySelectorAll("button[data-copy]")) {
    button.hidden = false;
    if (button.dataset.ready !== undefined) continue;
    button.dataset.ready = "";
    const said = button.textContent;
    button.addEventListener("click", async () => {
      const named = button.dataset.copy && document.getElementById(button.dataset.copy);
      await navigator.clipboard.writeText(named ? named.textContent : button.dataset.copyText);
      button.textContent = button.dataset.copied || said;
      setTimeout(() => { button.textContent = said; }, 1500);
    });
  }
}

// Tabs: sections with role=tabpanel inside [data-tabs]. Without a script all of them are shown,
// one below the other.
function tabs(root) {
  for (const group of root.querySelectorAll("[data-tabs]")) {
    const panels = [...group.querySelectorAll(":scope > [data-tab]")];
    const bar = document.createElement("div");
    bar.className = "tabs";
    bar.setAttribute("role", "tablist");
    bar.setAttribute("aria-label", group.dataset.tabs);
    const buttons = panels.map((panel, n) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = panel.dataset.tab;
      button.id = `${panel.id}-tab`;
      button.setAttribute("role", "tab");
      button.setAttribute("aria-controls", panel.id);
      panel.setAttribute("role", "tabpanel");
      panel.setAttribute("aria-labelledby", button.id);
      panel.tabIndex = 0;
      panel.querySelector(":scope > .tab-heading")?.classList.add("visually-hidden");
      button.addEventListener("click", () => show(n));
      button.addEventListener("keydown", (event) => {
        const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
        if (!step) return;
        const next = (n + step + buttons.length) % buttons.length;
        show(next);
        buttons[next].focus();
      });
      bar.append(button);
      return button;
    });
    const show = (chosen) => panels.forEach((panel, n) => {
      panel.hidden = n !== chosen;
      buttons[n].setAttribute("aria-selected", String(n === chosen));
      buttons[n].tabIndex = n === chosen ? 0 : -1;
    });
    group.prepend(bar);
    show(0);
  }
}

// Keys: g and the letter of a menu entry, / for the first search field, ? is left to the browser.
function keys() {
  let began = 0;
  document.addEventListener("keydown", (event) => {
    const typing = event.target.closest("input, textarea, select, [contenteditable]");
    if (typing || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "/") {
      const field = document.querySelector("input[type=search]");
      if (field) { event.preventDefault(); field.focus(); }
    } else if (event.key === "g") {
      began = event.timeStamp;
    } else if (began && event.timeStamp - began < 1200) {
      began = 0;
      document.querySelector(`.nav a[data-key="${CSS.escape(event.key)}"]`)?.click();
    }
  });
}

// Filters apply when a choice is made; their button is for who has no script.
function filters(root) {
  for (const form of root.querySelectorAll("form[data-filters]")) {
    for (const select of form.querySelectorAll("select")) {
      select.addEventListener("change", () => form.requestSubmit());
    }
    // What says nothing does not belong into the address.
    form.addEventListener("formdata", (event) => {
      for (const [name, value] of [...event.formData]) {
        if (value === "") event.formData.delete(name);
      }
    });
  }
}

// A form is sent once.
function once(root) {
  for (const form of root.querySelectorAll("form[method=post]")) {
    form.addEventListener("submit", () => {
      setTimeout(() => {
        for (const button of form.querySelectorAll("button:not([type=button])")) button.disabled = true;
      });
    });
  }
  // A page that comes back from the browser's memory is as it was before.
  addEventListener("pageshow", () => {
    for (const button of document.querySelectorAll("form button[disabled]")) button.disabled = false;
  });
}

// Where the menu is wider than the window, where one is comes into sight.
function menu() {
  const here = document.querySelector(".nav [aria-current]");
  if (!here) return;
  const nav = here.closest(".nav");
  nav.scrollLeft = here.offsetLeft - nav.offsetLeft - (nav.clientWidth - here.offsetWidth) / 2;
}

function enhance(root) {
  localTimes(root);
  copyButtons(root);
  tabs(root);
  filters(root);
}

enhance(document);
once(document);
menu();
keys();
globalThis.tidings = { enhance };

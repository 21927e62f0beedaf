// What a chart shows below the pointer. The same numbers are in the table below it.
"use strict";

for (const figure of document.querySelectorAll("[data-chart]")) {
  const drawing = figure.querySelector("svg");
  const rows = new Map();
  for (const row of figure.querySelectorAll("[data-stretch]")) rows.set(Number(row.dataset.stretch), row);
  if (!drawing || rows.size === 0) continue;

  const readout = document.createElement("p");
  readout.className = "chart-readout hint";
  readout.setAttribute("aria-hidden", "true");
  figure.querySelector(".chart-marks").after(readout);

  // A stretch is ten units wide; see chart.rs.
  const count = drawing.viewBox.baseVal.width / 10;
  drawing.addEventListener("pointermove", (event) => {
    const box = drawing.getBoundingClientRect();
    const index = Math.floor(((event.clientX - box.left) / box.width) * count);
    const row = rows.get(index);
    readout.textContent = row
      ? [...row.cells].map((cell, n) => (n === 0 ? cell.textContent : `${cell.dataset.label} ${cell.textContent}`)).join(" · ")
      : "";
  });
  drawing.addEventListener("pointerleave", () => { readout.textContent = ""; });
}

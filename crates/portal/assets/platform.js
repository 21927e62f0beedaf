// Suggests companies for what is typed. Without it, the first ones are suggested.
"use strict";

for (const input of document.querySelectorAll("input[data-suggest]")) {
  let asked = 0;
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(async () => {
      const number = ++asked;
      const prefix = encodeURIComponent(input.value.trim());
      const answer = await fetch(`${input.dataset.suggest}?prefix=${prefix}`).catch(() => null);
      // Answers may come in another order than their questions.
      if (!answer?.ok || number !== asked) return;
      const companies = await answer.json();
      input.list?.replaceChildren(...companies.map((company) => {
        const option = document.createElement("option");
        option.value = company;
        return option;
      }));
    }, 150);
  });
}

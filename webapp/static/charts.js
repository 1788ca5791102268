/* Lines of a chart are shown and hidden by the boxes below it. */
"use strict";

document.addEventListener("change", (event) => {
  const name = event.target.dataset?.toggles;
  if (name === undefined) return;
  for (const line of event.target.closest("[data-chart]").querySelectorAll("[data-series]"))
    if (line.dataset.series === name) line.toggleAttribute("hidden", !event.target.checked);
});

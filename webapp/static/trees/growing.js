/* The page of a growing tree: its table follows the drawing, a chosen step is shown there, and the finished tree is offered. */
"use strict";

(() => {
  const place = document.querySelector("[data-growing-steps]");
  if (!place) return;
  const EVERY = 2500;
  const state = document.querySelector("[data-growing-state]");
  let chosen = -1;
  let asked = false;
  let again = false;

  const mark = (into) => {
    for (const row of place.querySelectorAll("tr.table-active")) row.classList.remove("table-active");
    const row = chosen >= 0 && document.getElementById(`node-${chosen}`);
    if (!row) return;
    row.classList.add("table-active");
    if (into) row.scrollIntoView({ block: "nearest" });
  };

  const renew = async () => {
    if (asked) {
      again = true;
      return;
    }
    asked = true;
    try {
      const answer = await fetch(place.dataset.growingSteps);
      if (answer.ok && !answer.redirected) {
        window.studio.put(place, await answer.text());
        mark(false);
      }
    } catch {
      // the next step asks again
    }
    setTimeout(() => {
      asked = false;
      if (again) {
        again = false;
        renew();
      }
    }, EVERY);
  };

  document.addEventListener("tree:ready", (event) => {
    state.textContent = `Grows: ${(event.detail.nodes - 1).toLocaleString("en")} steps so far`;
    renew();
  });
  document.addEventListener("tree:chosen", (event) => {
    chosen = event.detail.node;
    mark(true);
  });
  document.addEventListener("tree:finished", (event) => {
    state.textContent = "Finished";
    document.querySelector("[data-growing-link]").href = event.detail.url;
    document.querySelector("[data-growing-done]").hidden = false;
  });
})();

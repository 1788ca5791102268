/* A search's page: when its job says that something happened, the parts that change are fetched, seldom enough. */
"use strict";

(() => {
  const root = document.querySelector("[data-live-search]");
  const path = root && root.dataset.liveSearch;
  if (!path) return;
  const PAUSES = { "search-standing": 1000, "search-trees": 3000 }; // the second costs more
  const waiting = new Set();
  window.studio.follow(path, {
    receive: () => {
      for (const [id, pause] of Object.entries(PAUSES)) {
        if (waiting.has(id)) continue;
        waiting.add(id);
        setTimeout(() => {
          waiting.delete(id);
          window.htmx.trigger(`#${id}`, "fresh");
        }, pause);
      }
    },
  });
})();

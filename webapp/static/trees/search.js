/* A search's page: when its job says that something happened, the parts that change are fetched, once a second at most. */
"use strict";

(() => {
  const root = document.querySelector("[data-live-search]");
  const path = root && root.dataset.liveSearch;
  if (!path) return;
  const PAUSE = 1000;
  let waiting = false;
  window.studio.follow(path, {
    receive: () => {
      if (waiting) return;
      waiting = true;
      setTimeout(() => {
        waiting = false;
        for (const id of ["search-standing", "search-trees"]) window.htmx.trigger(`#${id}`, "fresh");
      }, PAUSE);
    },
  });
})();

/* The operators' page: the parts that changed. */
"use strict";

(() => {
  const root = document.querySelector("[data-live-operations]");
  studio.follow(root.dataset.liveOperations, {
    receive: (message) => {
      for (const [name, html] of Object.entries(message.parts || {})) studio.put(root.querySelector(`[data-part="${name}"]`), html);
    },
  });
})();

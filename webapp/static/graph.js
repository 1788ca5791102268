/* Drawings of what follows from what: whoever points at a node, or reaches it by keyboard, sees what it has to do with. */
"use strict";

(() => {
  const lift = (event) => {
    const node = event.target.closest?.("[data-graph] [data-key]");
    if (!node) return;
    const root = node.closest("[data-graph]");
    const on = event.type === "pointerover" || event.type === "focusin";
    for (const line of root.querySelectorAll("[data-from]")) {
      const { from, to } = line.dataset;
      const near = on && (from === node.dataset.key || to === node.dataset.key);
      line.classList.toggle("is-near", near);
      if (!on || near) {
        for (const key of [from, to]) root.querySelector(`[data-key="${CSS.escape(key)}"]`)?.classList.toggle("is-near", near);
      }
    }
  };
  for (const type of ["pointerover", "pointerout", "focusin", "focusout"]) document.addEventListener(type, lift);
})();

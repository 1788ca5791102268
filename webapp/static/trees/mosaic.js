/* The mosaic of a search's questions is one stop of the Tab key; arrow keys walk it as it is laid out, Home and End too. */
"use strict";

(() => {
  const cellsOf = (mosaic) => [...mosaic.querySelectorAll("a")];

  const rove = (root) => {
    for (const mosaic of root.querySelectorAll("[data-mosaic]")) {
      const cells = cellsOf(mosaic);
      const held = cells.includes(document.activeElement) ? document.activeElement : cells[0];
      for (const cell of cells) cell.tabIndex = cell === held ? 0 : -1;
    }
  };

  const upOrDown = (cells, from, direction) => {
    const here = from.getBoundingClientRect();
    const others = cells
      .map((cell) => ({ cell, box: cell.getBoundingClientRect() }))
      .filter(({ box }) => (box.top - here.top) * direction > 1);
    if (!others.length) return null;
    const line = Math.min(...others.map(({ box }) => Math.abs(box.top - here.top)));
    const near = others.filter(({ box }) => Math.abs(Math.abs(box.top - here.top) - line) < 1);
    return near.sort((a, b) => Math.abs(a.box.left - here.left) - Math.abs(b.box.left - here.left))[0].cell;
  };

  document.addEventListener("keydown", (event) => {
    const mosaic = event.target.closest?.("[data-mosaic]");
    if (!mosaic || event.ctrlKey || event.metaKey || event.altKey) return;
    const cells = cellsOf(mosaic);
    const place = cells.indexOf(event.target);
    const acts = {
      ArrowRight: () => cells[place + 1],
      ArrowLeft: () => cells[place - 1],
      ArrowDown: () => upOrDown(cells, event.target, 1),
      ArrowUp: () => upOrDown(cells, event.target, -1),
      Home: () => cells[0],
      End: () => cells[cells.length - 1],
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    const next = acts[event.key]();
    if (!next) return;
    for (const cell of cells) cell.tabIndex = cell === next ? 0 : -1;
    next.focus();
  });

  document.addEventListener("htmx:afterSettle", () => rove(document));
  rove(document);
})();

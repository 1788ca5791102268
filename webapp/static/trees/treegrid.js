/* Keys and folding of a table with role="treegrid", after the pattern of the ARIA guide: rows are walked with the arrow
   keys, left folds or goes to the step before, right unfolds or goes to what follows. */
"use strict";

(() => {
  const grid = document.querySelector("[data-treegrid]");
  if (!grid) return;
  const rows = [...grid.tBodies[0].rows];
  const level = (row) => Number(row.getAttribute("aria-level"));
  const at = new Map(rows.map((row, place) => [row, place]));

  const below = (row) => {
    const found = [];
    for (let place = at.get(row) + 1; place < rows.length && level(rows[place]) > level(row); place += 1) found.push(rows[place]);
    return found;
  };
  const above = (row) => {
    for (let place = at.get(row) - 1; place >= 0; place -= 1) if (level(rows[place]) < level(row)) return rows[place];
    return null;
  };
  const show = () => {
    let hiddenBelow = Infinity;
    for (const row of rows) {
      if (level(row) <= hiddenBelow) hiddenBelow = Infinity;
      row.hidden = level(row) > hiddenBelow;
      if (!row.hidden && row.getAttribute("aria-expanded") === "false") hiddenBelow = level(row);
    }
  };
  const fold = (row, open) => {
    if (!row.hasAttribute("aria-expanded")) return;
    row.setAttribute("aria-expanded", String(open));
    show();
  };
  const go = (row) => {
    if (!row) return;
    for (const each of rows) each.tabIndex = each === row ? 0 : -1;
    row.focus();
    row.scrollIntoView({ block: "nearest" });
  };
  const step = (row, direction) => {
    let place = at.get(row) + direction;
    while (rows[place] && rows[place].hidden) place += direction;
    return rows[place];
  };

  grid.addEventListener("click", (event) => {
    const button = event.target.closest("button.tree-fold");
    const row = event.target.closest("tbody tr");
    if (!row) return;
    for (const each of rows) each.tabIndex = each === row ? 0 : -1;
    if (button) fold(row, row.getAttribute("aria-expanded") !== "true");
  });

  grid.addEventListener("keydown", (event) => {
    const row = event.target;
    if (!at.has(row) || event.ctrlKey || event.metaKey || event.altKey) return;
    const open = row.getAttribute("aria-expanded");
    const acts = {
      ArrowDown: () => go(step(row, 1)),
      ArrowUp: () => go(step(row, -1)),
      ArrowRight: () => (open === "false" ? fold(row, true) : go(below(row)[0])),
      ArrowLeft: () => (open === "true" ? fold(row, false) : go(above(row))),
      Home: () => go(rows[0]),
      End: () => go(rows.filter((each) => !each.hidden).pop()),
      Enter: () => {
        const samples = row.querySelector("details");
        if (samples) samples.open = !samples.open;
      },
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });

  const named = location.hash.startsWith("#node-") && document.querySelector(location.hash);
  if (named) go(named);
})();

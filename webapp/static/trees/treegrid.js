/* Keys and folding of a table with role="treegrid", after the pattern of the ARIA guide: rows are walked with the arrow
   keys, left folds or goes to the step before, right unfolds or goes to what follows. The rows may be put in place anew. */
"use strict";

(() => {
  const gridOf = (element) => element.closest?.("[data-treegrid]");
  const rowsOf = (grid) => [...grid.tBodies[0].rows];
  const level = (row) => Number(row.getAttribute("aria-level"));

  const below = (rows, row) => {
    const found = [];
    for (let place = rows.indexOf(row) + 1; place < rows.length && level(rows[place]) > level(row); place += 1) found.push(rows[place]);
    return found;
  };
  const above = (rows, row) => {
    for (let place = rows.indexOf(row) - 1; place >= 0; place -= 1) if (level(rows[place]) < level(row)) return rows[place];
    return null;
  };
  const show = (rows) => {
    let hiddenBelow = Infinity;
    for (const row of rows) {
      if (level(row) <= hiddenBelow) hiddenBelow = Infinity;
      row.hidden = level(row) > hiddenBelow;
      if (!row.hidden && row.getAttribute("aria-expanded") === "false") hiddenBelow = level(row);
    }
  };
  const fold = (rows, row, open) => {
    if (!row.hasAttribute("aria-expanded")) return;
    row.setAttribute("aria-expanded", String(open));
    show(rows);
  };
  const hold = (rows, row) => {
    for (const each of rows) each.tabIndex = each === row ? 0 : -1;
  };
  const go = (rows, row) => {
    if (!row) return;
    hold(rows, row);
    row.focus();
    row.scrollIntoView({ block: "nearest" });
  };
  const step = (rows, row, direction) => {
    let place = rows.indexOf(row) + direction;
    while (rows[place] && rows[place].hidden) place += direction;
    return rows[place];
  };

  document.addEventListener("click", (event) => {
    const grid = gridOf(event.target);
    const row = grid && event.target.closest("tbody tr");
    if (!row) return;
    const rows = rowsOf(grid);
    hold(rows, row);
    if (event.target.closest("button.tree-fold")) fold(rows, row, row.getAttribute("aria-expanded") !== "true");
  });

  document.addEventListener("keydown", (event) => {
    const row = event.target;
    const grid = row.matches?.("tbody tr") && gridOf(row);
    if (!grid || event.ctrlKey || event.metaKey || event.altKey) return;
    const rows = rowsOf(grid);
    const open = row.getAttribute("aria-expanded");
    const acts = {
      ArrowDown: () => go(rows, step(rows, row, 1)),
      ArrowUp: () => go(rows, step(rows, row, -1)),
      ArrowRight: () => (open === "false" ? fold(rows, row, true) : go(rows, below(rows, row)[0])),
      ArrowLeft: () => (open === "true" ? fold(rows, row, false) : go(rows, above(rows, row))),
      Home: () => go(rows, rows[0]),
      End: () => go(rows, rows.filter((each) => !each.hidden).pop()),
    };
    if (!acts[event.key]) return;
    event.preventDefault();
    acts[event.key]();
  });
})();

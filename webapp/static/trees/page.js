/* A tree's page: one node is chosen at a time. Whoever chooses it (the drawing, a link, the table, the address), the panel,
   the address, the table and the drawing follow. Events on `document`:
     the drawing says   tree:ready, tree:chosen {node, open: whether to go to the panel}
     the page says      tree:choose {node}, tree:marked {nodes or null}, tree:score {model or null}, tree:flagged {nodes} */
"use strict";

(() => {
  const page = document.querySelector("[data-tree-page]");
  if (!page) return;
  const panel = document.getElementById("tree-panel");
  const rows = document.getElementById("tree-rows");
  const said = document.getElementById("tree-said");
  const most = Number(page.dataset.nodes);
  let chosen = Number(page.dataset.node);
  let marked = null;
  const numbers = (text) => text.split(",").filter(Boolean).map(Number);
  const flagged = new Set(numbers(page.dataset.flagged));

  const say = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));
  const rowOf = (node) => rows.querySelector(`[data-row="${node}"]`);

  const paint = () => {
    for (const row of rows.querySelectorAll("[data-row]")) {
      const node = Number(row.dataset.row);
      row.classList.toggle("tree-dim", marked !== null && !marked.has(node));
      if (node === chosen) row.setAttribute("aria-selected", "true");
      else row.removeAttribute("aria-selected");
    }
  };

  const choose = (node, { tell = true, address = true } = {}) => {
    if (!Number.isInteger(node) || node < 0 || node > most) return;
    if (address) history.replaceState(history.state, "", `#node-${node}`);
    if (tell) say("tree:choose", { node });
    const fresh = node !== chosen || Number(panel.querySelector("[data-shown-node]")?.dataset.shownNode) !== node;
    chosen = node;
    paint();
    if (fresh) window.htmx.ajax("GET", page.dataset.panelUrl.replace(/0\/$/, `${node}/`), { target: panel, swap: "innerHTML" });
    if (!rowOf(node)) window.htmx.ajax("GET", `${page.dataset.rowsUrl}?node=${node}`, { target: rows, swap: "innerHTML" });
  };

  document.addEventListener("tree:chosen", (event) => {
    choose(event.detail.node, { tell: false });
    if (event.detail.open) panel.focus();
  });

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-node]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    choose(Number(link.dataset.node));
  });

  rows.addEventListener("keydown", (event) => {
    const row = event.target.closest("[data-row]");
    if (!row || event.target !== row || (event.key !== "Enter" && event.key !== " ")) return;
    event.preventDefault();
    choose(Number(row.dataset.row));
  });

  document.addEventListener("htmx:afterSwap", (event) => {
    if (event.detail.target === rows) paint();
    if (event.detail.target === panel) {
      const shown = Number(panel.querySelector("[data-shown-node]")?.dataset.shownNode);
      said.textContent = `Node ${shown} is shown.`;
      panel.scrollTop = 0;
      if (panel.querySelector("[data-flag]")) flagged.add(shown);
      else flagged.delete(shown);
      say("tree:flagged", { nodes: [...flagged] });
    }
    if (event.detail.target?.id === "tree-found") mark();
  });

  const mark = () => {
    const found = document.querySelector("#tree-found [data-marked]");
    marked = found ? new Set(numbers(found.dataset.marked)) : null;
    paint();
    say("tree:marked", { nodes: marked && [...marked] });
  };

  const find = document.querySelector("[data-tree-find]");
  find.addEventListener("reset", () => {
    document.getElementById("tree-found").textContent = "";
    mark();
  });

  const ring = document.querySelector("[data-ring-model]");
  const score = () => say("tree:score", { model: ring.value || null });
  ring?.addEventListener("change", (event) => {
    event.stopPropagation();
    score();
  });

  // Without script the address leads to the row of the table; with it, to the panel and the drawing above.
  const fromAddress = () => {
    const named = /^#node-(\d{1,9})$/.exec(location.hash);
    if (!named) return;
    choose(Number(named[1]), { address: false });
    page.scrollIntoView({ block: "start" });
  };
  window.addEventListener("load", () => {
    if (location.hash.startsWith("#node-")) setTimeout(() => page.scrollIntoView({ block: "start" }));
  });
  window.addEventListener("hashchange", fromAddress);
  document.addEventListener("tree:ready", () => {
    say("tree:flagged", { nodes: [...flagged] });
    if (ring) score();
    if (marked) say("tree:marked", { nodes: [...marked] });
    if (chosen) say("tree:choose", { node: chosen });
  });
  paint();
  mark();
  fromAddress();
})();

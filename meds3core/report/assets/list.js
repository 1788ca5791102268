// The same tree as a nested table: every fact of the drawing in words, rows that fold.

function listTree(tree, choose) {
  const closed = new Set();
  const rows = new Map();
  const order = [];
  const stack = [tree.nodes[0]];
  while (stack.length) {
    const node = stack.pop();
    order.push(node);
    stack.push(...[...node.children].reverse());
  }
  const heads = ["Step", "Move", "Value", "Own rollouts", "Visits", "Answer"];
  const body = h("tbody", {}, order.map((node) => {
    const siblings = node.parent < 0 ? [node] : tree.nodes[node.parent].children;
    const twist = h("span", { class: "twist", "aria-hidden": "true" }, node.children.length ? "▾" : "");
    const chip = h("span", { class: "chip" }, number(node.value));
    if (node.value !== null) paint(chip, node.value);
    const row = h("tr", {
      role: "row", tabindex: -1, "data-node": node.id, "aria-level": node.depth + 1, "aria-selected": "false",
      "aria-posinset": siblings.indexOf(node) + 1, "aria-setsize": siblings.length,
      "aria-expanded": node.children.length ? "true" : null,
    },
      h("td", { role: "gridcell" }, h("span", { class: "clamp" }, twist, `${node.depth}. ${shorten(node.text, 160)}`)),
      h("td", { role: "gridcell", class: "wide" }, MOVES[node.move], node.truncated ? " (cut)" : "", node.copies > 1 ? ` ×${node.copies}` : ""),
      h("td", { role: "gridcell" }, chip, node.drop ? h("span", { class: "drop" }, ` −${number(node.drop)}`) : null),
      h("td", { role: "gridcell", class: "wide" }, rolloutWords(node)),
      h("td", { role: "gridcell", class: "wide" }, String(node.visits)),
      h("td", { role: "gridcell", class: node.verdict === true ? "right" : node.verdict === false ? "wrong" : "" }, mark(node), " ", shorten(node.answer || "", 24)));
    row.style.setProperty("--level", node.depth);
    twist.addEventListener("click", (event) => { event.stopPropagation(); fold(node, !closed.has(node.id)); });
    rows.set(node.id, row);
    return row;
  }));

  function fold(node, close) {
    if (!node.children.length) return;
    if (close) closed.add(node.id); else closed.delete(node.id);
    rows.get(node.id).setAttribute("aria-expanded", String(!close));
    rows.get(node.id).querySelector(".twist").textContent = close ? "▸" : "▾";
    for (const other of order) {
      if (other.parent >= 0) rows.get(other.id).hidden = closed.has(other.parent) || rows.get(other.parent).hidden;
    }
  }

  function walk(node, key) {
    const visible = order.filter((other) => !rows.get(other.id).hidden);
    if (key === "ArrowUp" || key === "ArrowDown") return visible[visible.indexOf(node) + (key === "ArrowUp" ? -1 : 1)];
    if (key === "Home") return visible[0];
    if (key === "End") return visible.at(-1);
    if (key === "ArrowRight") {
      if (closed.has(node.id)) { fold(node, false); return node; }
      return node.children[0];
    }
    if (key === "ArrowLeft") {
      if (node.children.length && !closed.has(node.id)) { fold(node, true); return node; }
      return tree.nodes[node.parent];
    }
    return undefined;
  }

  function select(node) {
    for (let at = tree.nodes[node.parent]; at; at = tree.nodes[at.parent]) if (closed.has(at.id)) fold(at, false);
    for (const [id, row] of rows) {
      row.setAttribute("aria-selected", String(id === node.id));
      row.setAttribute("tabindex", id === node.id ? "0" : "-1");
    }
  }

  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr");
    if (row) choose(Number(row.dataset.node), true);
  });
  const wide = ["Move", "Own rollouts", "Visits"];
  const table = h("table", { class: "list", role: "treegrid", "aria-label": "Steps of the tree; arrow keys walk and fold" },
    h("thead", {}, h("tr", { role: "row" }, heads.map((head) => h("th", { role: "columnheader", scope: "col", class: wide.includes(head) ? "wide" : "" }, head)))), body);
  return { table, walk, select };
}

// A tree drawn from left to right. Shape tells the move, colour and figure the value, a red edge a drop.

const COLUMN = 112, ROW = 50, RADIUS = 15, MARGIN = { left: 42, top: 40, right: 60, bottom: 40 };

function layout(tree) {
  // Leaves take one row each, a parent stands between its first and its last child. Walked without recursion:
  // children have greater ids than their parent.
  let row = 0;
  const stack = [tree.nodes[0]];
  while (stack.length) {
    const node = stack.pop();
    node.x = MARGIN.left + node.depth * COLUMN;
    if (node.children.length) stack.push(...[...node.children].reverse());
    else node.y = MARGIN.top + ROW * row++;
  }
  for (const node of [...tree.nodes].reverse()) {
    if (node.children.length) node.y = (node.children[0].y + node.children.at(-1).y) / 2;
  }
  const depth = Math.max(...tree.nodes.map((node) => node.depth));
  return { depth, width: MARGIN.left + depth * COLUMN + MARGIN.right, height: MARGIN.top + ROW * (row - 1) + MARGIN.bottom };
}

function outline(move, radius, attributes) {
  const r = radius;
  if (move === "reason") return s("circle", { r, ...attributes });
  if (move === "finish") return s("rect", { x: -r, y: -r * 0.87, width: 2 * r, height: 1.74 * r, rx: 2.5, ...attributes });
  const points = move === "reflect"
    ? [[-r * 1.2, 0], [0, -r * 1.2], [r * 1.2, 0], [0, r * 1.2]]
    : [[-r * 1.15, 0], [-r * 0.6, -r], [r * 0.6, -r], [r * 1.15, 0], [r * 0.6, r], [-r * 0.6, r]];
  return s("polygon", { points: points.map((point) => point.join(",")).join(" "), ...attributes });
}

function edge(tree, node) {
  const parent = tree.nodes[node.parent];
  const middle = (parent.x + node.x) / 2;
  const line = s("path", {
    d: `M${parent.x + RADIUS},${parent.y} C${middle},${parent.y} ${middle},${node.y} ${node.x - RADIUS},${node.y}`,
    class: node.drop ? "edge falls" : "edge", "stroke-width": (1 + 1.3 * Math.log2(1 + node.visits)).toFixed(1),
    "stroke-dasharray": node.closing ? "5 3" : null, "data-to": node.id,
  });
  return line;
}

function fall(tree, node) {
  // The amount of a drop, on the side from which the edge does not come.
  const below = tree.nodes[node.parent].y < node.y;
  return s("text", { class: "fall", x: node.x - RADIUS - 20, y: node.y + (below ? 15 : -7) }, `−${number(node.drop)}`);
}

function shape(node, siblings) {
  const known = node.value !== null;
  const rgb = known ? colour(node.value) : null;
  const group = s("g", {
    class: "node", role: "treeitem", tabindex: -1, "data-node": node.id, transform: `translate(${node.x},${node.y})`,
    "aria-label": nodeWords(node), "aria-level": node.depth + 1, "aria-selected": "false",
    "aria-posinset": siblings.indexOf(node) + 1, "aria-setsize": siblings.length,
  },
    outline(node.move, RADIUS + 4, { class: "halo" }),
    outline(node.move, RADIUS, { class: node.truncated || !known ? "shape cut" : "shape", fill: rgb ? `rgb(${rgb})` : "var(--surface)" }),
    s("text", { class: "value", y: 4, fill: rgb ? ink(rgb) : "var(--text)" }, known ? number(node.value).replace(/^0/, "") : "–"));
  const verdict = node.verdict === true ? "right" : node.verdict === false ? "wrong" : "";
  const words = [];
  if (statesAnswer(node)) words.push(`${mark(node)} ${shorten(node.answer || "", 13)}`.trim());
  else if (node.truncated) words.push("cut");
  else if (node.outcomes.length) words.push(`${rightOnes(node)}/${node.outcomes.length}`);
  if (node.copies > 1) words.push(`×${node.copies}`);
  if (words.length) group.append(s("text", { class: `below ${verdict}`, y: 28 }, words.join(" ")));
  return group;
}

const shorten = (text, length) => (text.length > length ? `${text.slice(0, length - 1)}…` : text);

function drawTree(tree, choose) {
  const size = layout(tree);
  const columns = Array.from({ length: size.depth + 1 }, (_, depth) =>
    s("text", { class: "column", x: MARGIN.left + depth * COLUMN, y: 14 }, `Step ${depth}`));
  const svg = s("svg", { width: size.width, height: size.height, viewBox: `0 0 ${size.width} ${size.height}`, role: "tree", "aria-label": "Tree of steps; arrow keys walk" },
    s("g", { "aria-hidden": "true" }, columns, tree.nodes.slice(1).map((node) => edge(tree, node)), tree.nodes.filter((node) => node.drop).map((node) => fall(tree, node))),
    tree.nodes.map((node) => shape(node, node.parent < 0 ? [node] : tree.nodes[node.parent].children)));
  svg.addEventListener("click", (event) => {
    const group = event.target.closest(".node");
    if (group) choose(Number(group.dataset.node), true);
  });
  return { svg, size };
}

function markDrawing(svg, tree, node) {
  const path = new Set(pathTo(tree, node).map((step) => step.id));
  for (const group of svg.querySelectorAll(".node")) {
    const here = Number(group.dataset.node) === node.id;
    group.classList.toggle("selected", here);
    group.setAttribute("aria-selected", String(here));
    group.setAttribute("tabindex", here ? "0" : "-1");
  }
  for (const line of svg.querySelectorAll(".edge")) line.classList.toggle("on-path", path.has(Number(line.dataset.to)));
}

function neighbour(tree, node, key) {
  // Right: first child. Left: parent. Up and down: the next node in the same column. Home and End: the ends of it.
  const column = () => tree.nodes.filter((other) => other.depth === node.depth).sort((a, b) => a.y - b.y);
  if (key === "ArrowRight") return node.children[0];
  if (key === "ArrowLeft") return tree.nodes[node.parent];
  if (key === "ArrowUp" || key === "ArrowDown") return column()[column().indexOf(node) + (key === "ArrowUp" ? -1 : 1)];
  if (key === "Home") return tree.nodes[0];
  if (key === "End") return column().at(-1);
  return undefined;
}

function legend() {
  const sample = (move, extra) => s("svg", { width: 22, height: 20, viewBox: "-11 -10 22 20", "aria-hidden": "true" },
    outline(move, 7, { class: extra || "shape", fill: "var(--raised)" }));
  const line = (kind, width, dashes) => s("svg", { width: 26, height: 10, "aria-hidden": "true" }, s("line", { x1: 0, x2: 26, y1: 5, y2: 5, class: `edge ${kind}`, "stroke-width": width, "stroke-dasharray": dashes }));
  return h("div", { class: "legend" },
    h("span", {}, sample("root"), "start"), h("span", {}, sample("reason"), "reason"), h("span", {}, sample("finish"), "finish"),
    h("span", {}, sample("reflect"), "reflect"), h("span", {}, sample("reason", "shape cut"), "dashed outline: cut, or no value"),
    h("span", {}, line("falls", 2.5), "value drops"), h("span", {}, line("", 5), "wider: more visits"),
    h("span", {}, line("", 2.5, "5 3"), "closing move"),
    h("span", {}, scaleBar("value")));
}

// One tree: its question, drawing or list, the panel for the chosen step, and the path to it as text.

const page = { question: null, tree: null, node: null, view: null, zoom: 1, parts: null, opening: 0 };

function panel(tree, node) {
  const siblings = node.parent < 0 ? [] : tree.nodes[node.parent].children;
  const verdict = node.verdict === true ? "right" : node.verdict === false ? "wrong" : "";
  const badges = [h("span", { class: "badge" }, MOVES[node.move])];
  if (statesAnswer(node)) badges.push(h("span", { class: `badge ${verdict}` }, `${mark(node)} ${verdictWords(node)}`));
  if (node.drop) badges.push(h("span", { class: "badge drop" }, `▾ drops by ${number(node.drop)}`));
  if (node.truncated) badges.push(h("span", { class: "badge" }, "cut by the token limit"));
  if (node.closing) badges.push(h("span", { class: "badge" }, "closing move"));
  if (node.complete) badges.push(h("span", { class: "badge" }, "complete"));
  if (node.copies > 1) badges.push(h("span", { class: "badge" }, `${node.copies} identical copies`));
  const facts = [
    ["Value", number(node.value)],
    ["Own rollouts", h("span", {}, node.outcomes.length ? `${rolloutWords(node)} right` : "none", dots(node))],
    ["Rollout value", number(node.rollout_value)],
    ["Visits", String(node.visits)],
  ];
  if (node.answer !== null) facts.push(["States", node.answer]);
  if (node.written_number !== null && node.written_number !== undefined) facts.push(["Written as", `Step ${node.written_number}`]);
  return [
    h("h3", {}, `Step ${node.depth}`, h("span", { class: "muted" }, ` · node ${node.id}`)),
    h("div", { class: "badges" }, badges),
    h("p", { class: "step-text" }, node.text),
    h("dl", { class: "facts" }, facts.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])),
    node.samples.length ? h("div", {}, h("h3", {}, "Sample rollouts"), node.samples.map(sample)) : null,
    siblings.length > 1 ? h("div", {}, h("h3", {}, "Steps tried here"), h("ul", { class: "siblings" }, siblings.map((other) =>
      h("li", {}, h("button", { type: "button", "aria-current": other === node ? "true" : null, onclick: () => choose(other.id, false) },
        `${number(other.value)} ${mark(other)} ${shorten(other.text, 90)}`))))) : null,
  ].filter(Boolean);
}

function dots(node) {
  // One mark a rollout, in order: filled for right, an empty ring for wrong.
  if (!node.outcomes.length) return null;
  return s("svg", { class: "dots", width: node.outcomes.length * 9, height: 9, "aria-hidden": "true" }, node.outcomes.map((outcome, i) =>
    s("circle", { cx: i * 9 + 4.5, cy: 4.5, r: 3.2, fill: outcome ? "var(--right)" : "none", stroke: outcome ? "var(--right)" : "var(--wrong)", "stroke-width": 1.3 })));
}

function sample(rollout) {
  const kind = rollout.correct === true ? "✓ right" : rollout.correct === false ? "✗ wrong" : "no answer found";
  const tone = rollout.correct === true ? "right" : rollout.correct === false ? "wrong" : "muted";
  return h("details", { class: "sample" },
    h("summary", {}, h("span", { class: tone }, kind), rollout.answer === null ? "" : `: ${shorten(rollout.answer, 40)}`),
    h("pre", {}, rollout.text));
}

function pathText(tree, node) {
  return [
    h("h3", {}, "The path as text"),
    h("ol", {}, pathTo(tree, node).map((step) => h("li", { class: step === node ? "here" : "" },
      h("b", {}, `Step ${step.depth}`), h("span", { class: "muted" }, ` ${number(step.value)}`,
        step.drop ? h("span", { class: "drop" }, ` −${number(step.drop)}`) : null, step.verdict === null ? "" : ` ${mark(step)}`),
      h("br"), step.text))),
  ];
}

function questionBlock(tree) {
  const asked = tree.question;
  const gold = asked.gold ? [asked.gold.value, ...asked.gold.aliases].join("; ") : null;
  return h("div", { class: "asked" }, h("p", { class: "words", tabindex: asked.text.length > 900 ? 0 : null }, asked.text),
    h("p", { class: "gold" }, h("b", {}, "Gold answer: "), gold === null ? "none (grown at inference)" : gold));
}

function showView(view) {
  page.view = view;
  const { drawn, listed, canvas, tabs } = page.parts;
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab.dataset.view === view));
    tab.setAttribute("tabindex", tab.dataset.view === view ? "0" : "-1");
  }
  canvas.replaceChildren(view === "list" ? listed.table : drawn.svg);
  canvas.setAttribute("aria-labelledby", `tab-${view}`);
  const [across, along] = view === "list" ? [" fold, unfold ", " row "] : [" parent, child ", " same depth "];
  page.parts.keys.replaceChildren("Keys: ", h("kbd", {}, "←"), h("kbd", {}, "→"), across, h("kbd", {}, "↑"), h("kbd", {}, "↓"), along, h("kbd", {}, "Esc"), " all questions");
  page.parts.zoomBox.hidden = view === "list";
  page.parts.legendBox.hidden = view === "list";
}

function setZoom(zoom) {
  const { svg, size } = page.parts.drawn;
  page.zoom = Math.min(2, Math.max(0.25, zoom));
  svg.setAttribute("width", Math.round(size.width * page.zoom));
  svg.setAttribute("height", Math.round(size.height * page.zoom));
}

function fitZoom() {
  const { canvas, drawn } = page.parts;
  setZoom(Math.min(1, (canvas.clientWidth - 4) / drawn.size.width, (canvas.clientHeight - 4) / drawn.size.height));
}

function focusNode() {
  const chosen = page.parts.canvas.querySelector(`[data-node="${page.node.id}"]`);
  chosen?.focus({ preventScroll: true });
}

function reveal() {
  // Scroll the drawing, never the page, until the chosen step is in sight.
  const { canvas } = page.parts;
  const chosen = canvas.querySelector(`[data-node="${page.node.id}"]`);
  if (!chosen) return;
  const box = chosen.getBoundingClientRect(), frame = canvas.getBoundingClientRect();
  const by = (low, high, from, to, margin) => (low < from + margin ? low - from - margin : high > to - margin ? high - to + margin : 0);
  canvas.scrollBy(page.view === "list" ? 0 : by(box.left, box.right, frame.left, frame.right, 40), by(box.top, box.bottom, frame.top, frame.bottom, 44));
}

function choose(id, focus) {
  const node = page.tree.nodes[id] || page.tree.nodes[0];
  page.node = node;
  markDrawing(page.parts.drawn.svg, page.tree, node);
  page.parts.listed.select(node);
  page.parts.side.replaceChildren(...panel(page.tree, node));
  page.parts.side.scrollTop = 0;
  page.parts.pathBox.replaceChildren(...pathText(page.tree, node));
  if (focus) focusNode();
  reveal();
  history.replaceState(null, "", linkTo(page.question, node.id));
}

function walkTree(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || !event.target.closest("[data-node]")) return;
  const next = page.view === "list" ? page.parts.listed.walk(page.node, event.key) : neighbour(page.tree, page.node, event.key);
  if (event.key.startsWith("Arrow") || event.key === "Home" || event.key === "End") event.preventDefault();
  if (next) choose(next.id, true);
}

function treeHead(question) {
  const place = overview.shown.indexOf(question);
  const step = (by, words) => {
    const other = overview.shown[place + by];
    return h("button", { type: "button", disabled: place < 0 || !other, onclick: () => { location.hash = linkTo(other); } }, words);
  };
  const facts = [question.source, question.domain, `${question.nodes} nodes`, `stopped: ${question.stop}`];
  facts.push(question.correct === null ? `${question.finished} finished` : `${question.correct} of ${question.finished} correct`);
  return h("div", { class: "tree-head" }, h("h2", { id: "tree-title", tabindex: -1 }, question.key), h("span", { class: "muted" }, facts.filter(Boolean).join(" · ")),
    h("nav", { "aria-label": "Questions" }, h("a", { href: "#" }, "All questions"), step(-1, "Previous"), step(1, "Next")));
}

async function openTree(question, nodeId, byPerson) {
  const opening = ++page.opening;
  const section = byId("tree-page");
  byId("overview").hidden = true;
  section.hidden = false;
  section.replaceChildren(treeHead(question), h("p", { class: "muted", role: "status" }, "Unpacking the tree…"));
  let tree;
  try {
    tree = await readTree(question.position);
  } catch (error) {
    if (opening === page.opening) section.replaceChildren(treeHead(question), h("p", { class: "note", role: "alert" }, `This tree cannot be shown. ${error.message}`));
    return;
  }
  if (opening !== page.opening) return;
  page.question = question;
  page.tree = tree;
  showTree(nodeId);
  document.title = `${question.key} · ${index.title}`;
  if (byPerson) focusNode();
}

function showTree(nodeId) {
  const tree = page.tree;
  const tab = (view, words) => h("button", { type: "button", role: "tab", id: `tab-${view}`, "data-view": view, "aria-controls": "canvas", onclick: () => { showView(view); choose(page.node.id, false); } }, words);
  const tabs = [tab("drawing", "Drawing"), tab("list", "List")];
  const strip = h("div", { role: "tablist", "aria-label": "View" }, tabs);
  strip.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    tabs.find((other) => other.dataset.view !== page.view).click();
    tabs.find((other) => other.dataset.view === page.view).focus();
  });
  const zoomer = (words, label, act) => h("button", { type: "button", "aria-label": label, onclick: act }, words);
  const zoomBox = h("div", { class: "zoom" }, zoomer("−", "Smaller", () => setZoom(page.zoom / 1.25)), zoomer("+", "Larger", () => setZoom(page.zoom * 1.25)), zoomer("Fit", "Fit the drawing", fitZoom), zoomer("1:1", "Full size", () => { setZoom(1); reveal(); }));
  const canvas = h("div", { class: "canvas", id: "canvas", role: "tabpanel" });
  const legendBox = h("div", {}, legend());
  const side = h("aside", { class: "panel", "aria-label": "Chosen step", tabindex: 0 });
  const pathBox = h("section", { class: "path", "aria-label": "Path" });
  const select = (id, focus) => choose(id, focus);
  const keys = h("p", { class: "muted keys" });
  page.parts = { drawn: drawTree(tree, select), listed: listTree(tree, select), canvas, side, pathBox, tabs, keys, zoomBox, legendBox };
  canvas.addEventListener("keydown", walkTree);
  byId("tree-page").replaceChildren(treeHead(page.question), questionBlock(tree),
    h("div", { class: "split" }, h("div", { class: "drawn" }, h("div", { class: "views" }, strip, keys, zoomBox), canvas, legendBox), side, pathBox));
  showView(page.view || (innerWidth < 600 ? "list" : "drawing"));
  setZoom(page.zoom);
  choose(nodeId, false);
}

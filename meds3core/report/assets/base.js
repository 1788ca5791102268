// What every part of the page uses: building elements, the colour scale, the words for a node, reading a tree.
// Texts reach the page through textContent only; nothing here ever parses a text as HTML.

const index = JSON.parse(document.getElementById("index").textContent);
const byId = (id) => document.getElementById(id);

function build(namespace, tag, attributes, children) {
  const element = namespace ? document.createElementNS(namespace, tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}
const h = (tag, attributes, ...children) => build(null, tag, attributes, children);
const s = (tag, attributes, ...children) => build("http://www.w3.org/2000/svg", tag, attributes, children);

// --- colours: burnt orange, pale, blue; told apart by people with any common colour blindness -----------------

const dark = () => document.documentElement.dataset.theme === "dark";
const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

function colour(value) {
  const style = getComputedStyle(document.documentElement);
  const [low, mid, high] = ["low", "mid", "high"].map((end) => channels(style.getPropertyValue(`--scale-${end}`).trim()));
  const [from, to, share] = value < 0.5 ? [low, mid, value * 2] : [mid, high, value * 2 - 1];
  return from.map((channel, i) => Math.round(channel + (to[i] - channel) * share));
}

function paint(element, value) {
  // Background and the better of black and white upon it, by relative luminance.
  const rgb = colour(value);
  element.style.background = `rgb(${rgb})`;
  element.style.color = ink(rgb);
}

function ink(rgb) {
  const linear = rgb.map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4));
  const luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  return luminance > 0.179 ? "#000000" : "#ffffff";
}

function scaleBar(label) {
  const steps = Array.from({ length: 21 }, (_, i) =>
    s("rect", { x: i * 6, width: 6.5, height: 10, fill: `rgb(${colour(i / 20)})` }));
  return [h("span", {}, `${label}:`), h("span", {}, "0"), s("svg", { width: 126, height: 10, "aria-hidden": "true" }, steps), h("span", {}, "1")];
}

function setTheme(theme, keep) {
  document.documentElement.dataset.theme = theme;
  byId("theme").setAttribute("aria-pressed", String(theme === "dark"));
  if (keep) try { localStorage.setItem("meds3-theme", theme); } catch { /* storage is switched off */ }
}

function startTheme(changed) {
  let kept = null;
  try { kept = localStorage.getItem("meds3-theme"); } catch { /* storage is switched off */ }
  const system = matchMedia("(prefers-color-scheme: dark)");
  setTheme(kept === "dark" || kept === "light" ? kept : system.matches ? "dark" : "light", false);
  system.addEventListener("change", () => { if (!kept) { setTheme(system.matches ? "dark" : "light", false); changed(); } });
  byId("theme").addEventListener("click", () => { kept = dark() ? "light" : "dark"; setTheme(kept, true); changed(); });
}

// --- a tree: read when it is opened, never before -------------------------------------------------------------

async function unpack(id) {
  if (!byId(id) && document.readyState === "loading") {
    await new Promise((done) => document.addEventListener("DOMContentLoaded", done, { once: true }));
  }
  if (typeof DecompressionStream === "undefined") {
    throw new Error("This browser is too old to unpack what the page holds: it lacks DecompressionStream (any browser since 2023 has it).");
  }
  const packed = Uint8Array.from(atob(byId(id).textContent), (character) => character.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).text();
}

async function readTree(position) {
  return prepare(JSON.parse(await unpack(`tree-${position}`)));
}

function prepare(tree) {
  // Fill in the defaults that the file leaves out, and what the page asks of a node again and again.
  const defaults = { copies: 1, outcomes: [], samples: [], visits: 0, value: null, rollout_value: null, answer: null, verdict: null };
  tree.nodes = tree.nodes.map((node) => ({ ...defaults, ...node, children: [] }));
  for (const node of tree.nodes) {
    if (node.parent < 0) continue;
    const parent = tree.nodes[node.parent];
    parent.children.push(node);
    if (node.depth > 1 && node.value !== null && parent.value !== null && node.value < parent.value) {
      node.drop = parent.value - node.value;
    }
  }
  return tree;
}

function pathTo(tree, node) {
  const path = [];
  for (let at = node; at; at = tree.nodes[at.parent]) path.unshift(at);
  return path;
}

// --- words ----------------------------------------------------------------------------------------------------

const MOVES = { root: "start", reason: "reason", finish: "finish", reflect: "reflect" };
const number = (value) => (value === null ? "–" : value.toFixed(2));
const rightOnes = (node) => node.outcomes.reduce((sum, outcome) => sum + outcome, 0);
const rolloutWords = (node) => (node.outcomes.length ? `${rightOnes(node)} of ${node.outcomes.length}` : "none");
const statesAnswer = (node) => node.answer !== null || node.verdict !== null;
const mark = (node) => (node.verdict === true ? "✓" : node.verdict === false ? "✗" : "");

function verdictWords(node) {
  if (!statesAnswer(node)) return "";
  const kind = node.verdict === null ? "answer" : node.verdict ? "right answer" : "wrong answer";
  return node.answer === null ? kind : `${kind} ${node.answer}`;
}

function nodeWords(node) {
  const parts = [`Step ${node.depth}`, MOVES[node.move], node.value === null ? "no value" : `value ${number(node.value)}`];
  if (node.drop) parts.push(`drops by ${number(node.drop)}`);
  if (statesAnswer(node)) parts.push(verdictWords(node));
  else if (node.outcomes.length) parts.push(`${rolloutWords(node)} rollouts right`);
  if (node.truncated) parts.push("cut by the token limit");
  return parts.join(", ");
}

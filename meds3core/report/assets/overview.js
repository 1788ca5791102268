// The grid of questions: filter, order, walk by arrow keys.

const overview = { shown: index.questions, focus: 0 };

function fillFilters() {
  for (const field of ["source", "domain"]) {
    const names = [...new Set(index.questions.map((question) => question[field]))].filter(Boolean).sort();
    byId(field).append(...names.map((name) => h("option", { value: name }, name)));
    byId(field).closest("label").hidden = names.length < 2;
  }
}

const shareOf = (question) => (question.correct === null ? -1 : question.finished ? question.correct / question.finished : 0);

const ORDERS = {
  file: (a, b) => a.position - b.position,
  low: (a, b) => shareOf(a) - shareOf(b) || a.position - b.position,
  high: (a, b) => shareOf(b) - shareOf(a) || a.position - b.position,
  drops: (a, b) => b.drops - a.drops || a.position - b.position,
};

function fits(question, wanted) {
  const result = question.correct === null ? "open" : question.correct ? "solved" : "unsolved";
  return (!wanted.source || question.source === wanted.source)
    && (!wanted.domain || question.domain === wanted.domain)
    && (!wanted.result || result === wanted.result)
    && wanted.words.every((word) => question.haystack.includes(word));
}

function questionWords(question) {
  if (question.correct === null) return `${question.id}: ${question.finished} finished trajectories, no gold answer`;
  return `${question.id}: ${question.correct} of ${question.finished} finished trajectories correct`;
}

function cell(question, place) {
  const figure = question.correct === null ? `${question.finished}` : `${question.correct}/${question.finished}`;
  const link = h("a", {
    href: linkTo(question), tabindex: place === overview.focus ? 0 : -1, "aria-label": questionWords(question),
    title: `${question.id}\n${question.text.slice(0, 200)}`, "data-place": place,
  }, h("b", {}, figure, question.correct ? " ✓" : ""), h("span", {}, question.id));
  if (question.correct !== null) paint(link, shareOf(question));
  return h("li", {}, link);
}

function showGrid() {
  const wanted = { source: byId("source").value, domain: byId("domain").value, result: byId("result").value };
  wanted.words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
  overview.shown = index.questions.filter((question) => fits(question, wanted)).sort(ORDERS[byId("order").value]);
  overview.focus = 0;
  const grid = byId("grid");
  grid.classList.toggle("dense", overview.shown.length > 120);
  grid.replaceChildren(...overview.shown.map(cell));
  grid.hidden = !overview.shown.length;
  byId("none").hidden = overview.shown.length > 0;
  const all = index.questions.length;
  byId("shown").textContent = overview.shown.length === all ? `${all} trees` : `${overview.shown.length} of ${all} trees`;
  byId("grid-scale").replaceChildren(...scaleBar("Colour: share of finished trajectories that are correct (figures say the same)"));
}

function walkGrid(event) {
  const links = [...byId("grid").querySelectorAll("a")];
  const at = links.indexOf(document.activeElement);
  if (at < 0 || event.ctrlKey || event.metaKey || event.altKey) return;
  const columns = getComputedStyle(byId("grid")).gridTemplateColumns.split(" ").length;
  const moves = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns, ArrowUp: -columns, Home: -at, End: links.length - 1 - at };
  if (!(event.key in moves)) return;
  event.preventDefault();
  focusCell(Math.min(links.length - 1, Math.max(0, at + moves[event.key])));
}

function focusCell(place) {
  const links = byId("grid").querySelectorAll("a");
  links[overview.focus]?.setAttribute("tabindex", "-1");
  overview.focus = place;
  links[place]?.setAttribute("tabindex", "0");
  links[place]?.focus();
}

function startOverview() {
  const copies = new Map();
  index.questions.forEach((question, position) => {
    question.position = position;
    question.haystack = `${question.id} ${question.text}`.toLowerCase();
    const copy = (copies.get(question.id) || 0) + 1;
    copies.set(question.id, copy);
    question.key = copy === 1 ? question.id : `${question.id} (${copy})`;
  });
  fillFilters();
  byId("filters").addEventListener("input", showGrid);
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", () => { byId("filters").reset(); showGrid(); byId("search").focus(); });
  byId("grid").addEventListener("keydown", walkGrid);
  showGrid();
}

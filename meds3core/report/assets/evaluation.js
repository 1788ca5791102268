// The pages of an evaluation and of a comparison: lines of charts switched on and off, a list of questions, and what
// was answered to the one that is opened. A question's answers are unpacked when it is opened, never before.

const PAGE = 30;
const list = { shown: [], limit: PAGE };
const opened = { number: null, turn: 0 };

function startCharts() {
  for (const box of document.querySelectorAll("input[data-toggles]")) {
    const figure = box.closest("figure");
    const line = [...figure.querySelectorAll("g[data-series]")].find((group) => group.dataset.series === box.dataset.toggles);
    const apply = () => line.toggleAttribute("hidden", !box.checked);
    box.addEventListener("change", apply);
    apply();
  }
}

// --- the list ---------------------------------------------------------------------------------------------------

const OUTCOMES = { right: "right", wrong: "wrong", none: "no answer", won: "won", lost: "lost", both: "both right", neither: "neither right" };
const GOOD = new Set(["right", "won", "both"]);

function startList() {
  for (const name of ["source", "domain"]) {
    for (const value of [...new Set(index.questions.map((question) => question[name]))].sort()) {
      if (value) byId(name).append(h("option", { value }, value));
    }
  }
  byId("filters").addEventListener("input", () => { list.limit = PAGE; showList(); });
  byId("filters").addEventListener("submit", (event) => event.preventDefault());
  byId("clear").addEventListener("click", () => { byId("filters").reset(); list.limit = PAGE; showList(); });
  byId("more").addEventListener("click", () => {
    const first = list.limit;
    list.limit += 10 * PAGE;
    showList();
    byId("list").children[first]?.firstElementChild.focus();
  });
  byId("list").addEventListener("keydown", (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    const links = [...byId("list").querySelectorAll("a")];
    const next = links[links.indexOf(document.activeElement) + step];
    if (next) { event.preventDefault(); next.focus(); }
  });
  showList();
}

function showList() {
  const words = byId("search").value.trim().toLowerCase();
  const wanted = { source: byId("source").value, domain: byId("domain").value, outcome: byId("result").value };
  list.shown = index.questions.filter((question) =>
    Object.entries(wanted).every(([name, value]) => !value || question[name] === value) &&
    (!words || `${question.id} ${question.text}`.toLowerCase().includes(words)));
  byId("shown").textContent = list.shown.length === 1 ? "1 question" : `${list.shown.length.toLocaleString("en")} questions`;
  byId("none").hidden = list.shown.length > 0;
  byId("list").hidden = list.shown.length === 0;
  byId("list").replaceChildren(...list.shown.slice(0, list.limit).map((question) =>
    h("li", {}, h("a", { href: linkTo(question) },
      h("span", { class: `outcome ${tone(question.outcome)}` }, `${sign(question.outcome)} ${OUTCOMES[question.outcome] || ""}`),
      h("span", { class: "words" }, question.text),
      h("span", { class: "also" }, question.also)))));
  byId("more").hidden = list.shown.length <= list.limit;
}

const tone = (outcome) => (GOOD.has(outcome) ? "right" : outcome === "none" ? "" : "wrong");
const sign = (outcome) => (GOOD.has(outcome) ? "✓" : outcome === "none" ? "–" : "✗");
const linkTo = (question) => `#q=${encodeURIComponent(question.key)}`;

// --- one question -----------------------------------------------------------------------------------------------

async function openQuestion(question, byPerson) {
  const turn = ++opened.turn;
  opened.number = question.number;
  const page = byId("question-page");
  byId("overview").hidden = true;
  page.hidden = false;
  document.title = `${question.id} – ${index.title}`;
  let row;
  try {
    row = JSON.parse(await unpack(`row-${question.number}`));
  } catch (error) {
    page.replaceChildren(h("p", { class: "note" }, String(error.message || error)));
    return;
  }
  if (turn !== opened.turn) return;
  const place = list.shown.indexOf(question);
  const neighbour = (step, words) => {
    const other = place < 0 ? null : list.shown[place + step];
    return other ? h("a", { href: linkTo(other) }, words) : h("span", { class: "muted" }, words);
  };
  page.replaceChildren(
    h("div", { class: "pagehead" },
      h("h2", { id: "question-title", tabindex: "-1" }, question.id),
      h("span", { class: "muted" }, [question.source, question.domain].filter(Boolean).join(", ")),
      h("nav", { "aria-label": "Questions" }, h("a", { href: "#" }, "All questions"), neighbour(-1, "Previous"), neighbour(1, "Next"))),
    h("div", { class: "asked" }, h("div", { class: "words" }, row.text), h("p", { class: "gold" }, "Gold answer: ", h("b", {}, row.gold))),
    h("div", { class: "scale" }, ...(row.scored ? scaleBar("Score of a step") : [])),
    h("div", { class: "sides" }, row.sides.map(side)));
  if (byPerson) byId("question-title").focus({ preventScroll: true });
  window.scrollTo(0, 0);
}

function side(part) {
  return h("section", { class: "side", "aria-label": part.name },
    h("h3", {}, part.name),
    part.strategies.length ? h("dl", { class: "facts" }, part.strategies.map(([name, value]) => [h("dt", {}, name), h("dd", {}, value)])) : null,
    part.greedy ? response(part.greedy, "Greedy", true) : null,
    part.samples.map((sample, number) => response(sample, `Sample ${number + 1}`, !part.greedy && number === 0)));
}

function response(given, name, open) {
  const outcome = given.correct === true ? "right" : given.answer === null ? "none" : "wrong";
  return h("details", { class: "response", open },
    h("summary", {},
      h("b", {}, name),
      h("span", { class: `badge ${tone(outcome)}` }, `${sign(outcome)} ${given.answer === null ? "no answer" : given.answer}`),
      given.flawed ? h("span", { class: "badge drop" }, "right answer, wrong step") : null,
      given.cut ? h("span", { class: "badge" }, "cut") : null,
      h("span", { class: "muted" }, given.said)),
    h("ol", { class: "steps" }, given.bodies.map((body, number) => step(given, body, number))));
}

function step(given, body, number) {
  const right = given.right.length ? given.right[number] : null;
  const chips = given.scores.map(([name, values]) => {
    if (values.length !== given.bodies.length) return null;
    const chip = h("span", { class: "chip", title: `${name}: ${values[number].toFixed(2)}` }, values[number].toFixed(2));
    paint(chip, values[number]);
    return chip;
  }).filter(Boolean);
  const verdict = number === 0 || right === null ? null : h("span", { class: right ? "right" : "wrong" }, right ? "✓ " : "✗ ");
  return h("li", { class: number === 0 || right === null ? "" : right ? "right" : "wrong" },
    chips.length ? h("span", { class: "chips" }, chips) : null, verdict, h("b", {}, `Step ${number}: `), body);
}

// --- where we are -----------------------------------------------------------------------------------------------

function route(byPerson) {
  const wanted = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  const question = index.questions.find((other) => other.key === wanted.get("q"));
  if (question) {
    void openQuestion(question, byPerson);
    return;
  }
  const left = opened.number;
  opened.number = null;
  opened.turn++;
  byId("question-page").hidden = true;
  byId("overview").hidden = false;
  document.title = index.title;
  if (left !== null) {
    const place = list.shown.findIndex((other) => other.number === left);
    byId("list").children[place]?.firstElementChild.focus();
  }
}

function startPage() {
  startTheme(() => { if (opened.number !== null) void openQuestion(index.questions[opened.number], false); });
  startCharts();
  byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("content").focus(); });
  if (!index.questions) return;
  index.questions.forEach((question, number) => { question.number = number; });
  startList();
  addEventListener("hashchange", () => route(true));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && opened.number !== null && !event.defaultPrevented) location.hash = "";
  });
  route(false);
}

startPage();

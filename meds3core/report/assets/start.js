// Where the page is follows from the part of its address after #: nothing, or q=<question>&n=<node>.

const linkTo = (question, node) => `#q=${encodeURIComponent(question.key)}${node ? `&n=${node}` : ""}`;

function route(byPerson) {
  const wanted = new URLSearchParams(location.hash.slice(1).replaceAll("+", "%2B"));
  const question = index.questions.find((other) => other.key === wanted.get("q"));
  if (question) {
    void openTree(question, Number(wanted.get("n")) || 0, byPerson);
    return;
  }
  const left = page.question;
  page.question = page.tree = page.node = null;
  page.opening++;
  byId("tree-page").hidden = true;
  byId("overview").hidden = false;
  document.title = index.title;
  if (left) focusCell(Math.max(0, overview.shown.indexOf(left)));
}

function start() {
  startTheme(() => {
    const place = overview.focus;
    showGrid();
    overview.focus = place;
    if (page.tree) showTree(page.node.id);
  });
  startOverview();
  byId("skip").addEventListener("click", (event) => { event.preventDefault(); byId("content").focus(); });
  addEventListener("hashchange", () => route(true));
  addEventListener("keydown", (event) => {
    if (event.key === "Escape" && page.question && !event.defaultPrevented) location.hash = "";
  });
  route(false);
}

start();

/* A conversation's page: answers grow while they are written. Every text goes in as text, never as HTML; what the
   server has rendered comes as a part of the page when an answer is complete. */
"use strict";

(() => {
  const root = document.querySelector("[data-chat]");
  if (!root) return;
  const answers = new Map(); // id → { text, attempt, seq, scores }
  const sought = new Set();
  const BOUNDARY = /\n\n(?=Step [0-9]{1,9}:)/;
  const HEADER = /^(Step [0-9]{1,9}): ?/;

  const place = (id) => root.querySelector(`[data-message="${id}"]`);

  /* The thread as the server draws it now. What somebody has folded, opened or begun to write in it stays. */
  let redrawing = false;
  let kept = null;
  const inThread = () => {
    const folds = new Map();
    for (const article of root.querySelectorAll("[data-message]")) {
      article.querySelectorAll("details").forEach((each, at) => folds.set(`${article.dataset.message} ${at}`, each));
    }
    return { folds, fields: root.querySelectorAll("#thread :is(textarea, select, input:not([type=hidden]))[id]") };
  };
  const refresh = () => {
    redrawing = true;
    const drawn = window.htmx.ajax("GET", root.dataset.thread, { target: "#thread", swap: "outerHTML" });
    return drawn.finally(() => { redrawing = false; });
  };
  root.addEventListener("htmx:beforeSwap", () => {
    if (!redrawing) return;
    const { folds, fields } = inThread();
    kept = { open: [...folds].map(([key, each]) => [key, each.open]), written: [...fields].map((each) => [each.id, each.value]) };
  });
  const putBack = () => {
    if (!kept) return;
    const { folds } = inThread();
    for (const [key, open] of kept.open) if (folds.has(key)) folds.get(key).open = open;
    for (const [id, value] of kept.written) {
      const field = document.getElementById(id);
      if (field) field.value = value;
    }
    kept = null;
  };

  /* One answer as the server draws it: what somebody writes elsewhere in the thread stays. */
  const renew = (article, id) => {
    if (root.dataset.whole !== undefined) return refresh();
    return window.htmx.ajax("GET", root.dataset.thread, { target: article, swap: "outerHTML", select: `[data-message="${id}"]` });
  };

  const nearEnd = () => window.innerHeight + window.scrollY > document.documentElement.scrollHeight - 160;

  /* The steps so far: those that are there keep their element, so that what somebody folded stays folded. */
  const draw = (live, answer) => {
    const parts = answer.text.split(BOUNDARY);
    if (!HEADER.test(parts[0])) {
      live.textContent = answer.text;
      return;
    }
    while (live.childElementCount > parts.length) live.lastElementChild.remove();
    parts.forEach((part, at) => {
      let step = live.children[at];
      if (!step) {
        step = document.createElement("details");
        step.className = "chat-step";
        step.open = true;
        step.append(document.createElement("summary"), document.createElement("div"));
        step.lastElementChild.className = "chat-step-body";
        step.lastElementChild.dir = "auto";
        live.append(step);
      }
      const name = (HEADER.exec(part) || ["", `Step ${at}`])[1];
      const score = answer.scores[at];
      const head = score === null || score === undefined ? name : `${name} · score ${score.toFixed(2)}`;
      if (step.firstElementChild.textContent !== head) step.firstElementChild.textContent = head;
      const body = part.replace(HEADER, "");
      if (step.lastElementChild.textContent !== body) step.lastElementChild.textContent = body;
    });
  };

  const note = (article, news, answer) => {
    const said = article.querySelector("[data-note]");
    if (!said) return;
    let text = news.note;
    if (!text && news.state === "queued") text = news.ahead ? `Waiting: ${news.ahead} answers come first.` : "Waiting for the chat worker.";
    if (!text && news.candidates) text = `${news.candidates} answers are there to choose from.`;
    if (!text && news.attempt > 1) text = `The worker had vanished; the answer is begun anew (attempt ${news.attempt}).`;
    if (!text && answer.text) text = "Answering.";
    if (text && said.textContent !== text) said.textContent = text;
  };

  /* Answers that ended while the line was down, or between the page and its line. */
  const settle = (open) => {
    for (const article of root.querySelectorAll("[data-message]")) {
      const id = article.dataset.message;
      if (article.querySelector("[data-live]") && !open.includes(id)) renew(article, id);
    }
  };

  /* Another tab asked for it, or it belongs to a branch that is not shown: looked for once, if it never was here. */
  const seek = (id) => {
    if (!sought.has(id)) refresh();
    sought.add(id);
  };

  const receive = (news) => {
    if (news.type === "open") {
      settle(news.ids);
      for (const id of news.newest) if (!place(id)) seek(id);
    }
    if (news.type !== "news") return;
    const article = place(news.id);
    if (!article) return seek(news.id);
    const answer = answers.get(news.id) || { text: "", attempt: 0, seq: 0, scores: [] };
    answers.set(news.id, answer);
    if (news.whole) answer.text = news.text;
    else answer.text += news.text;
    if (news.attempt !== answer.attempt) answer.scores = [];
    if (news.scores) answer.scores = news.scores;
    answer.attempt = news.attempt;
    answer.seq = news.seq;
    const live = article.querySelector("[data-live]");
    if (news.over) {
      answers.delete(news.id);
      if (live) renew(article, news.id);
      return;
    }
    if (!live) return;
    const follow = nearEnd();
    draw(live, answer);
    note(article, news, answer);
    if (follow) window.scrollTo({ top: document.documentElement.scrollHeight });
  };

  const line = studio.follow(root.dataset.chat, { receive });

  const known = () => root.querySelectorAll("[data-message]").forEach((each) => sought.add(each.dataset.message));
  known();
  document.body.addEventListener("htmx:afterSwap", () => {
    putBack();
    known();
    line.say("look");
  });

  const composer = root.querySelector("[data-composer]");
  root.addEventListener("click", (event) => {
    const example = event.target.closest("[data-example]");
    const box = document.getElementById("chat-text");
    if (!example || !box) return;
    box.value = example.textContent;
    box.focus();
  });
  // What is opened is not to hide behind the box below.
  root.addEventListener("toggle", (event) => {
    if (event.target.matches(".chat-drawer[open]")) event.target.scrollIntoView({ block: "nearest" });
  }, true);
  composer?.addEventListener("htmx:afterRequest", (event) => {
    if (event.target !== composer || !event.detail.xhr?.getResponseHeader("X-Chat-Asked")) return;
    document.getElementById("chat-text").value = "";
    window.scrollTo({ top: document.documentElement.scrollHeight });
  });
  composer?.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing && event.target.id === "chat-text") {
      event.preventDefault();
      composer.requestSubmit();
    }
  });
})();

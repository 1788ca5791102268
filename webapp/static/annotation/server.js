/* What the work page asks of the server. Every call gives { ok, status, said, line }; `line`: whether an answer came.

   new studio.work.Server({ next, act, read })   URLs; that of an item has zeros for its id and ends with "work/act/" */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const work = (studio.work = studio.work || {});
  const PATIENCE = 20000;

  work.Server = class {
    constructor({ next, act, read }) {
      this.urls = { next, act, read };
      this.token = JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] || "";
    }

    act(item, act) {
      return this.urls.act.replace(/[0-]{36}\/work\/act\/$/, `${item}/work/${act}/`);
    }

    pull(holding) {
      return this.ask(this.urls.next, { holding });
    }

    /* Where a judgement goes: the outbox sends it. */
    saving(item, { revises }) {
      return { url: this.act(item, revises ? "revise" : "save") };
    }

    renew(item) {
      return this.ask(this.act(item, "lock"));
    }

    release(item, { skip = false, keepalive = false } = {}) {
      return this.ask(this.act(item, skip ? "skip" : "release"), {}, { keepalive });
    }

    undo(item) {
      return this.ask(this.act(item, "undo"));
    }

    reveal(item) {
      return this.ask(this.act(item, "reveal"));
    }

    read(number) {
      return this.ask(this.urls.read, { number });
    }

    async ask(url, body = {}, { keepalive = false } = {}) {
      try {
        const answer = await fetch(url, {
          method: "POST",
          credentials: "same-origin",
          redirect: "manual",
          keepalive,
          signal: AbortSignal.timeout(PATIENCE),
          headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": this.token },
          body: JSON.stringify(body),
        });
        const said = await answer.json().catch(() => ({}));
        return { ok: answer.ok, status: answer.status, said, line: answer.status < 500 && answer.status !== 429 };
      } catch {
        return { ok: false, status: 0, said: {}, line: false };
      }
    }
  };
})();

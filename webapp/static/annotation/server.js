/* What the work page asks of the server. Every call gives { ok, status, said, line }; `line`: whether our server answered,
   which speaks JSON and nothing else here.

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

    /* Where a judgement goes: the outbox sends it. One that was taken back may stand all the same, when the server heard
       of it and not of its end; one that is changed may have been taken back elsewhere. */
    saving(item, { revises, again }) {
      const [save, revise] = [this.act(item, "save"), this.act(item, "revise")];
      if (revises) return { url: revise, otherwise: save };
      return again ? { url: save, otherwise: revise } : { url: save };
    }

    /* How a judgement is taken back, now or by the outbox later. */
    undoing(item, client) {
      return { url: this.act(item, "undo"), body: { client_id: client } };
    }

    renew(item) {
      return this.ask(this.act(item, "lock"));
    }

    release(item, { skip = false, keepalive = false } = {}) {
      return this.ask(this.act(item, skip ? "skip" : "release"), {}, { keepalive });
    }

    undo(item, client) {
      const { url, body } = this.undoing(item, client);
      return this.ask(url, body);
    }

    reveal(item) {
      return this.ask(this.act(item, "reveal"));
    }

    read(number) {
      return this.ask(this.urls.read, { number });
    }

    /* The newest instructions as a piece of a page; "" where they cannot be had now. */
    async instructions() {
      try {
        const answer = await fetch(this.urls.read, { credentials: "same-origin", redirect: "manual", signal: AbortSignal.timeout(PATIENCE) });
        return answer.ok ? await answer.text() : "";
      } catch {
        return "";
      }
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
        const said = await answer.json().catch(() => null);
        const ours = said !== null && typeof said === "object";
        const line = (ours || !answer.ok) && answer.status < 500 && answer.status !== 429;
        return { ok: answer.ok && ours, status: answer.status, said: said || {}, line };
      } catch {
        return { ok: false, status: 0, said: {}, line: false };
      }
    }
  };
})();

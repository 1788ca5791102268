/* What a session does besides judging: goes back, passes steps on, keeps its locks alive. Loaded after session.js. */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const { work, outbox } = studio;
  const RENEW = 60000;

  /* The methods of a class do not become part of another: these are copied. */
  const parts = class {
    // --- going back --------------------------------------------------------------------------------------------------

    async undo() {
      if (this.phase === "judging") {
        if (!work.draft.isEmpty(this.draft)) {
          this.present.open = false;
          this.change(work.draft.empty());
          this.view.say("Cleared.");
          return;
        }
        if (this.present.position > 0) {
          this.present.answers.pop();
          this.present.position -= 1;
          this.present.open = this.draft.verdict === "bad";
          this.keep();
          this.show(this.present);
          return;
        }
      } else if (this.phase !== "shown" && this.phase !== "empty") {
        return;
      }
      const held = this.done.at(-1);
      if (!held || this.busy) return;
      this.busy = true;
      try {
        if (await this.takeBack(held)) this.reopen(held);
      } finally {
        this.busy = false;
      }
    }

    /* Never sent: it never was. Sent, though perhaps no answer came, and nothing shown yet: the server takes it back, now
       or when the line is there again. Else it is changed, not taken back. */
    async takeBack(held) {
      held.stored = false; // that it leaves the outbox does not mean that it was saved
      const how = held.sent === "waiting" ? await outbox.recall(held.client) : "gone";
      if (how === "never") return true;
      if (held.revealed || held.revises) return (held.revises = true);
      held.again = true; // it may stand all the same: then what is said now takes its place
      const { item } = held.work;
      const answer = await this.server.undo(item, held.client);
      const { code, detail } = answer.said;
      if (answer.ok || code === "nothing-said") return true;
      if (code === "seen") return (held.revises = true);
      if (answer.line) {
        if (how === "tried") await outbox.put({ ...held.entry, tried: true });
        held.stored = true;
        this.drawn(detail || "It cannot be taken back now. Load the page again.");
        return false;
      }
      await outbox.put({ id: outbox.id(), item, title: work.titleOf(held), ...this.server.undoing(item, held.client), settled: ["seen", "nothing-said"] });
      outbox.flush();
      return true;
    }

    reopen(held) {
      if (this.phase === "judging" && this.present) {
        this.putAside();
        this.ahead.unshift(this.present);
      }
      this.done = this.done.filter((each) => each !== held);
      held.sent = undefined;
      if (!held.revises) this.counted(-1);
      held.facts = held.revises ? held.facts : null;
      held.revealed = held.revises;
      held.open = this.isMore(held.answers[held.position]);
      this.view.last("");
      this.show(held);
      this.keep();
    }

    isMore(draft) {
      return Boolean(draft.verdict === "bad" || draft.errors.length || draft.severity || draft.correction || draft.comment);
    }

    async handBack() {
      const held = this.present;
      if (this.phase !== "judging" || !held) return;
      if (held.revises) {
        held.sent = "saved"; // what was said before stands
        await this.next();
        return;
      }
      const answer = await this.server.release(held.work.item, { skip: true });
      if (!answer.ok) {
        this.drawn(answer.line ? answer.said.detail || "" : "There is no connection: pass it on when it is back.");
        return;
      }
      await outbox.keep(held.work.item, null);
      held.sent = "skipped";
      this.view.say("Passed on to others.");
      await this.next();
    }

    /* Whoever leaves gives back what was only loaded beforehand. */
    leave() {
      for (const held of this.ahead.splice(0)) {
        if (work.draft.isEmpty(held.answers[0])) this.server.release(held.work.item, { keepalive: true });
      }
    }

    // --- keeping the locks -------------------------------------------------------------------------------------------

    async renew() {
      const now = Date.now();
      if (now - this.renewed < RENEW || this.watch.idle > RENEW || !["judging", "shown"].includes(this.phase)) return;
      this.renewed = now;
      const mine = [this.phase === "judging" ? this.present : null, ...this.ahead].filter((held) => held && !held.revises);
      for (const held of mine) {
        const answer = await this.server.renew(held.work.item);
        if (!answer.ok || answer.said.held !== false) continue;
        if (held !== this.present) this.ahead = this.ahead.filter((each) => each !== held);
        else this.drawn("Your time for this step ran out and others may have it now. What you save is kept all the same.");
      }
    }
  };
  for (const name of Object.getOwnPropertyNames(parts.prototype)) {
    if (name !== "constructor") work.Session.prototype[name] = parts.prototype[name];
  }
})();

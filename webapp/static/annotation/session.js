/* One person at one queue: takes steps, keeps the next ones at hand, saves, goes back. Talks to the server, the outbox and
   the view; knows nothing of keys and buttons.

   phases   loading → judging → shown → judging …; empty, down, elsewhere when there is nothing to show
   held     { work, answers, position, open, seconds, client, sent, revealed, revises, again }: an item with what was said of
            it; revises: it is changed in sight of the scores, again: it was taken back */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const work = (studio.work = studio.work || {});
  const { outbox } = studio;
  const AHEAD = 2; // with the present one as many as the server lets one person hold
  const KEPT_BACK = 50; // how far undo reaches
  const ACCIDENT = 350; // milliseconds in which a key meant for the last step is not taken for this one
  const LOOK = 15000; // how often it is asked whether the locks want renewing
  const RETRY = 5000;
  const REASONS = {
    done: ["All done here", "You have judged everything in this queue that there is for you. Thank you."],
    limit: ["You have done your share", "You have judged as many steps of this queue as one person may. Thank you."],
    closed: ["This queue is closed", "Nothing is handed out any more. What you judged is kept."],
    holding: ["What you judged is still on its way", "You have as many steps at hand as one person may, and the server has not heard yet what you said of them. It goes on by itself when it has; in another window or on another device you may have some, too."],
    refused: ["This is not open to you now", "You may be signed out, or a manager changed something. Load the page again: what you judged waits on this device for a day."],
    "not-named": ["You are not named in this queue", "Only people whom a manager named judge here. Ask a manager of your team."],
  };

  work.titleOf = (held) => `“${held.work.content.steps[held.position].slice(0, 80)}”`;

  work.Session = class {
    /* unread(number): there are instructions that the person has not seen; shows(): another step is shown */
    constructor({ server, view, watch, atOnce, unread, shows }) {
      Object.assign(this, { server, view, watch, atOnce, unread, shows });
      this.phase = "loading";
      this.present = null;
      this.ahead = [];
      this.done = [];
      this.fetching = null;
      this.shownAt = 0;
      this.renewed = Date.now();
      outbox.on("saved", (entry, said) => this.saved(entry, said));
      outbox.on("refused", (entry) => this.refused(entry));
      setInterval(() => this.renew(), LOOK);
    }

    // --- taking steps ------------------------------------------------------------------------------------------------

    async start() {
      this.present = null;
      this.ahead = [];
      this.view.root.dataset.ahead = 0;
      this.to("loading");
      await outbox.flush();
      await this.next();
    }

    /* What this page has at hand, or has judged without the server knowing yet. */
    async holding() {
      const waiting = await outbox.waiting();
      const unsent = this.done.filter((held) => held.sent === "waiting");
      const at = [this.present, ...this.ahead, ...unsent].filter(Boolean).map((held) => held.work.item);
      return [...new Set([...at, ...waiting.map((entry) => entry.item)])].filter(Boolean);
    }

    async next() {
      this.present = null;
      if (!this.ahead.length && this.fetching) await this.fetching;
      if (!this.ahead.length) {
        this.to("loading");
        const reason = await this.fetch();
        if (!this.ahead.length) {
          this.nothing(reason);
          return;
        }
      }
      this.show(this.ahead.shift());
      this.fill();
    }

    /* One more item; gives why there is none. */
    async fetch() {
      const answer = await this.server.pull(await this.holding());
      this.words = answer.said.detail || ""; // of a refusal, or of a server that wants to be left alone for a while
      if (!answer.ok) return answer.line ? "refused" : "down";
      this.told(answer.said);
      if (answer.said.unread) this.unread(answer.said.unread);
      if (!answer.said.item) return answer.said.reason;
      const held = await this.held(answer.said.item);
      if ([this.present, ...this.ahead].some((each) => each?.work.item === held.work.item)) return "known";
      this.ahead.push(held);
      return "";
    }

    async fill() {
      if (this.fetching) return;
      this.fetching = this.gather();
      try {
        await this.fetching;
      } finally {
        this.fetching = null;
      }
      this.view.root.dataset.ahead = this.ahead.length;
    }

    async gather() {
      while (this.ahead.length < AHEAD && !(await this.fetch()));
    }

    async held(item) {
      const begun = (await outbox.draft(item.item)) || {};
      const answers = Array.isArray(begun.answers) && begun.answers.length ? begun.answers : [work.draft.empty()];
      const position = Math.min(answers.length, item.content.steps.length) - 1;
      const { open, seconds = 0, again } = begun;
      return { work: item, answers, position, open: Boolean(open), seconds, revises: false, again: Boolean(again) };
    }

    nothing(reason) {
      clearTimeout(this.retry);
      const [title, words] = REASONS[reason] || [];
      if (title) this.to("empty", { title, words: reason === "refused" && this.words ? `${this.words} ${words}` : words });
      else this.to("down", { words: this.words });
      if (title && reason !== "holding") return;
      const { phase } = this;
      this.retry = setTimeout(() => this.phase === phase && this.start(), RETRY);
    }

    // --- judging -----------------------------------------------------------------------------------------------------

    get draft() {
      return this.present.answers[this.present.position];
    }

    get isTrajectory() {
      return this.present.work.content.steps.length > 1;
    }

    show(held) {
      this.present = held;
      this.shownAt = performance.now();
      this.watch.start(held.seconds);
      this.to("judging");
      this.view.root.dataset.item = held.work.item;
      this.view.item(held.work.content, held.answers, held.position);
      this.drawn(held.revises ? "You have seen the scores: your change is kept beside your first judgement, and agreement goes by the first." : "");
      this.view.bring();
      this.view.say(`Judge step ${held.work.content.prefix.length + held.position}.`);
      this.shows();
    }

    drawn(hint = this.hint) {
      const { present } = this;
      if (!present) return;
      this.hint = hint;
      const { draft } = this;
      const isLast = draft.verdict === "bad" || present.position === present.work.content.steps.length - 1;
      const judging = this.phase === "judging";
      const ready = judging ? Boolean(draft.verdict) : this.phase === "shown";
      const next = judging ? (isLast ? "Save" : "Save, next step") : "Next step";
      this.view.draft(draft, { open: present.open, locked: !judging, ready, next, undo: this.undoWords() });
      const usual = judging ? (draft.verdict === "bad" ? "Say what is wrong if you like, then save." : "") : this.view.named(draft);
      this.view.hint(hint || usual);
    }

    undoWords() {
      if (this.phase === "shown") return this.present.revealed ? "Change" : "Undo";
      if (!work.draft.isEmpty(this.draft)) return "Clear";
      if (this.present.position > 0) return "Step back";
      return this.done.length ? "Back" : null;
    }

    change(draft) {
      if (this.phase !== "judging") return false;
      this.present.answers[this.present.position] = draft;
      this.keep();
      this.drawn();
      return true;
    }

    verdict(verdict) {
      if (this.busy) return; // it is meant for the step that is being taken back
      if (this.phase !== "judging") {
        if (this.phase === "shown") this.view.say("This step is judged. Go on to the next, or change it.");
        return;
      }
      if (performance.now() - this.shownAt < ACCIDENT) return;
      const draft = work.draft.said(this.draft, verdict);
      if (verdict === "bad") this.present.open = true;
      // Whoever is writing, or changes what was saved, says when it is done; the others have said it with the verdict.
      const unfinished = verdict === "bad" || this.present.open || this.present.revises;
      this.change(draft);
      if (!unfinished) this.commit();
      else this.view.say(`${work.verdictWord(verdict)}. Not saved yet.`);
    }

    mark(kind) {
      this.details(work.draft.marked(this.draft, kind));
    }

    grade(severity) {
      this.details(work.draft.graded(this.draft, severity));
    }

    details(draft) {
      if (this.phase !== "judging" || this.busy) return;
      this.present.open = true;
      this.change(draft);
    }

    write(name, text) {
      if (this.phase === "judging") this.change(work.draft.written(this.draft, name, text));
    }

    open() {
      if (this.phase !== "judging") return false;
      this.present.open = true;
      this.keep();
      this.drawn();
      return true;
    }

    /* Save, or in a trajectory go on to its next step. */
    async commit() {
      const { present, draft } = this;
      if (this.busy) return;
      if (this.phase !== "judging" || !draft.verdict) {
        this.view.say("Choose first: good, neutral, bad, or can’t tell.");
        return;
      }
      if (draft.verdict !== "bad" && present.position < present.work.content.steps.length - 1) {
        present.position += 1;
        present.answers = present.answers.slice(0, present.position);
        present.answers.push(work.draft.empty());
        present.open = false;
        present.seconds = this.watch.seconds;
        this.keep();
        this.show(present);
        return;
      }
      present.answers = present.answers.slice(0, present.position + 1);
      const answers = present.answers.map((each, position) => ({ position, ...work.draft.body(each) }));
      present.client = outbox.id();
      present.seconds = this.watch.seconds;
      present.sent = "waiting";
      present.stored = false;
      if (!present.revises) this.counted(1);
      const word = work.verdictWord(draft.verdict);
      this.done = [...this.done.filter((held) => held !== present), present].slice(-KEPT_BACK);
      this.to("shown");
      this.drawn("");
      this.view.find("[data-action=next]").focus({ preventScroll: true }); // no key more goes into a field
      const { item } = present.work;
      const body = { client_id: present.client, answers, seconds: present.seconds };
      present.entry = { id: present.client, item, title: work.titleOf(present), ...this.server.saving(item, present), body };
      await outbox.put(present.entry);
      present.stored = true;
      outbox.keep(present.work.item, null);
      outbox.flush();
      if (this.present !== present) return; // somebody is quicker than the disk
      if (this.atOnce()) {
        this.view.last(`Your last judgement: ${word}.`);
        this.view.say(`${word}.`);
        await this.next();
      } else {
        this.view.say(`${word}, saved.`);
      }
    }

    keep() {
      const { present } = this;
      if (!present || this.phase !== "judging") return;
      const { answers, position, open, again } = present;
      const empty = position === 0 && !again && work.draft.isEmpty(answers[0]);
      outbox.keep(present.work.item, empty ? null : { answers: answers.slice(0, position + 1), open, again, seconds: this.watch.seconds });
    }

    async putAside() {
      this.present.seconds = this.watch.seconds;
      this.keep();
    }

    // --- what became of it -------------------------------------------------------------------------------------------

    saved(entry, said) {
      this.told(said || {});
      const held = this.done.find((each) => each.client === entry.id);
      if (held) {
        held.sent = "saved";
        held.late = Boolean(said?.late);
        if (held === this.present && this.phase === "shown") this.reveal();
      }
      if (this.phase === "judging" || this.phase === "shown") this.fill();
    }

    refused(entry) {
      const held = this.done.find((each) => each.client === entry.id);
      if (!held) return;
      held.sent = "refused";
      this.done = this.done.filter((each) => each !== held);
    }

    /* Another tab, or an earlier round, may have sent what this one put. */
    async settled() {
      const waiting = new Set((await outbox.waiting()).map((entry) => entry.id));
      const gone = (held) => held.stored && held.sent === "waiting" && !waiting.has(held.client);
      for (const held of this.done.filter(gone)) this.saved({ id: held.client });
    }

    async reveal() {
      const held = this.present;
      if (!held || held.sent !== "saved") return;
      const answer = held.facts ? { ok: true, said: held.facts } : await this.server.reveal(held.work.item);
      if (!answer.ok) {
        if (held === this.present) this.drawn("Saved. What was hidden cannot be fetched now.");
        return;
      }
      held.facts = answer.said;
      held.revealed = true;
      if (held !== this.present || this.phase !== "shown") return;
      this.view.reveal(held);
      this.drawn(held.late ? "Saved late: your time for this step had run out. It counts all the same." : "");
    }

    /* Of the last one, when somebody goes on at once. */
    async revealLast() {
      const held = this.done.at(-1);
      if (!held || held.sent !== "saved") {
        this.view.say("It has not reached the server yet.");
        return;
      }
      const answer = held.facts ? { ok: true, said: held.facts } : await this.server.reveal(held.work.item);
      if (!answer.ok) return;
      held.facts = answer.said;
      held.revealed = true;
      this.view.revealLast(held);
    }

    // --- saying so ---------------------------------------------------------------------------------------------------

    to(phase, words = {}) {
      this.phase = phase;
      if (phase !== "judging" && phase !== "shown") delete this.view.root.dataset.item;
      this.view.phase(phase, words);
      this.view.undoEmpty(phase === "empty" && this.done.length > 0);
    }

    /* How far the person is, as the server knows it; what it does not know yet counts as well. */
    told(said) {
      if (!said.progress) return;
      this.far = said.progress;
      const unknown = this.done.filter((held) => held.sent === "waiting" && !held.revises).length;
      this.counted(unknown);
    }

    counted(more) {
      if (!this.far) return;
      this.far = { judged: Math.max(0, this.far.judged + more), left: Math.max(0, this.far.left - more) };
      const { judged, left } = this.far;
      this.view.progress({ share: judged + left ? judged / (judged + left) : 1, words: `${judged} judged, ${left} to go` });
    }

    yielded() {
      if (this.phase === "judging") this.putAside();
      this.present = null;
      this.ahead = [];
      this.done = [];
      this.to("elsewhere");
    }
  };
})();

/* What somebody is about to say of a step: a verdict, kinds of error, a severity, a correction, a comment. Pure functions;
   the words are those of meds3core.types.judgements. */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const work = (studio.work = studio.work || {});
  const TEXTS = ["correction", "comment"];

  work.draft = {
    empty: () => ({ verdict: "", errors: [], severity: "", correction: "", comment: "" }),

    isEmpty: (draft) => !draft.verdict && !draft.errors.length && !draft.severity && !TEXTS.some((name) => draft[name].trim()),

    /* A verdict chosen. A good step has no errors. */
    said: (draft, verdict) => (verdict === "good" ? { ...draft, verdict, errors: [], severity: "" } : { ...draft, verdict }),

    /* A kind of error put on or taken off. Whoever names one has said that the step is bad. */
    marked(draft, kind) {
      const errors = draft.errors.includes(kind) ? draft.errors.filter((each) => each !== kind) : [...draft.errors, kind];
      return work.draft.faulty({ ...draft, errors }, errors.length);
    },

    graded(draft, severity) {
      const chosen = draft.severity === severity ? "" : severity;
      return work.draft.faulty({ ...draft, severity: chosen }, chosen);
    },

    faulty: (draft, is) => (is && (!draft.verdict || draft.verdict === "good") ? { ...draft, verdict: "bad" } : draft),

    written: (draft, name, text) => (TEXTS.includes(name) ? { ...draft, [name]: text } : draft),

    same: (one, other) =>
      one.verdict === other.verdict &&
      one.severity === other.severity &&
      [...one.errors].sort().join() === [...other.errors].sort().join() &&
      TEXTS.every((name) => one[name].trim() === other[name].trim()),

    /* As the server takes it. */
    body: (draft) => ({
      verdict: draft.verdict,
      errors: draft.errors,
      severity: draft.severity || null,
      correction: draft.correction.trim(),
      comment: draft.comment.trim(),
    }),
  };

  /* Seconds that somebody has really looked at a step: not while the page is hidden or nobody moves for a minute. */
  const IDLE = 60000;
  work.Watch = class {
    constructor() {
      this.start();
      for (const name of ["keydown", "pointerdown", "pointermove", "wheel", "touchstart", "scroll"]) {
        document.addEventListener(name, () => this.seen(), { passive: true, capture: true });
      }
      document.addEventListener("visibilitychange", () => {
        this.seen();
        this.hidden = document.visibilityState === "hidden";
      });
      this.hidden = document.visibilityState === "hidden";
    }

    start(seconds = 0) {
      this.gathered = seconds * 1000;
      this.last = performance.now();
      this.counted = this.last;
    }

    seen() {
      this.count();
      this.last = performance.now();
    }

    count() {
      const now = performance.now();
      if (!this.hidden) this.gathered += Math.min(now - this.counted, Math.max(0, this.last + IDLE - this.counted));
      this.counted = now;
    }

    /* Milliseconds since somebody did something. */
    get idle() {
      return performance.now() - this.last;
    }

    get seconds() {
      this.count();
      return Math.round(this.gathered / 100) / 10;
    }
  };
})();

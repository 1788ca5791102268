/* One tab works on a queue at a time, so that nobody judges a step twice without noticing. A second one asks first; who
   takes over says so, and the other stands still.

   new studio.work.Tabs(name, { yielded })   yielded(): another tab took over
     alone()   whether no other tab works (waits a moment for an answer)
     take()    this tab works now */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const work = (studio.work = studio.work || {});
  const MOMENT = 250;

  work.Tabs = class {
    constructor(name, { yielded }) {
      this.works = false;
      this.me = studio.outbox.id();
      this.answered = null;
      this.channel = "BroadcastChannel" in window ? new BroadcastChannel(`meds3-work:${name}`) : null;
      this.channel?.addEventListener("message", ({ data }) => {
        if (data.from === this.me) return;
        if (data.says === "anybody?" && this.works) this.say("me");
        if (data.says === "me") this.answered?.(false);
        if (data.says === "mine" && this.works) {
          this.works = false;
          yielded();
        }
      });
    }

    say(says) {
      this.channel?.postMessage({ from: this.me, says });
    }

    alone() {
      if (!this.channel) return Promise.resolve(true);
      return new Promise((done) => {
        this.answered = done;
        this.say("anybody?");
        setTimeout(() => done(true), MOMENT);
      });
    }

    take() {
      this.works = true;
      this.say("mine");
    }
  };
})();

/* A tree that grows: asked for again and again while the page is looked at, as its worker publishes it once a second. */
"use strict";

(() => {
  const drawing = window.studio.drawing;
  const EVERY = 1200;
  const IDLE = 4000;

  /* Asked for as plainly as the page's preload asks, so that a finished tree's answer is on its way before we are. */
  drawing.fetch = async (url) => {
    const answer = await fetch(url);
    const isJson = (answer.headers.get("Content-Type") || "").includes("json");
    // 503: growing trees cannot be seen just now, and the answer says how the question stands.
    if (!isJson || (!answer.ok && answer.status !== 503)) throw new Error(`${answer.status}`);
    return { ...(await answer.json()), seen: answer.ok };
  };

  /* `told(columns)` for each answer; ends with the one whose state is `done` or `failed`. */
  drawing.watch = (url, told, lost) => {
    let timer = null;
    let over = false;
    let asking = false;
    const ask = async () => {
      clearTimeout(timer);
      if (over || asking || document.visibilityState === "hidden") return;
      asking = true;
      let pause = EVERY;
      try {
        const answer = await drawing.fetch(url);
        over = answer.state === "done" || answer.state === "failed";
        if (!answer.parent) pause = IDLE / 2;
        told(answer);
      } catch (error) {
        lost(error);
        pause = IDLE;
      }
      asking = false;
      if (!over) timer = setTimeout(ask, pause);
    };
    document.addEventListener("visibilitychange", ask);
    window.addEventListener("pagehide", () => {
      over = true;
      clearTimeout(timer);
    });
    ask();
  };
})();

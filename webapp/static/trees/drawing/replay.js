/* The order of growth, replayed: steps appear one after the other where they stand in the finished tree. */
"use strict";

(() => {
  const drawing = window.studio.drawing;
  const SECONDS = 12; // of a whole tree at the usual speed, but
  const SLOWEST = 4; // never fewer steps a second than so many

  /* `show(count)`: draw the first so many nodes. Answers with { reset(size) }. */
  drawing.replay = (bar, show) => {
    const play = bar.querySelector("[data-replay-play]");
    const range = bar.querySelector("[data-replay-range]");
    const speed = bar.querySelector("[data-replay-speed]");
    const count = bar.querySelector("[data-replay-count]");
    let size = 0;
    let exact = 0;
    let last = 0;
    let running = false;

    const tell = () => {
      const shown = Math.round(exact);
      range.value = shown;
      range.setAttribute("aria-valuetext", `${shown} of ${size} steps`);
      count.textContent = `${shown.toLocaleString("en")} of ${size.toLocaleString("en")}`;
      show(shown);
    };
    const label = () => {
      play.setAttribute("aria-label", running ? "Pause the replay" : "Replay the growth");
      play.querySelector("[data-shows=play]").toggleAttribute("hidden", running);
      play.querySelector("[data-shows=pause]").toggleAttribute("hidden", !running);
    };
    const stop = () => {
      running = false;
      label();
    };
    const frame = (now) => {
      if (!running) return;
      const pace = Math.max(SLOWEST, size / SECONDS) * Number(speed.value);
      exact = Math.min(size, exact + (pace * Math.min(250, now - last)) / 1000);
      last = now;
      tell();
      if (exact >= size) stop();
      else requestAnimationFrame(frame);
    };

    play.addEventListener("click", () => {
      if (running) {
        stop();
        return;
      }
      if (exact >= size) exact = 1;
      running = true;
      label();
      last = performance.now();
      requestAnimationFrame(frame);
    });
    range.addEventListener("input", () => {
      stop();
      exact = Number(range.value);
      tell();
    });

    return {
      reset(nodes) {
        stop();
        size = nodes;
        exact = nodes;
        range.min = 1;
        range.max = nodes;
        bar.hidden = nodes < 2;
        tell();
      },
    };
  };
})();

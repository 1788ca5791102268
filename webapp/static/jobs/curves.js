/* Curves of a job: one drawing per measured name. New points are fetched when the socket says that there are some. */
"use strict";

(() => {
  const card = document.querySelector("[data-curves]");
  const place = card.querySelector(".job-curves");
  const MOST = 4000; // points that a drawing holds; more are halved
  const EVERY = 2000;
  const curves = new Map();
  let after = 0;
  let asked = false;
  let waiting = false;

  // As the browser works it out: a canvas does not know variables and mixtures.
  const colour = (name) => {
    const probe = place.appendChild(document.createElement("span"));
    probe.style.color = `var(${name})`;
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };

  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
  // A learning rate is small and memory large: both fit beside an axis.
  const short = (value) => (value && Math.abs(value) < 1e-3 ? Number(value.toPrecision(3)).toExponential() : compact.format(value));

  const draw = (name, curve) => {
    const figure = curve.figure || document.createElement("figure");
    if (!curve.figure) {
      figure.className = "job-curve";
      figure.setAttribute("role", "group");
      curve.caption = figure.appendChild(document.createElement("figcaption"));
      curve.figure = figure;
      place.append(figure);
    }
    const last = curve.values.at(-1);
    curve.caption.textContent = `${name.replaceAll("_", " ")}: ${Number(last.toPrecision(4))} at step ${curve.steps.at(-1).toLocaleString("en")}`;
    const data = [curve.steps, curve.values];
    if (curve.plot) return curve.plot.setData(data);
    const line = colour("--tblr-primary");
    const axis = { stroke: colour("--tblr-secondary"), grid: { stroke: colour("--tblr-border-color"), width: 1 }, ticks: { show: false } };
    curve.plot = new uPlot(
      {
        width: figure.clientWidth || 320,
        height: 180,
        legend: { show: false },
        cursor: { points: { size: 6 } },
        scales: { x: { time: false } },
        axes: [axis, { ...axis, size: 60, values: (_, ticks) => ticks.map(short) }],
        series: [{ label: "step" }, { label: name, stroke: line, width: 1.5, points: { show: curve.steps.length < 3 } }],
      },
      data,
      figure,
    );
    return curve.plot;
  };

  const add = (chunk) => {
    const curve = curves.get(chunk.name) || { steps: [], values: [] };
    curves.set(chunk.name, curve);
    // A later attempt goes on from a checkpoint: what it measures again takes the place of what was there.
    const keep = curve.steps.findIndex((step) => step >= chunk.steps[0]);
    if (keep >= 0) {
      curve.steps.length = keep;
      curve.values.length = keep;
    }
    curve.steps.push(...chunk.steps);
    curve.values.push(...chunk.values);
    if (curve.steps.length > MOST) {
      const half = (_, at) => at % 2 === 1;
      curve.steps = curve.steps.filter(half);
      curve.values = curve.values.filter(half);
    }
    return chunk.name;
  };

  const load = async () => {
    if (asked) {
      waiting = true;
      return;
    }
    asked = true;
    const changed = new Set();
    try {
      let more = true;
      while (more) {
        const answer = await fetch(`${card.dataset.curves}?after=${after}`, { headers: { Accept: "application/json" } });
        if (!answer.ok || !answer.headers.get("Content-Type").includes("json")) break;
        const part = await answer.json();
        for (const chunk of part.chunks) changed.add(add(chunk));
        ({ after, more } = part);
      }
    } catch {
      // the next hint asks again
    }
    if (curves.size) card.hidden = false;
    for (const name of changed) draw(name, curves.get(name));
    setTimeout(() => {
      asked = false;
      if (waiting) {
        waiting = false;
        load();
      }
    }, EVERY);
  };

  const redraw = () => {
    for (const [name, curve] of curves) {
      curve.plot?.destroy();
      curve.plot = null;
      draw(name, curve);
    }
  };
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  let resized = null;
  window.addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(redraw, 200);
  });
  document.addEventListener("job:metrics", load);
  document.addEventListener("job:state", load);
  load();
})();

/* Curves of several runs over each other: each run's are fetched from its own job, a drawing per measured name. */
"use strict";

(() => {
  const card = document.querySelector("[data-overlay]");
  const place = card.querySelector(".job-curves");
  const note = card.querySelector("[data-curves-note]");
  const nothing = document.querySelector("[data-no-curves]");
  const POINTS = 600;
  const DASHES = [undefined, [6, 4], [2, 3], [8, 3, 2, 3]];
  const runs = [...document.querySelectorAll("[data-run]")].map((row, at) => ({
    at,
    url: row.dataset.run,
    line: { label: row.dataset.name, colour: row.dataset.colour, dash: DASHES[Number(row.dataset.dash)] },
    box: row.querySelector("input"),
    whole: new Map(),
    closer: null,
  }));
  const plots = new Map();
  const smooth = new Set();
  let range = null;
  let turn = 0;

  const ask = async (run, names, smoothed) => {
    const query = [["points", POINTS], ...names.map((name) => ["name", name])];
    if (smoothed) query.push(["smooth", 1]);
    if (range) query.push(["from", range.from], ["to", range.to]);
    const answer = await fetch(`${run.url}?${new URLSearchParams(query)}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || !answer.headers.get("Content-Type").includes("json")) return null;
    return answer.json();
  };

  const plotOf = (curve, titles) => {
    if (!plots.has(curve.name)) {
      const plot = studio.plot(studio.plotGroup(place, curve.group, titles.get(curve.group)), {
        label: curve.label,
        lines: runs.map((run) => run.line),
        format: curve.group === "memory" ? "bytes" : "number",
        zoom,
      });
      const box = studio.plotSwitch("Smooth", curve.label, (on) => {
        if (on) smooth.add(curve.name);
        else smooth.delete(curve.name);
        refresh([curve.name]);
      });
      plot.title.after(box);
      runs.forEach((run) => plot.show(run.at, run.box.checked));
      plots.set(curve.name, plot);
    }
    return plots.get(curve.name);
  };

  let titles = new Map();
  let ranged = null;

  const draw = () => {
    const order = [...titles.keys()];
    const known = new Map(runs.flatMap((run) => [...run.whole]));
    const curves = [...known.values()].sort((one, other) => order.indexOf(one.group) - order.indexOf(other.group));
    for (const curve of curves) plotOf(curve, titles); // all of them first: they share the width
    for (const curve of curves) plotOf(curve, titles).set(runs.map((run) => (run.closer || run.whole).get(curve.name) || null), range);
    const all = runs.flatMap((run) => [...run.whole.values()]).filter((curve) => curve.steps.length);
    ranged(range, all.length ? { from: Math.min(...all.map((curve) => curve.steps[0])), to: Math.max(...all.map((curve) => curve.steps.at(-1))) } : null);
    const thin = runs.some((run) => [...(run.closer || run.whole).values()].some((curve) => !curve.exact));
    note.textContent = thin ? "Of long curves the lowest and the highest point of each stretch are drawn; drag over a stretch to look closer." : "Every point is drawn.";
    card.dataset.ready = "yes";
  };

  /* Anew from the server, all runs at once: these names, or all. */
  const refresh = async (names = null) => {
    turn += 1;
    const mine = turn;
    if (range && runs.some((run) => !run.closer)) names = null; // what was asked for before is not there yet
    const found = await Promise.all(
      runs.map(async (run) => {
        const wanted = names || [...smooth];
        const smoothed = wanted.filter((name) => smooth.has(name));
        const plain = names === null ? [] : wanted.filter((name) => !smooth.has(name));
        const asks = [];
        if (names === null || plain.length) asks.push(ask(run, plain, false));
        if (smoothed.length) asks.push(ask(run, smoothed, true));
        return { run, parts: await Promise.all(asks) };
      }),
    );
    if (mine !== turn) return;
    for (const { run, parts } of found) {
      const target = range ? new Map(names ? run.closer : []) : run.whole;
      for (const part of parts.filter(Boolean)) {
        titles = new Map(part.groups.map((each) => [each.key, each.title]));
        for (const curve of part.curves) target.set(curve.name, curve);
      }
      run.closer = range ? target : null;
    }
    const any = runs.some((run) => run.whole.size);
    card.hidden = !any;
    nothing.hidden = any;
    if (any) draw();
  };

  const zoom = (from, to) => {
    const last = Math.max(0, ...runs.flatMap((run) => [...run.whole.values()].map((curve) => curve.steps.at(-1) || 0)));
    range = from === undefined ? null : { from, to: Math.min(to, Math.max(last, from + 1)) };
    runs.forEach((run) => {
      run.closer = null;
    });
    refresh().catch(() => {});
  };
  ranged = studio.plotRange(card.querySelector("form"), zoom);

  for (const run of runs) run.box.addEventListener("change", () => plots.forEach((plot) => plot.show(run.at, run.box.checked)));
  refresh().catch(() => {});
})();

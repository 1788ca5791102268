/* Curves of one job, in groups: the server thins them, dragging over a stretch fetches it closer, new points come live. */
"use strict";

(() => {
  const card = document.querySelector("[data-curves]");
  const place = card.querySelector(".job-curves");
  const note = card.querySelector("[data-curves-note]");
  const POINTS = 800;
  const MOST = 3 * POINTS; // points added live before the whole is fetched anew
  const EVERY = 2000;
  const whole = new Map(); // by name: what the server gave of the whole run
  const plots = new Map();
  const smooth = new Set();
  let closer = null; // the same of the part that is looked at
  let range = null;
  let attempt = null;
  let asked = false;
  let waiting = false;
  let turn = 0;

  const ask = async (query) => {
    const answer = await fetch(`${card.dataset.curves}?${new URLSearchParams(query)}`, { headers: { Accept: "application/json" } });
    if (!answer.ok || !answer.headers.get("Content-Type").includes("json")) return null;
    return answer.json();
  };

  const plotOf = (curve) => {
    if (!plots.has(curve.name)) {
      const plot = studio.plot(studio.plotGroup(place, curve.group, titles.get(curve.group)), {
        label: curve.label,
        lines: [{ label: curve.label, colour: "--tblr-primary" }],
        format: curve.group === "memory" ? "bytes" : "number",
        zoom,
      });
      const box = studio.plotSwitch("Smooth", curve.label, (on) => {
        if (on) smooth.add(curve.name);
        else smooth.delete(curve.name);
        refresh([curve.name]);
      });
      plot.title.after(box);
      plots.set(curve.name, plot);
    }
    return plots.get(curve.name);
  };

  let titles = new Map();
  let ranged = null;

  const draw = () => {
    const source = closer || whole;
    for (const curve of whole.values()) plotOf(curve); // all of them first: they share the width
    for (const curve of whole.values()) plotOf(curve).set([source.get(curve.name) || { ...curve, steps: [], values: [], smooth: null }], range);
    const ends = [...whole.values()].flatMap((curve) => (curve.steps.length ? [curve.steps[0], curve.steps.at(-1)] : []));
    ranged?.(range, ends.length ? { from: Math.min(...ends), to: Math.max(...ends) } : null);
    const thin = [...source.values()].filter((curve) => !curve.exact);
    const most = Math.max(0, ...thin.map((curve) => curve.points));
    const spans = [...source.values()].filter((curve) => curve.smooth).map((curve) => curve.span);
    note.textContent = [
      thin.length ? `Of ${most.toLocaleString("en")} points the lowest and the highest of each stretch are drawn; drag over a stretch to look closer.` : "Every point is drawn.",
      spans.length ? `Smoothed lines look back over about ${Math.max(...spans).toLocaleString("en")} points.` : "",
    ].join(" ");
    card.dataset.ready = "yes";
    performance.mark("curves-drawn");
  };

  const take = (into, part) => {
    for (const curve of part.curves) into.set(curve.name, curve);
  };

  const query = (more) => {
    const given = [["points", POINTS], ...more];
    if (range) given.push(["from", range.from], ["to", range.to]);
    return given;
  };

  /* Anew from the server: these names, or all. Smoothed ones are asked for by themselves: they cost more. */
  const refresh = async (names = null) => {
    turn += 1;
    const mine = turn;
    const asks = [];
    if (range && !closer) names = null; // what was asked for before is not there yet
    const all = names || [...whole.keys()];
    const smoothed = all.filter((name) => smooth.has(name));
    if (names === null) asks.push(ask(query([])));
    else if (names.some((name) => !smooth.has(name))) asks.push(ask(query(names.filter((name) => !smooth.has(name)).map((name) => ["name", name]))));
    if (smoothed.length) asks.push(ask(query([["smooth", 1], ...smoothed.map((name) => ["name", name])])));
    const parts = await Promise.all(asks);
    if (mine !== turn || parts.includes(null)) return;
    const target = range ? (names && closer ? new Map(closer) : new Map()) : whole;
    for (const part of parts) {
      attempt = part.attempt;
      titles = new Map(part.groups.map((each) => [each.key, each.title]));
      take(target, part);
    }
    closer = range ? target : null;
    if (!whole.size) return;
    card.hidden = false;
    draw();
  };

  /* New points of the whole run; what another attempt measures again, or too many of them: the whole anew. */
  const follow = async () => {
    const curves = [...whole.values()].filter((curve) => curve.steps.length);
    if (!curves.length || smooth.size) return refresh();
    const part = await ask([["from", Math.min(...curves.map((curve) => curve.steps.at(-1))) + 1], ["points", POINTS]]);
    if (!part || range) return null;
    const many = curves.some((curve) => curve.steps.length > MOST);
    if (part.attempt !== attempt || many || part.curves.some((curve) => !whole.has(curve.name) || !curve.exact)) return refresh();
    for (const fresh of part.curves) {
      const curve = whole.get(fresh.name);
      const start = fresh.steps.findIndex((step) => step > curve.steps.at(-1));
      if (start < 0) continue;
      curve.steps.push(...fresh.steps.slice(start));
      curve.values.push(...fresh.values.slice(start));
      curve.points += fresh.steps.length - start;
    }
    return draw();
  };

  const load = async () => {
    if (asked) {
      waiting = true;
      return;
    }
    asked = true;
    try {
      await (range ? null : follow());
    } catch {
      // the next hint asks again
    }
    setTimeout(() => {
      asked = false;
      if (waiting) {
        waiting = false;
        load();
      }
    }, EVERY);
  };

  const zoom = (from, to) => {
    const last = Math.max(0, ...[...whole.values()].map((curve) => curve.steps.at(-1) || 0));
    range = from === undefined ? null : { from, to: Math.min(to, Math.max(last, from + 1)) };
    closer = null;
    refresh().catch(() => {});
  };
  ranged = studio.plotRange(card.querySelector("form"), zoom);

  document.addEventListener("job:metrics", load);
  document.addEventListener("job:state", load);
  refresh().catch(() => {});
})();

/* A tree from afar: each depth is a column of bars. A bar is one step, or the mean of those that fall on the same few
   pixels: its length and its colour are the value, a gap-toothed left edge is a drop, a notch is a reward model's score. */
"use strict";

(() => {
  const drawing = window.studio.drawing;
  const BIN = 3;
  const EDGES_APART = 5;

  class Bins {
    constructor(count) {
      this.steps = new Uint32Array(count);
      this.valued = new Uint32Array(count);
      this.value = new Float32Array(count);
      this.scored = new Uint32Array(count);
      this.score = new Float32Array(count);
      this.drops = new Uint8Array(count);
      this.lit = new Uint8Array(count);
      this.first = new Int32Array(count);
      this.verdict = new Int8Array(count);
    }
  }

  const gather = (bins, column, state, view, height, thick) => {
    const { layout, model } = state;
    const from = drawing.firstFrom(layout, column, -view.top / view.k - 1);
    const until = (view.height - view.top) / view.k + 1;
    for (let place = from; place < column.length; place += 1) {
      const node = column[place];
      if (layout.row[node] > until) break;
      if (node >= state.shown) continue;
      const bin = Math.floor((view.top + layout.row[node] * view.k) / thick) + 2;
      if (bin < 0 || bin >= height) continue;
      if (!bins.steps[bin]) {
        bins.first[bin] = node;
        bins.verdict[bin] = model.verdict[node];
      } else if (bins.verdict[bin] !== model.verdict[node]) bins.verdict[bin] = -1;
      bins.steps[bin] += 1;
      const value = state.values[node];
      if (value >= 0) {
        bins.valued[bin] += 1;
        bins.value[bin] += value;
      }
      const score = state.score ? state.score.values[node] : NaN;
      if (score >= 0) {
        bins.scored[bin] += 1;
        bins.score[bin] += score;
      }
      if (state.drop[node] >= model.dropShown) bins.drops[bin] = 1;
      if (!state.marked || state.marked[node]) bins.lit[bin] = 1;
    }
  };

  const lists = (count) => Array.from({ length: count }, () => []);

  /* Everything within the view. `plain`: without lines and notches, for the small map. */
  drawing.paintOverview = (context, view, state, ink, plain = false) => {
    const { layout, model } = state;
    const thick = Math.max(BIN, view.k);
    const count = Math.ceil(view.height / thick) + 4;
    const long = Math.min(view.column() * 0.62, 90);
    const high = Math.max(1.5, Math.min(thick - 1, 7));
    const full = lists(drawing.LEVELS + 2);
    const dim = lists(drawing.LEVELS + 2);
    const tracks = [];
    const notches = [];
    const falls = [];
    const verdicts = lists(2);
    const lines = [];
    layout.columns.forEach((column, depth) => {
      const left = view.x(depth) - 4;
      if (left > view.width || left + view.column() * 2 < 0) return;
      const bins = new Bins(count);
      gather(bins, column, state, view, count, thick);
      let lineAt = -Infinity;
      for (let bin = 0; bin < count; bin += 1) {
        if (!bins.steps[bin]) continue;
        const one = bins.steps[bin] === 1;
        const y = one ? view.y(layout.row[bins.first[bin]]) : (bin - 1.5) * thick;
        const mean = bins.valued[bin] ? bins.value[bin] / bins.valued[bin] : NaN;
        const length = Number.isNaN(mean) ? long * 0.12 : Math.max(2, long * mean);
        (bins.lit[bin] ? full : dim)[drawing.level(mean)].push(left, y - high / 2, length, high);
        if (plain) continue;
        tracks.push(left, y - high / 2, long, high);
        if (bins.scored[bin]) notches.push(left + (long * bins.score[bin]) / bins.scored[bin], y - high / 2 - 1, 2, high + 2);
        if (bins.drops[bin]) falls.push(left - 6, y - Math.max(1.5, high / 2), 4, Math.max(3, high));
        if (bins.verdict[bin] >= 0 && thick >= 6 && one) verdicts[bins.verdict[bin]].push(left + long + 8, y);
        if (depth && y - lineAt >= EDGES_APART) {
          lineAt = y;
          lines.push(view.x(depth - 1) - 4 + long, view.y(layout.row[model.parent[bins.first[bin]]]), left - 7, y);
        }
      }
    });

    const boxes = (list, colour) => {
      if (!list.length) return;
      context.beginPath();
      for (let at = 0; at < list.length; at += 4) context.rect(list[at], list[at + 1], list[at + 2], list[at + 3]);
      context.fillStyle = colour;
      context.fill();
    };
    if (lines.length) {
      context.beginPath();
      for (let at = 0; at < lines.length; at += 4) {
        context.moveTo(lines[at], lines[at + 1]);
        context.lineTo(lines[at + 2], lines[at + 3]);
      }
      context.strokeStyle = ink.faint;
      context.lineWidth = 1;
      context.stroke();
    }
    boxes(tracks, ink.faint);
    context.globalAlpha = 0.2;
    dim.forEach((list, level) => boxes(list, ink.value[level]));
    context.globalAlpha = 1;
    full.forEach((list, level) => boxes(list, ink.value[level]));
    boxes(notches, ink.ring);
    boxes(falls, ink.drop);
    verdicts.forEach((list, verdict) => {
      if (!list.length) return;
      context.beginPath();
      for (let at = 0; at < list.length; at += 2) drawing.tick(context, verdict === 1, list[at], list[at + 1], 3);
      context.strokeStyle = verdict ? ink.right : ink.wrong;
      context.lineWidth = 1.5;
      context.stroke();
    });
    if (state.chosen >= 0 && !plain && !Number.isNaN(layout.row[state.chosen])) {
      context.beginPath();
      context.rect(view.x(model.depth[state.chosen]) - 7, view.y(layout.row[state.chosen]) - high / 2 - 3, long + 6, high + 6);
      context.strokeStyle = ink.chosen;
      context.lineWidth = 2;
      context.stroke();
    }
  };
})();

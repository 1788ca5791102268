/* A tree for drawing: the server's columns as arrays by node id, what follows from them, and a node in words. */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const drawing = (studio.drawing = studio.drawing || {});

  const numbers = (list) => Float64Array.from(list, (each) => (each === null ? NaN : each));

  /* Columns as `tree-drawing` gives them. An unknown number is NaN, an unknown verdict -1. */
  drawing.read = (columns) => {
    const size = columns.parent.length;
    const parent = Int32Array.from(columns.parent);
    const depth = new Uint16Array(size);
    const children = Array.from({ length: size }, () => []);
    let deepest = 0;
    let mostVisits = 1;
    for (let node = 1; node < size; node += 1) {
      depth[node] = depth[parent[node]] + 1;
      children[parent[node]].push(node);
      if (depth[node] > deepest) deepest = depth[node];
      if (columns.visits[node] > mostVisits) mostVisits = columns.visits[node];
    }
    return {
      size,
      parent,
      depth,
      children,
      deepest,
      mostVisits,
      moves: columns.moves,
      move: Uint8Array.from(columns.move),
      value: numbers(columns.value),
      visits: Uint32Array.from(columns.visits),
      right: Uint32Array.from(columns.right),
      rollouts: Uint32Array.from(columns.rollouts),
      drop: numbers(columns.drop),
      dropShown: columns.drop_shown,
      verdict: Int8Array.from(columns.verdict, (each) => (each === null ? -1 : each)),
      truncated: new Set(columns.truncated),
      closing: new Set(columns.closing),
      copies: new Map(columns.copies),
      answers: new Map(columns.answers),
      texts: columns.texts,
      flagged: new Set(columns.flagged),
      growth: columns.growth,
      scores: columns.scores.map((each) => ({ ...each, values: numbers(each.values) })),
    };
  };

  /* Values, visits and drops when the first `shown` nodes were there; those of the end where nobody knows better. */
  drawing.moment = (model, shown) => {
    if (!model.growth || shown >= model.size) return { values: model.value, visits: model.visits, drop: model.drop };
    const values = new Float64Array(model.size).fill(NaN);
    const visits = new Uint32Array(model.size);
    const drop = new Float64Array(model.size).fill(NaN);
    for (let node = 0; node < shown; node += 1) {
      let place = node;
      for (const value of model.growth[node] || []) {
        values[place] = value === null ? NaN : value;
        visits[place] += 1;
        place = model.parent[place];
      }
    }
    for (let node = 1; node < shown; node += 1) if (model.depth[node] > 1) drop[node] = values[model.parent[node]] - values[node];
    return { values, visits, drop };
  };

  /* Every node below this one, itself left out. */
  drawing.below = (model, node) => {
    const found = [...model.children[node]];
    for (let place = 0; place < found.length; place += 1) found.push(...model.children[found[place]]);
    return found;
  };

  /* Two digits, halves up, as the server writes them. */
  drawing.figure = (value) => (Math.round((value + 1e-10) * 100) / 100).toFixed(2);

  /* As short as a node is wide: ".75", "0", "1". */
  drawing.shortFigure = (value) => {
    const text = drawing.figure(value);
    if (text === "1.00") return "1";
    return text === "0.00" || text === "-0.00" ? "0" : text.replace("0.", ".");
  };

  /* A node for a person who hears it, or who points at it. */
  drawing.words = (state, node) => {
    const { model } = state;
    const parts = [`Step ${model.depth[node]}, ${model.moves[model.move[node]]}`];
    const copies = model.copies.get(node);
    if (copies) parts.push(`found ${copies} times`);
    const verdict = model.verdict[node];
    const answer = model.answers.get(node);
    if (verdict >= 0) parts.push(`${verdict ? "right" : "wrong"} answer${answer ? ` ${answer}` : ""}`);
    else if (answer) parts.push(`answer ${answer}`);
    parts.push(Number.isNaN(state.values[node]) ? "no value" : `value ${drawing.figure(state.values[node])}`);
    const drop = state.drop[node];
    if (drop >= model.dropShown) parts.push(`drops by ${drawing.figure(drop)}`);
    if (model.rollouts[node]) parts.push(`${model.right[node]} of ${model.rollouts[node]} rollouts right`);
    parts.push(`${state.visits[node]} visit${state.visits[node] === 1 ? "" : "s"}`);
    const score = state.score?.values[node];
    if (score >= 0) parts.push(`${state.score.name} ${drawing.figure(score)}`);
    if (model.truncated.has(node)) parts.push("cut off");
    if (model.closing.has(node)) parts.push("made when the tree was closed");
    if (model.flagged.has(node)) parts.push("flagged");
    const under = model.children[node].length;
    if (under) parts.push(state.collapsed.has(node) ? `${drawing.below(model, node).length} steps folded` : `${under} next step${under === 1 ? "" : "s"}`);
    return parts.join(", ");
  };

  drawing.text = (model, node) => (model.texts ? model.texts[node] : "");
})();

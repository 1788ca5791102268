/* A tree near enough to tell steps apart: edges, shapes, rings, marks, numbers, words. What is alike is drawn at once. */
"use strict";

(() => {
  const drawing = window.studio.drawing;
  const WIDTHS = 5;
  const NUMBERS_INSIDE = 28;
  const WORDS_FROM = 40;
  const DIM = 0.16;

  drawing.radius = (k) => Math.min(12.5, Math.max(3, k * 0.36));

  /* The nodes within the view, and those whose edges come into it from above or below. */
  const visible = (view, state) => {
    const { layout, model } = state;
    const low = -view.top / view.k - 1;
    const high = (view.height - view.top) / view.k + 1;
    const nodes = [];
    const edges = [];
    layout.columns.forEach((column, depth) => {
      const x = view.x(depth);
      if (x < -2 * view.column() || x > view.width + view.column()) return;
      const from = drawing.firstFrom(layout, column, low);
      let place = from;
      for (; place < column.length && layout.row[column[place]] <= high; place += 1) {
        if (column[place] >= state.shown) continue;
        nodes.push(column[place]);
        if (depth) edges.push(column[place]);
      }
      // Children that stand above or below, of parents that are seen or on the other side.
      const crossing = (at, step) => {
        let crossed = 0;
        for (let other = at; other >= 0 && other < column.length && crossed < 200; other += step) {
          const node = column[other];
          const before = layout.row[model.parent[node]];
          if (step < 0 ? before < low : before > high) break;
          if (node < state.shown) edges.push(node);
          crossed += 1;
        }
      };
      if (depth) {
        crossing(from - 1, -1);
        crossing(place, 1);
      }
    });
    return { nodes, edges };
  };

  const paintEdges = (context, edges, view, state, ink, r) => {
    const { layout, model } = state;
    const thin = Math.min(1, view.k / 16);
    const groups = new Map();
    const falls = [];
    const path = drawing.pathOf(state);
    const put = (key, node) => {
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(node);
    };
    for (const node of edges) {
      const isDim = state.marked && !state.marked[node];
      const share = Math.sqrt(state.visits[node] / model.mostVisits);
      const width = Math.round(share * WIDTHS);
      const isDrop = state.drop[node] >= model.dropShown;
      put(`${path.has(node) ? 1 : 0}${isDim ? 1 : 0}${isDrop ? 1 : 0}${width}`, node);
      if (isDrop && !isDim) falls.push(node);
    }
    const draw = (nodes) => {
      context.beginPath();
      for (const node of nodes) {
        const before = model.parent[node];
        const depth = model.depth[node];
        drawing.edge(context, view.x(depth - 1) + r, view.y(layout.row[before]), view.x(depth) - r, view.y(layout.row[node]));
      }
      context.stroke();
    };
    for (const key of [...groups.keys()].sort()) {
      const nodes = groups.get(key);
      const [chosen, dim, drop] = [key[0] === "1", key[1] === "1", key[2] === "1"];
      const width = (1 + Number(key.slice(3)) * 0.9) * thin;
      context.globalAlpha = dim ? DIM : 1;
      if (chosen) {
        context.setLineDash([]);
        context.strokeStyle = ink.chosen;
        context.lineWidth = width + 4;
        draw(nodes);
        context.strokeStyle = ink.surface;
        context.lineWidth = width + 1.5;
        draw(nodes);
      }
      context.strokeStyle = drop ? ink.drop : ink.line;
      context.lineWidth = drop ? width + 0.6 : width;
      context.setLineDash(drop ? [6, 4] : []);
      draw(nodes);
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
    return falls;
  };

  const paintFalls = (context, falls, view, state, ink) => {
    if (!falls.length) return;
    const { layout, model } = state;
    const size = Math.min(6, Math.max(3.5, view.k / 5));
    const at = (node) => [
      view.x(model.depth[node]) - view.column() / 2,
      (view.y(layout.row[node]) + view.y(layout.row[model.parent[node]])) / 2,
    ];
    context.beginPath();
    for (const node of falls) drawing.fall(context, ...at(node), size);
    context.fillStyle = ink.drop;
    context.strokeStyle = ink.surface;
    context.lineWidth = 1.5;
    context.stroke();
    context.fill();
    if (view.k < 20) return;
    context.font = `600 10px ${ink.font}`;
    context.textAlign = "left";
    context.textBaseline = "middle";
    for (const node of falls) {
      const [x, y] = at(node);
      halo(context, `−${drawing.shortFigure(state.drop[node])}`, x + size + 3, y, ink.drop, ink);
    }
  };

  const halo = (context, text, x, y, colour, ink) => {
    context.strokeStyle = ink.surface;
    context.lineWidth = 3;
    context.strokeText(text, x, y);
    context.fillStyle = colour;
    context.fillText(text, x, y);
  };

  const paintShapes = (context, nodes, view, state, ink, r) => {
    const { model } = state;
    const groups = new Map();
    for (const node of nodes) {
      const level = drawing.level(state.values[node]);
      const key = level * 4 + (model.closing.has(node) ? 2 : 0) + (state.marked && !state.marked[node] ? 1 : 0);
      if (!groups.has(key)) groups.set(key, []);
      groups.get(key).push(node);
    }
    context.lineJoin = "round";
    for (const [key, group] of groups) {
      context.beginPath();
      for (const node of group) drawing.shape(context, model.move[node], view.x(model.depth[node]), state.y(node), r);
      context.globalAlpha = 1;
      context.fillStyle = ink.surface; // edges do not shine through what is dimmed
      context.fill();
      context.globalAlpha = key & 1 ? DIM : 1;
      context.fillStyle = ink.value[key >> 2];
      context.fill();
      context.setLineDash(key & 2 ? [3, 2] : []);
      context.strokeStyle = ink.outline;
      context.lineWidth = 1;
      context.stroke();
    }
    context.setLineDash([]);
    context.globalAlpha = 1;
  };

  const paintRings = (context, nodes, view, state, ink, r) => {
    if (!state.score) return;
    const { model } = state;
    const scored = nodes.filter((node) => state.score.values[node] >= 0);
    const out = r + Math.max(2, r * 0.28);
    const draw = (angle, colour, width) => {
      context.beginPath();
      for (const node of scored) {
        const x = view.x(model.depth[node]);
        const y = state.y(node);
        context.moveTo(x, y - out);
        context.arc(x, y, out, -Math.PI / 2, -Math.PI / 2 + angle(node));
      }
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.stroke();
    };
    draw(() => 2 * Math.PI, ink.faint, 1);
    draw((node) => Math.min(0.9999, state.score.values[node]) * 2 * Math.PI, ink.ring, Math.max(1.5, r * 0.22));
  };

  const paintMarks = (context, nodes, view, state, ink, r) => {
    const { model } = state;
    const aside = r * (state.score ? 1.35 : 1) + 4;
    const size = Math.max(3, Math.min(5, r * 0.5));
    const strokes = (chosen, draw, colour, width) => {
      const group = nodes.filter(chosen);
      if (!group.length) return;
      context.beginPath();
      for (const node of group) draw(node, view.x(model.depth[node]), state.y(node));
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.lineCap = "round";
      context.stroke();
      context.lineCap = "butt";
    };
    const lit = (node) => !state.marked || state.marked[node];
    for (const verdict of [0, 1])
      strokes(
        (node) => model.verdict[node] === verdict && lit(node),
        (node, x, y) => drawing.tick(context, verdict === 1, x + aside + size, y, size),
        verdict ? ink.right : ink.wrong,
        2.2,
      );
    strokes(
      (node) => model.truncated.has(node),
      (node, x, y) => {
        for (const step of [2, 6]) {
          context.moveTo(x + aside + step - 2, y + size);
          context.lineTo(x + aside + step + 2, y - size);
        }
      },
      ink.words,
      1.5,
    );
    const flagged = nodes.filter((node) => model.flagged.has(node));
    if (flagged.length) {
      context.beginPath();
      for (const node of flagged) drawing.flag(context, view.x(model.depth[node]) + r * 0.7, state.y(node) - r - 3, 5);
      context.strokeStyle = ink.flag;
      context.lineWidth = 1.5;
      context.stroke();
      context.fillStyle = ink.flag;
      context.fill();
    }
    context.font = `600 ${Math.min(11, Math.max(9, view.k / 2))}px ${ink.font}`;
    context.textBaseline = "middle";
    context.textAlign = "left";
    for (const node of nodes)
      if (state.collapsed.has(node))
        halo(context, `+${state.hidden(node)}`, view.x(model.depth[node]) + aside + (model.verdict[node] >= 0 ? 14 : 0), state.y(node), ink.words, ink);
  };

  const paintNumbers = (context, nodes, view, state, ink, r) => {
    const { model } = state;
    const inside = view.k >= NUMBERS_INSIDE;
    context.font = inside ? `600 9.5px ${ink.font}` : `9px ${ink.font}`;
    context.textAlign = inside ? "center" : "right";
    context.textBaseline = inside ? "middle" : "alphabetic";
    const out = r + Math.max(2, r * 0.28) + 3;
    for (const node of nodes) {
      const value = state.values[node];
      if (Number.isNaN(value) || (state.marked && !state.marked[node])) continue;
      const text = drawing.shortFigure(value);
      const x = view.x(model.depth[node]);
      if (inside) {
        context.fillStyle = ink.onValue[drawing.level(value)];
        context.fillText(text, x - (model.move[node] === 0 ? r * 0.25 : 0), state.y(node) + 0.5);
      } else if (view.k >= 13) halo(context, text, x - out, state.y(node) - 2, ink.words, ink);
      else {
        context.fillStyle = ink.words;
        context.fillText(text, x - out, state.y(node) - 2);
      }
    }
  };

  const paintWords = (context, nodes, view, state, ink, r) => {
    const { model } = state;
    context.font = `11px ${ink.font}`;
    context.textBaseline = "top";
    context.textAlign = "left";
    const room = Math.floor((view.column() - 8) / 5.6);
    const below = r * 1.35 + 3;
    for (const node of nodes) {
      const text = drawing.text(model, node);
      if (!text || (state.marked && !state.marked[node])) continue;
      const shown = text.length > room ? `${text.slice(0, room - 1)}…` : text;
      halo(context, shown, view.x(model.depth[node]) - r, state.y(node) + below, ink.words, ink);
    }
    context.textBaseline = "middle";
    for (const node of nodes) {
      const copies = model.copies.get(node);
      if (copies) halo(context, `×${copies}`, view.x(model.depth[node]) - r - 16, state.y(node) - r - 3, ink.words, ink);
    }
  };

  const paintChosen = (context, view, state, ink, r) => {
    const { model, layout } = state;
    const around = (node, width, dash) => {
      if (node < 0 || node >= state.shown || Number.isNaN(layout.row[node])) return;
      context.beginPath();
      context.arc(view.x(model.depth[node]), state.y(node), r + 6.5, 0, 2 * Math.PI);
      context.setLineDash(dash);
      context.strokeStyle = ink.chosen;
      context.lineWidth = width;
      context.stroke();
      context.setLineDash([]);
    };
    if (state.newest >= 0) around(state.newest, 1.5, [2, 3]);
    if (state.hovered !== state.chosen) around(state.hovered, 1.5, []);
    around(state.chosen, 3, []);
  };

  /* The chosen node and those above it. */
  drawing.pathOf = (state) => {
    const path = new Set();
    for (let node = state.chosen; node >= 0; node = state.model.parent[node]) path.add(node);
    return path;
  };

  /* Everything within the view, from afar or near. The context's ground is already clear. */
  drawing.paint = (context, view, state, ink) => {
    if (view.isAfar) {
      drawing.paintOverview(context, view, state, ink);
      return;
    }
    const r = drawing.radius(view.k);
    state.y = (node) => view.y(state.layout.row[node]);
    const { nodes, edges } = visible(view, state);
    const falls = paintEdges(context, edges, view, state, ink, r);
    paintFalls(context, falls, view, state, ink);
    paintRings(context, nodes, view, state, ink, r);
    paintShapes(context, nodes, view, state, ink, r);
    paintMarks(context, nodes, view, state, ink, r);
    paintNumbers(context, nodes, view, state, ink, r);
    if (view.k >= WORDS_FROM) paintWords(context, nodes, view, state, ink, r);
    paintChosen(context, view, state, ink, r);
  };
})();

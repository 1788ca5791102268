/* The drawing of a tree on a page: loads it, joins the parts, and talks with the page by events on the document.

   said    tree:ready {nodes}   the tree is drawn; again whenever a growing one has more steps
           tree:chosen {node}   somebody chose a step here
           tree:finished {url}  a growing tree has become a finished one, whose page this is
   heard   tree:choose {node}   choose it and bring it into view
           tree:marked {nodes}  all others are dimmed; null: none is
           tree:score {model}   whose scores the rings show; null: nobody's
           tree:flagged {nodes} the steps that people flagged */
"use strict";

(() => {
  const drawing = window.studio.drawing;
  const root = document.querySelector("[data-drawing]");
  if (!root) return;
  const find = (name) => root.querySelector(`[data-drawing-${name}]`);
  const canvas = find("canvas");
  const context = canvas.getContext("2d");
  const tip = find("tip");
  const live = find("live");
  const TWEEN = 260;
  const HEARD = 180;

  const calm = window.matchMedia("(prefers-reduced-motion: reduce)");
  const view = new drawing.View();
  const state = {
    model: null, layout: null, values: null, visits: null, drop: null, score: null, marked: null,
    collapsed: new Set(), shown: 0, chosen: -1, hovered: -1, newest: -1,
    hidden: (node) => drawing.below(state.model, node).length,
  }; // prettier-ignore
  let ink = drawing.ink(root);
  let stale = true; // the small map is older than the tree
  let waiting = false;
  let tween = null;
  let fitted = true; // the view is the whole tree, and stays so
  let replay = null;

  const say = (name, detail) => document.dispatchEvent(new CustomEvent(name, { detail }));

  // --- painting ---

  const minimap = drawing.minimap(find("minimap"), (depth, row) => {
    fitted = false;
    view.set({ k: view.k, left: view.width / 2 - depth * view.column(), top: view.height / 2 - row * view.k });
    refresh();
  });

  const paint = (now) => {
    waiting = false;
    if (!state.model || !view.width) return;
    if (tween) {
      const t = Math.min(1, (now - tween.begun) / TWEEN);
      const eased = 1 - (1 - t) ** 3;
      const mix = (name) => tween.from[name] + (tween.to[name] - tween.from[name]) * eased;
      // Scales are mixed as ratios: a zoom goes at one pace.
      view.set({ k: tween.from.k * (tween.to.k / tween.from.k) ** eased, left: mix("left"), top: mix("top") });
      if (t >= 1) tween = null;
      else refresh();
    }
    const ratio = canvas.width / view.width;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, view.width, view.height);
    drawing.paint(context, view, state, ink);
    minimap(view, state, ink, stale);
    stale = false;
  };

  const refresh = (isStale = false) => {
    stale = stale || isStale;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(paint);
  };

  const go = (place) => {
    if (calm.matches) {
      tween = null;
      view.set(place);
    } else tween = { from: view.place, to: place, begun: performance.now() };
    refresh();
  };

  const fit = () => {
    fitted = true;
    go(view.fitted());
  };
  const zoom = (factor, x, y) => {
    tween = null;
    fitted = false;
    view.zoom(factor, x, y);
    refresh();
  };

  const resize = () => {
    const box = canvas.getBoundingClientRect();
    if (!box.width) return;
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    canvas.width = Math.round(box.width * ratio);
    canvas.height = Math.round(box.height * ratio);
    view.resize(box.width, box.height);
    if (!state.model) return;
    if (fitted) view.set(view.fitted());
    else view.clamp();
    refresh(true);
  };

  // --- what is chosen, folded, pointed at ---

  const nearest = (x, y, reach = 0) => {
    const { layout } = state;
    const afar = view.isAfar;
    const depth = Math.floor((x - view.left) / view.column() + (afar ? 0.2 : 0.5));
    const column = layout.columns[depth];
    if (!column) return -1;
    const row = (y - view.top) / view.k;
    const place = drawing.firstFrom(layout, column, row);
    const near = Math.max(view.k * 0.5, 5) + reach;
    let best = -1;
    let distance = near;
    for (const node of [column[place - 1], column[place]]) {
      if (node === undefined || node >= state.shown) continue;
      const dx = afar ? 0 : Math.max(0, Math.abs(view.x(depth) - x) - drawing.radius(view.k));
      const found = Math.hypot(dx, view.y(layout.row[node]) - y);
      if (found < distance) [best, distance] = [node, found];
    }
    return best;
  };

  const announce = (text) => {
    live.textContent = live.textContent === text ? `${text} ` : text;
  };

  const unfoldTo = (node) => {
    let changed = false;
    for (let above = state.model.parent[node]; above >= 0; above = state.model.parent[above])
      changed = state.collapsed.delete(above) || changed;
    if (changed) arrange();
  };

  const arrange = (held = -1) => {
    const depth = held >= 0 ? state.model.depth[held] : 0;
    const kept = held >= 0 && state.layout ? { node: held, depth, x: view.x(depth), y: view.y(state.layout.row[held]) } : null;
    state.layout = drawing.layout(state.model, state.collapsed);
    view.measure(state.layout, kept);
    if (fitted) view.set(view.fitted());
    refresh(true);
  };

  let telling = null;
  const choose = (node, { told = true, words = true } = {}) => {
    if (!state.model || node < 0 || node >= state.model.size) return;
    if (node >= state.shown && replay) replay.reset(state.model.size);
    unfoldTo(node);
    state.chosen = node;
    const place = view.revealing(state.model.depth[node], state.layout.row[node]);
    const is = view.place;
    if (Math.abs(place.top - is.top) + Math.abs(place.left - is.left) > 0.5 || place.k !== is.k) {
      if (place.k !== view.k) fitted = false;
      go(place);
    } else refresh();
    if (words) {
      const text = drawing.text(state.model, node);
      announce(`${drawing.words(state, node)}.${text ? ` ${text}` : ""}`);
    }
    clearTimeout(telling);
    if (told) telling = setTimeout(() => say("tree:chosen", { node }), words ? HEARD : 0);
  };

  const fold = (node) => {
    if (!state.model.children[node].length) {
      announce("Nothing follows this step.");
      return;
    }
    if (!state.collapsed.delete(node)) state.collapsed.add(node);
    arrange(node);
    announce(drawing.words(state, node));
    find("fold-all").setAttribute("aria-pressed", String(state.collapsed.size > 0));
  };

  /* Folds what follows each first step, or unfolds everything. */
  const foldAll = () => {
    if (state.collapsed.size) state.collapsed.clear();
    else for (const node of state.model.children[0]) if (state.model.children[node].length) state.collapsed.add(node);
    find("fold-all").setAttribute("aria-pressed", String(state.collapsed.size > 0));
    fitted = true;
    arrange();
    announce(state.collapsed.size ? "Folded to the first steps." : "All steps unfolded.");
  };

  const point = (x, y) => {
    const node = x === undefined || !state.model ? -1 : nearest(x, y);
    if (node === state.hovered && node < 0) return;
    state.hovered = node;
    canvas.classList.toggle("is-over", node >= 0);
    tip.hidden = node < 0;
    if (node >= 0) {
      const text = drawing.text(state.model, node);
      tip.replaceChildren(drawing.words(state, node));
      if (text) {
        const line = document.createElement("div");
        line.textContent = text;
        tip.append(line);
      }
      const left = Math.min(x + 14, view.width - tip.offsetWidth - 6);
      const below = y + 16 + tip.offsetHeight < view.height;
      tip.style.left = `${Math.max(4, left)}px`;
      tip.style.top = `${below ? y + 16 : Math.max(4, y - tip.offsetHeight - 12)}px`;
    }
    refresh();
  };

  // --- hands and keys ---

  let hint = null;
  drawing.gestures(canvas, {
    pan: (dx, dy) => {
      tween = null;
      fitted = false;
      point();
      view.pan(dx, dy);
      refresh();
    },
    zoom,
    click: (x, y, pointer) => {
      if (!state.model) return;
      const node = nearest(x, y, pointer === "touch" ? 10 : 2);
      if (view.isAfar && node >= 0 && view.k < view.least * 1.5 && state.layout.rows * view.k > 40 && state.model.size > 400) {
        const to = view.zoomed(14 / view.k, x, y);
        fitted = false;
        go(to);
        return;
      }
      if (node >= 0) choose(node, { words: false });
    },
    unfold: (x, y) => {
      if (!state.model) return;
      const node = nearest(x, y, 4);
      if (node >= 0 && !view.isAfar) fold(node);
      else zoom(2, x, y);
    },
    point,
    refuse: () => {
      find("hint").hidden = false;
      clearTimeout(hint);
      hint = setTimeout(() => {
        find("hint").hidden = true;
      }, 1800);
    },
  });
  /* By keys and buttons: around the chosen step where it is seen, else around the middle. */
  const zoomHere = (factor) => {
    const { chosen } = state;
    const [x, y] = chosen < 0 ? [-1, -1] : [view.x(state.model.depth[chosen]), view.y(state.layout.row[chosen])];
    const isSeen = x >= 0 && x <= view.width && y >= 0 && y <= view.height;
    zoom(factor, isSeen ? x : undefined, isSeen ? y : undefined);
  };
  drawing.keys(canvas, state, { choose, fold, zoom: zoomHere, fit, say: announce, open: (node) => say("tree:chosen", { node, open: true }) });

  find("fit").addEventListener("click", fit);
  find("closer").addEventListener("click", () => zoomHere(1.5));
  find("farther").addEventListener("click", () => zoomHere(1 / 1.5));
  find("fold-all").addEventListener("click", foldAll);
  find("enlarge").hidden = !document.fullscreenEnabled;
  find("enlarge").addEventListener("click", () => (document.fullscreenElement ? document.exitFullscreen() : root.requestFullscreen()));
  document.addEventListener("fullscreenchange", () => find("enlarge").setAttribute("aria-pressed", String(Boolean(document.fullscreenElement))));
  find("svg").addEventListener("click", () => drawing.saveSvg(state, ink, root.dataset.name, root.dataset.title));
  find("png").addEventListener("click", () => drawing.savePng(state, ink, root.dataset.name));
  replay = drawing.replay(find("replay"), (shown) => {
    state.shown = shown;
    if (state.model) Object.assign(state, drawing.moment(state.model, shown));
    state.newest = state.model && shown < state.model.size ? shown - 1 : -1;
    refresh(true);
  });

  // --- what the page says ---

  document.addEventListener("tree:choose", (event) => choose(Number(event.detail.node), { told: false, words: false }));
  document.addEventListener("tree:marked", (event) => {
    const { nodes } = event.detail;
    if (!state.model) return;
    state.marked = nodes ? new Uint8Array(state.model.size) : null;
    for (const node of nodes || []) state.marked[node] = 1;
    refresh(true);
  });
  const rings = (model) => {
    state.score = state.model.scores.find((each) => each.model === model) || null;
    find("ring-name").textContent = state.score ? `Ring: score of ${state.score.name}` : "Ring: no reward model has scored this tree";
    refresh(true);
  };
  document.addEventListener("tree:score", (event) => state.model && rings(event.detail.model));
  document.addEventListener("tree:flagged", (event) => {
    if (!state.model) return;
    state.model.flagged = new Set(event.detail.nodes);
    refresh();
  });

  // --- loading ---

  const standing = (name, text = "") => {
    root.dataset.state = name;
    find("standing").textContent = text;
    find("retry").hidden = name !== "failed";
  };

  const put = (columns) => {
    const before = state.model;
    state.model = drawing.read(columns);
    const { model } = state;
    Object.assign(state, drawing.moment(model, model.size));
    find("growth").textContent = model.growth ? "the values of that moment" : "the values of the end";
    const grew = before ? model.size > before.size : false;
    if (before && !grew && model.size < before.size) state.chosen = Math.min(state.chosen, model.size - 1);
    state.score = model.scores.find((each) => each.model === (state.score || model.scores[0])?.model) || null;
    if (state.marked && state.marked.length !== model.size) state.marked = null;
    rings(state.score?.model);
    if (!before) resize();
    arrange(before && !fitted ? Math.max(0, state.chosen) : -1);
    if (root.dataset.growing === undefined || columns.state === "done") replay.reset(model.size);
    else {
      state.shown = model.size;
      state.newest = grew ? model.size - 1 : state.newest;
    }
    standing("ready");
    if (!before || grew) say("tree:ready", { nodes: model.size });
  };

  const WORDS = {
    waiting: "This question waits for a worker.",
    growing: "The first steps are being written.",
    failed: "The tree of this question broke. The search goes on without it.",
  };

  const load = async () => {
    standing("loading", "Drawing the tree …");
    if (root.dataset.growing === undefined) {
      try {
        put(await drawing.fetch(root.dataset.drawing));
      } catch {
        standing("failed", "The drawing could not be loaded. The table below has the same steps.");
      }
      return;
    }
    drawing.watch(
      root.dataset.drawing,
      async (answer) => {
        if (answer.state === "done") {
          say("tree:finished", { url: answer.url });
          delete root.dataset.growing;
          put(await drawing.fetch(answer.drawing));
        } else if (answer.parent) put(answer);
        else if (!state.model) standing("loading", answer.seen ? WORDS[answer.state] : "Growing trees cannot be seen just now.");
      },
      () => state.model || standing("loading", "The connection is lost. Trying again …"),
    );
  };
  find("retry").addEventListener("click", load);

  new ResizeObserver(resize).observe(canvas);
  const recolour = () => {
    ink = drawing.ink(root);
    refresh(true);
  };
  new MutationObserver(recolour).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  resize();
  load();

  // For measurements and tests: what is drawn, and where.
  drawing.state = state;
  drawing.place = (node) => ({ x: view.x(state.model.depth[node]), y: view.y(state.layout.row[node]), k: view.k });
})();

/* A tree walked by keyboard. Each move says the node in words; the page hears of it when the keys rest. */
"use strict";

(() => {
  const drawing = window.studio.drawing;

  const sibling = (state, node, step) => {
    const { model } = state;
    if (!node) return -1;
    const row = model.children[model.parent[node]].filter((each) => each < state.shown);
    return row[row.indexOf(node) + step] ?? -1;
  };

  /* Where a key leads from the chosen node; -1: nowhere. */
  const leads = {
    ArrowLeft: (state, node) => (node ? state.model.parent[node] : -1),
    ArrowRight: (state, node) => {
      const [first] = state.model.children[node];
      return first !== undefined && first < state.shown ? first : -1;
    },
    ArrowUp: (state, node) => sibling(state, node, -1),
    ArrowDown: (state, node) => sibling(state, node, 1),
    Home: () => 0,
    End: (state) => Math.min(state.shown, state.model.size) - 1,
  };
  const nowhere = {
    ArrowLeft: "This is where the tree begins.",
    ArrowRight: "No step follows this one.",
    ArrowUp: "No sibling above.",
    ArrowDown: "No sibling below.",
  };

  /* `act`: choose(node), fold(node), zoom(factor), fit(), say(text). */
  drawing.keys = (canvas, state, act) => {
    canvas.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey || !state.model) return;
      const { key } = event;
      const node = state.chosen;
      if (leads[key]) {
        event.preventDefault();
        if (node < 0 && key !== "End") {
          act.choose(0);
          return;
        }
        if (key === "ArrowRight" && state.collapsed.has(node)) {
          act.fold(node);
          return;
        }
        const next = leads[key](state, node);
        if (next < 0) act.say(nowhere[key]);
        else act.choose(next);
        return;
      }
      const acts = {
        "+": () => act.zoom(1.4),
        "=": () => act.zoom(1.4),
        "-": () => act.zoom(1 / 1.4),
        0: () => act.fit(),
        " ": () => node >= 0 && act.fold(node),
        Enter: () => node >= 0 && act.open(node),
      };
      if (!acts[key]) return;
      event.preventDefault();
      acts[key]();
    });
  };
})();

/* The small map: the whole tree, and which part of it is seen. It is drawn when the tree changes, not when it is moved. */
"use strict";

(() => {
  const drawing = window.studio.drawing;
  const PAD = 5;

  /* `go(depth, row)`: bring this place to the middle. Answers with draw(view, state, ink, isStale). */
  drawing.minimap = (canvas, go) => {
    const context = canvas.getContext("2d");
    const kept = document.createElement("canvas");
    let map = null;
    let current = null;

    const whole = (view, state) => {
      const width = canvas.clientWidth;
      const height = canvas.clientHeight;
      const k = (height - 2 * PAD) / Math.max(1, state.layout.rows);
      const column = (width - 2 * PAD) / (state.layout.depths + 1);
      return {
        width,
        height,
        k,
        left: PAD + 4,
        top: PAD,
        column: () => column,
        x: (depth) => PAD + 4 + depth * column,
        y: (row) => PAD + row * k,
      };
    };

    const redraw = (view, state, ink) => {
      map = whole(view, state);
      const ratio = Math.min(2, window.devicePixelRatio || 1);
      for (const each of [canvas, kept]) {
        each.width = map.width * ratio;
        each.height = map.height * ratio;
      }
      const pen = kept.getContext("2d");
      pen.scale(ratio, ratio);
      drawing.paintOverview(pen, map, state, ink, true);
    };

    const toPlace = (event) => {
      const box = canvas.getBoundingClientRect();
      go((event.clientX - box.left - map.left) / map.column(), (event.clientY - box.top - map.top) / map.k);
    };
    canvas.addEventListener("pointerdown", (event) => {
      if (!map) return;
      canvas.setPointerCapture(event.pointerId);
      current = event.pointerId;
      toPlace(event);
    });
    canvas.addEventListener("pointermove", (event) => current === event.pointerId && toPlace(event));
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, () => {
        current = null;
      });

    return (view, state, ink, isStale) => {
      const needed = !view.isWhole;
      if (canvas.hidden === needed) canvas.hidden = !needed;
      if (!needed) return;
      if (isStale || !map || map.width !== canvas.clientWidth) redraw(view, state, ink);
      context.setTransform(1, 0, 0, 1, 0, 0);
      context.clearRect(0, 0, canvas.width, canvas.height);
      context.drawImage(kept, 0, 0);
      const ratio = canvas.width / map.width;
      context.scale(ratio, ratio);
      const clip = (value, high) => Math.min(Math.max(value, 1), high - 1);
      const x0 = clip(map.x(-view.left / view.column()), map.width);
      const x1 = clip(map.x((view.width - view.left) / view.column()), map.width);
      const y0 = clip(map.y(-view.top / view.k), map.height);
      const y1 = clip(map.y((view.height - view.top) / view.k), map.height);
      context.strokeStyle = ink.chosen;
      context.lineWidth = 2;
      context.strokeRect(x0, y0, Math.max(4, x1 - x0), Math.max(4, y1 - y0));
    };
  };
})();

/* Hands on a drawing: drag and pinch, wheel, click, double click. A page is never caught: a wheel zooms only where the
   drawing has the focus or Ctrl is held; else the page scrolls on. */
"use strict";

(() => {
  const drawing = window.studio.drawing;
  const CLICK = 5; // pixels that a hand may tremble

  /* `act`: pan(dx, dy), zoom(factor, x, y), click(x, y, pointer), unfold(x, y), point(x, y) or point() for nowhere, refuse(). */
  drawing.gestures = (canvas, act) => {
    const held = new Map();
    let moved = 0;

    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      return { x: event.clientX - box.left, y: event.clientY - box.top };
    };
    const spread = () => {
      const [one, other] = [...held.values()];
      return { x: (one.x + other.x) / 2, y: (one.y + other.y) / 2, apart: Math.hypot(one.x - other.x, one.y - other.y) };
    };

    canvas.addEventListener("pointerdown", (event) => {
      if (event.button) return;
      canvas.setPointerCapture(event.pointerId);
      held.set(event.pointerId, at(event));
      if (held.size === 1) moved = 0;
    });

    canvas.addEventListener("pointermove", (event) => {
      const now = at(event);
      const before = held.get(event.pointerId);
      if (!before) {
        if (event.pointerType === "mouse") act.point(now.x, now.y);
        return;
      }
      if (held.size === 1) {
        moved += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
        if (moved > CLICK) act.pan(now.x - before.x, now.y - before.y);
        held.set(event.pointerId, now);
        return;
      }
      if (held.size > 2) return;
      moved = Infinity;
      const was = spread();
      held.set(event.pointerId, now);
      const is = spread();
      act.pan(is.x - was.x, is.y - was.y);
      if (was.apart > 0) act.zoom(is.apart / was.apart, is.x, is.y);
    });

    const release = (event) => {
      if (!held.delete(event.pointerId)) return;
      if (event.type === "pointerup" && !held.size && moved <= CLICK) {
        const { x, y } = at(event);
        act.click(x, y, event.pointerType);
      }
    };
    canvas.addEventListener("pointerup", release);
    canvas.addEventListener("pointercancel", release);
    canvas.addEventListener("pointerleave", () => act.point());

    canvas.addEventListener("dblclick", (event) => {
      const { x, y } = at(event);
      act.unfold(x, y);
    });

    canvas.addEventListener(
      "wheel",
      (event) => {
        if (!event.ctrlKey && !event.metaKey && document.activeElement !== canvas) {
          act.refuse();
          return;
        }
        event.preventDefault();
        const { x, y } = at(event);
        if (event.shiftKey) {
          act.pan(-(event.deltaY || event.deltaX), 0);
          return;
        }
        const lines = event.deltaMode === 1 ? 16 : 1;
        const speed = event.ctrlKey ? 0.01 : 0.0016;
        act.zoom(Math.exp(-Math.min(400, Math.max(-400, event.deltaY * lines)) * speed), x, y);
      },
      { passive: false },
    );
  };
})();

/* The whole tree as a file, made in the browser: SVG to edit, PNG to paste. */
"use strict";

(() => {
  const drawing = window.studio.drawing;
  const MOST_PIXELS = 12000; // a side of a picture; browsers refuse much larger ones
  const PAD = 40;

  const short = (value) => Number(value.toFixed(2));
  const escaped = (text) => text.replace(/[&<>"]/g, (each) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" })[each]);

  /* As much of a canvas's pen as the painting uses; what it draws is SVG. */
  class SvgPen {
    constructor() {
      this.parts = [];
      this.path = [];
      this.dash = [];
      Object.assign(this, { globalAlpha: 1, lineWidth: 1, lineCap: "butt", lineJoin: "miter", font: "10px sans-serif" });
      Object.assign(this, { textAlign: "left", textBaseline: "alphabetic", fillStyle: "#000", strokeStyle: "#000" });
    }
    beginPath() {
      this.path = [];
    }
    moveTo(x, y) {
      this.path.push(`M${short(x)} ${short(y)}`);
    }
    lineTo(x, y) {
      this.path.push(`L${short(x)} ${short(y)}`);
    }
    bezierCurveTo(...points) {
      this.path.push(`C${points.map(short).join(" ")}`);
    }
    rect(x, y, width, height) {
      this.path.push(`M${short(x)} ${short(y)}h${short(width)}v${short(height)}h${short(-width)}Z`);
    }
    arc(x, y, r, from, until) {
      const point = (angle) => `${short(x + r * Math.cos(angle))} ${short(y + r * Math.sin(angle))}`;
      const half = (from + until) / 2;
      this.path.push(`M${point(from)}A${short(r)} ${short(r)} 0 0 1 ${point(half)}A${short(r)} ${short(r)} 0 0 1 ${point(until)}`);
    }
    closePath() {
      this.path.push("Z");
    }
    setLineDash(dash) {
      this.dash = dash;
    }
    get opacity() {
      return this.globalAlpha < 1 ? ` opacity="${this.globalAlpha}"` : "";
    }
    get pen() {
      const dash = this.dash.length ? ` stroke-dasharray="${this.dash.join(" ")}"` : "";
      const ends = `stroke-linecap="${this.lineCap}" stroke-linejoin="round"`;
      return `stroke="${this.strokeStyle}" stroke-width="${short(this.lineWidth)}" ${ends}${dash}`;
    }
    fill() {
      if (this.path.length) this.parts.push(`<path d="${this.path.join("")}" fill="${this.fillStyle}"${this.opacity}/>`);
    }
    stroke() {
      if (this.path.length) this.parts.push(`<path d="${this.path.join("")}" fill="none" ${this.pen}${this.opacity}/>`);
    }
    letters(text, x, y, how) {
      const [, weight, size] = /^(\d{3} )?([\d.]+)px/.exec(this.font);
      const anchor = { left: "start", center: "middle", right: "end" }[this.textAlign];
      const down = { alphabetic: 0, middle: 0.35, top: 0.8 }[this.textBaseline] * Number(size);
      const place = `x="${short(x)}" y="${short(y + down)}" text-anchor="${anchor}"`;
      const letters = `font-size="${size}" font-weight="${(weight || "400").trim()}"`;
      this.parts.push(`<text ${place} ${letters} ${how}${this.opacity}>${escaped(text)}</text>`);
    }
    fillText(text, x, y) {
      this.letters(text, x, y, `fill="${this.fillStyle}"`);
    }
    strokeText(text, x, y) {
      this.letters(text, x, y, `fill="none" ${this.pen}`);
    }
  }

  /* A view of the whole tree in which every step has its words; smaller where a picture has its limit. */
  const wholeView = (state, most) => {
    const view = new drawing.View();
    const { rows, depths } = state.layout;
    const k = Math.max(1, Math.min(44, (most - 2 * PAD) / Math.max(1, rows)));
    view.k = k;
    const column = Math.min(Math.max(40, k * 5.5), (most - 2 * PAD) / (depths + 1));
    view.column = () => column;
    view.left = PAD;
    view.top = PAD;
    view.width = Math.ceil(2 * PAD + (depths + 0.6) * column);
    view.height = Math.ceil(2 * PAD + rows * k);
    return view;
  };

  const save = (blob, name) => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(blob);
    link.download = name;
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(link.href), 10000);
  };

  /* Whatever of it is replayed just now. */
  const whole = (state) => {
    const { model } = state;
    return { ...state, ...drawing.moment(model, model.size), shown: model.size, chosen: -1, hovered: -1, newest: -1 };
  };

  drawing.svgText = (state, ink, title) => {
    const view = wholeView(state, 1e6);
    const pen = new SvgPen();
    drawing.paint(pen, view, whole(state), ink);
    const size = `width="${view.width}" height="${view.height}" viewBox="0 0 ${view.width} ${view.height}"`;
    return (
      `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="${escaped(ink.font)}">` +
      `<title>${escaped(title)}</title><rect width="100%" height="100%" fill="${ink.surface}"/>${pen.parts.join("\n")}</svg>\n`
    );
  };

  drawing.saveSvg = (state, ink, name, title) => save(new Blob([drawing.svgText(state, ink, title)], { type: "image/svg+xml" }), `${name}.svg`);

  drawing.savePng = (state, ink, name) => {
    const view = wholeView(state, MOST_PIXELS);
    const canvas = document.createElement("canvas");
    const ratio = Math.max(1, Math.min(2, MOST_PIXELS / Math.max(view.width, view.height)));
    canvas.width = view.width * ratio;
    canvas.height = view.height * ratio;
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    context.fillStyle = ink.surface;
    context.fillRect(0, 0, view.width, view.height);
    drawing.paint(context, view, whole(state), ink);
    canvas.toBlob((blob) => save(blob, `${name}.png`), "image/png");
  };
})();

/* Colours of a drawing, and the shapes of its marks, for a canvas and for SVG alike.

   Values go from orange over grey to blue, which every kind of colour blindness keeps apart; a number, a length or a
   shape says the same once more. Colours are variables of drawing.css, so that they follow the page's theme. */
"use strict";

(() => {
  const drawing = window.studio.drawing;

  drawing.LEVELS = 20;
  const UNKNOWN = drawing.LEVELS + 1;
  const STOPS = ["0", "25", "50", "75", "100"];
  const NAMES = ["surface", "line", "outline", "words", "faint", "drop", "right", "wrong", "ring", "chosen", "flag", "unknown"];

  const channels = (colour) => [1, 3, 5].map((from) => Number.parseInt(colour.slice(from, from + 2), 16));
  const bright = ([red, green, blue]) => 0.299 * red + 0.587 * green + 0.114 * blue > 140;

  /* The colours as they are now; `value[level]` and `onValue[level]`, the letters on it. */
  drawing.ink = (element) => {
    const style = getComputedStyle(element);
    const read = (name) => style.getPropertyValue(`--drawing-${name}`).trim();
    // As the browser works it out: a canvas does not know variables and mixtures.
    const probe = element.appendChild(document.createElement("span"));
    const worked = (name) => {
      probe.style.color = `var(--drawing-${name})`;
      return getComputedStyle(probe).color;
    };
    const ink = Object.fromEntries(NAMES.map((name) => [name, worked(name)]));
    probe.remove();
    const stops = STOPS.map((name) => channels(read(`value-${name}`)));
    ink.value = [];
    ink.onValue = [];
    for (let level = 0; level <= drawing.LEVELS; level += 1) {
      const at = (level / drawing.LEVELS) * (stops.length - 1);
      const low = Math.min(stops.length - 2, Math.floor(at));
      const mixed = stops[low].map((channel, place) => Math.round(channel + (stops[low + 1][place] - channel) * (at - low)));
      ink.value.push(`rgb(${mixed.join(",")})`);
      ink.onValue.push(bright(mixed) ? "#14181d" : "#ffffff");
    }
    ink.value.push(ink.unknown);
    ink.onValue.push(ink.words);
    ink.font = style.fontFamily;
    return ink;
  };

  drawing.level = (value) => (Number.isNaN(value) ? UNKNOWN : Math.round(Math.min(1, Math.max(0, value)) * drawing.LEVELS));

  const ROOT = 0;
  const REASON = 1;
  const FINISH = 2;

  /* Root: a triangle that points to what follows. Reason: a circle. Finish: a square. Reflect: a diamond. */
  drawing.shape = (pen, move, x, y, r) => {
    if (move === REASON) {
      pen.moveTo(x + r, y);
      pen.arc(x, y, r, 0, 2 * Math.PI);
      return;
    }
    if (move === FINISH) {
      pen.rect(x - r * 0.9, y - r * 0.9, r * 1.8, r * 1.8);
      return;
    }
    if (move === ROOT) {
      pen.moveTo(x - r, y - r * 1.1);
      pen.lineTo(x + r * 1.15, y);
      pen.lineTo(x - r, y + r * 1.1);
    } else {
      pen.moveTo(x, y - r * 1.2);
      pen.lineTo(x + r * 1.2, y);
      pen.lineTo(x, y + r * 1.2);
      pen.lineTo(x - r * 1.2, y);
    }
    pen.closePath();
  };

  drawing.edge = (pen, x0, y0, x1, y1) => {
    const middle = (x0 + x1) / 2;
    pen.moveTo(x0, y0);
    pen.bezierCurveTo(middle, y0, middle, y1, x1, y1);
  };

  drawing.tick = (pen, isRight, x, y, size) => {
    if (isRight) {
      pen.moveTo(x - size, y);
      pen.lineTo(x - size * 0.25, y + size * 0.75);
      pen.lineTo(x + size, y - size * 0.8);
      return;
    }
    pen.moveTo(x - size * 0.8, y - size * 0.8);
    pen.lineTo(x + size * 0.8, y + size * 0.8);
    pen.moveTo(x + size * 0.8, y - size * 0.8);
    pen.lineTo(x - size * 0.8, y + size * 0.8);
  };

  /* A triangle that points down. */
  drawing.fall = (pen, x, y, size) => {
    pen.moveTo(x - size, y - size * 0.8);
    pen.lineTo(x + size, y - size * 0.8);
    pen.lineTo(x, y + size);
    pen.closePath();
  };

  drawing.flag = (pen, x, y, size) => {
    pen.moveTo(x, y + size);
    pen.lineTo(x, y - size);
    pen.lineTo(x + size * 1.5, y - size * 0.4);
    pen.lineTo(x, y + size * 0.2);
  };
})();

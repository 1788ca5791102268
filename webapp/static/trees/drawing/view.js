/* Which part of a tree is seen, and how large. `k` is pixels a row; columns stretch so that small scales fill the width. */
"use strict";

(() => {
  const drawing = window.studio.drawing;
  const MOST = 72;
  const AFAR = 10; // pixels a row up to which a tree is seen from afar
  const FITTED = 30; // a tree of few steps is not blown up further
  const LEFT = 30;
  const RIGHT = 96;
  const EDGE = 26;
  const WIDEST = 170;
  const NARROWEST = 12;
  const APART = 30; // pixels between columns from which shapes have room

  drawing.View = class {
    constructor() {
      Object.assign(this, { width: 1, height: 1, rows: 0, depths: 0, k: 1, left: 0, top: 0 });
    }

    resize(width, height) {
      this.width = width;
      this.height = height;
    }

    /* Of a layout. The place of one node can be kept where it was. */
    measure(layout, held = null) {
      this.rows = layout.rows;
      this.depths = layout.depths;
      if (!held) return;
      this.top = held.y - layout.row[held.node] * this.k;
      this.left = held.x - held.depth * this.column();
      this.clamp();
    }

    column(k = this.k) {
      const fitted = (this.width - LEFT - RIGHT) / Math.max(1, this.depths);
      const narrow = Math.max(NARROWEST, Math.min(WIDEST, fitted));
    return Math.max(narrow, Math.min(k * 5.5, 280, (narrow * k) / this.least));
    }

    x(depth) {
      return this.left + depth * this.column();
    }

    y(row) {
      return this.top + row * this.k;
    }

    get least() {
      return Math.min(FITTED, (this.height - 2 * EDGE) / Math.max(1, this.rows));
    }

    fitted() {
      const k = this.least;
      return { k, left: LEFT, top: (this.height - this.rows * k) / 2 };
    }

    get isAfar() {
      return this.k < AFAR || this.column() < APART;
    }

    get isWhole() {
      return this.k <= this.least * 1.02 && this.column() * this.depths <= this.width;
    }

    set(place) {
      this.k = place.k;
      this.left = place.left;
      this.top = place.top;
      this.clamp();
    }

    get place() {
      return { k: this.k, left: this.left, top: this.top };
    }

    /* What is under this point stays under it. */
    zoomed(factor, x, y) {
      const k = Math.min(MOST, Math.max(this.least, this.k * factor));
      const depth = (x - this.left) / this.column();
      const row = (y - this.top) / this.k;
      return { k, left: x - depth * this.column(k), top: y - row * k };
    }

    zoom(factor, x = this.width / 2, y = this.height / 2) {
      this.set(this.zoomed(factor, x, y));
    }

    pan(dx, dy) {
      this.left += dx;
      this.top += dy;
      this.clamp();
    }

    /* A place at which this point is in sight, and steps are large enough to be told apart. */
    revealing(depth, row, centred = false) {
      const k = Math.max(this.k, Math.min(FITTED, Math.max(this.least, 14)));
      const grown = this.zoomed(k / this.k, this.x(depth), this.y(row));
      const x = grown.left + depth * this.column(k);
      const y = grown.top + row * k;
      const across = Math.min(120, this.width / 4);
      const down = Math.min(60, this.height / 4);
      const within = (value, low, high) => Math.min(Math.max(value, low), Math.max(low, high));
      const toX = centred ? this.width / 2 : within(x, across, this.width - across - 40);
      const toY = centred ? this.height / 2 : within(y, down, this.height - down);
      return { k, left: grown.left + toX - x, top: grown.top + toY - y };
    }

    /* A tree is never pushed out of sight; one that fits stays in the middle of its height. */
    clamp() {
      const tall = this.rows * this.k;
      const wide = this.depths * this.column();
      const roomY = this.height - 2 * EDGE;
      if (tall <= roomY) this.top = Math.min(Math.max(this.top, EDGE), this.height - EDGE - tall);
      else this.top = Math.min(EDGE + this.height / 3, Math.max(this.top, this.height - EDGE - this.height / 3 - tall));
      const least = Math.min(LEFT, this.width - RIGHT - wide);
      this.left = Math.min(LEFT + this.width / 3, Math.max(this.left, least - this.width / 3));
    }
  };
})();

/* Where steps stand: depth from left to right, rows by d3's tidy tree. Units are rows and depths, not pixels. */
"use strict";

(() => {
  const drawing = window.studio.drawing;
  const COUSINS = 1.35;

  /* `row` by node, NaN where folded away; `columns[depth]` the nodes of a depth from top to bottom. */
  drawing.layout = (model, collapsed) => {
    const { children, size } = model;
    const root = d3.hierarchy(0, (node) => (collapsed.has(node) ? null : children[node]));
    d3.tree()
      .nodeSize([1, 1])
      .separation((one, other) => (one.parent === other.parent ? 1 : COUSINS))(root);
    const row = new Float32Array(size).fill(NaN);
    const columns = [];
    let top = Infinity;
    let bottom = -Infinity;
    root.eachBefore((place) => {
      row[place.data] = place.x;
      if (place.x < top) top = place.x;
      if (place.x > bottom) bottom = place.x;
      (columns[place.depth] = columns[place.depth] || []).push(place.data);
    });
    for (let node = 0; node < size; node += 1) row[node] -= top;
    // Preorder meets the nodes of one depth from top to bottom.
    return { row, columns: columns.map((each) => Int32Array.from(each)), rows: bottom - top, depths: columns.length - 1 };
  };

  /* First place in a column whose row is at least this. */
  drawing.firstFrom = (layout, column, row) => {
    let low = 0;
    let high = column.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (layout.row[column[middle]] < row) low = middle + 1;
      else high = middle;
    }
    return low;
  };
})();

/* One drawing of curves: any number of lines over the same steps, each with a smoothed one beside it if wanted.

   const plot = studio.plot(place, { label, lines: [{ label, colour, dash }], format, zoom })
     place    element that gets the figure
     format   "bytes", "share" or "number"
     zoom     (from, to) asks for a closer look, () for the whole
   plot.set([{ steps, values, smooth, span }, …], range)   draws; an entry may be null
   plot.show(number, shown)                         switches a line on or off
   plot.title.append(…)                             what stands beside the label
*/
"use strict";


(() => {
  const HEIGHT = 190;
  const FAINT = 0.3;
  const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
  const whole = new Intl.NumberFormat("en");
  const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];
  const plots = new Set();

  const bytes = (value) => {
    const power = value > 0 ? Math.min(UNITS.length - 1, Math.floor(Math.log2(value) / 10)) : 0;
    return `${Number((value / 1024 ** power).toPrecision(3))} ${UNITS[power]}`;
  };
  // A learning rate is small and memory large: both fit beside an axis.
  const number = (value) => (value && Math.abs(value) < 1e-3 ? Number(value.toPrecision(3)).toExponential() : compact.format(value));
  const FORMATS = { bytes, number };

  // As the browser works it out: a canvas does not know variables and mixtures.
  const computed = (place, name) => {
    const probe = place.appendChild(document.createElement("span"));
    probe.style.color = name.startsWith("--") ? `var(${name})` : name;
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };

  const element = (tag, name, text = "") => {
    const made = document.createElement(tag);
    made.className = name;
    made.textContent = text;
    return made;
  };

  studio.plot = (place, { label, lines, format = "number", zoom = () => {} }) => {
    const say = FORMATS[format];
    const figure = element("figure", "job-curve");
    figure.setAttribute("role", "group");
    const caption = figure.appendChild(element("figcaption", "job-curve-head"));
    const title = caption.appendChild(element("span", "job-curve-title"));
    title.append(element("strong", "", label));
    const last = caption.appendChild(element("span", "job-curve-last"));
    const canvas = figure.appendChild(element("div", "job-curve-canvas"));
    const hover = figure.appendChild(element("div", "job-curve-hover"));
    hover.setAttribute("aria-hidden", "true"); // for the pointer; the caption and the table say it in words
    place.append(figure);

    const shown = lines.map(() => true);
    let data = lines.map(() => null);
    let range = null;
    let drawn = null;

    const joined = () => {
      const tables = [];
      for (const each of data) {
        const line = each || { steps: [], values: [] };
        tables.push([line.steps, line.values]);
        tables.push(each?.smooth ? [each.smooth.steps, each.smooth.values] : [[], []]);
      }
      return uPlot.join(tables);
    };

    const told = () => {
      const ends = data.flatMap((each, at) => (each && each.steps.length ? [{ each, at }] : []));
      last.textContent =
        lines.length === 1 && ends.length
          ? `${say(ends[0].each.values.at(-1) ?? 0)} at step ${whole.format(ends[0].each.steps.at(-1))}`
          : "";
      const words = ends.map(({ each, at }) => {
        const values = each.values.filter((value) => value !== null);
        return `${lines[at].label}: from ${say(Math.min(...values))} to ${say(Math.max(...values))}, at last ${say(values.at(-1) ?? 0)} at step ${whole.format(each.steps.at(-1))}`;
      });
      figure.setAttribute("aria-label", `${label}. ${words.join("; ")}`);
    };

    const pointed = (plot) => {
      const at = plot.cursor.idx;
      if (at === null || at === undefined) {
        hover.textContent = "";
        return;
      }
      const parts = [];
      for (let line = 0; line < lines.length; line += 1) {
        const value = plot.data[1 + 2 * line][at];
        if (shown[line] && value !== null && value !== undefined) parts.push(lines.length > 1 ? `${lines[line].label} ${say(value)}` : say(value));
      }
      hover.textContent = parts.length ? `Step ${whole.format(plot.data[0][at])}: ${parts.join(", ")}` : "";
    };

    const selected = (plot) => {
      if (plot.select.width < 4) return;
      const from = Math.floor(plot.posToVal(plot.select.left, "x"));
      const to = Math.ceil(plot.posToVal(plot.select.left + plot.select.width, "x"));
      plot.setSelect({ left: 0, width: 0, top: 0, height: 0 }, false);
      if (to > from) zoom(Math.max(0, from), to);
    };

    const series = () =>
      lines.flatMap((line, at) => {
        const stroke = computed(figure, line.colour);
        const few = (data[at]?.steps.length || 0) < 3;
        const common = { stroke, dash: line.dash, spanGaps: true, show: shown[at] };
        return [
          { ...common, label: line.label, width: 1.5, alpha: data[at]?.smooth ? FAINT : 1, points: { show: few, size: 5 } },
          { ...common, label: `${line.label}, smoothed`, width: 2, points: { show: false } },
        ];
      });

    const draw = () => {
      drawn?.destroy();
      const axis = {
        stroke: computed(figure, "--tblr-secondary"),
        grid: { stroke: computed(figure, "--tblr-border-color"), width: 1 },
        ticks: { show: false },
        font: "12px system-ui, sans-serif",
      };
      drawn = new uPlot(
        {
          width: canvas.clientWidth || 320,
          height: HEIGHT,
          legend: { show: false },
          cursor: {
            points: { size: 6 },
            drag: { x: true, y: false, setScale: false },
            bind: {
              dblclick: () => () => {
                zoom();
                return null;
              },
            },
          },
          scales: { x: { time: false, range: range ? () => [range.from, range.to] : undefined } },
          axes: [
            { ...axis, values: (_, ticks) => ticks.map((tick) => compact.format(tick)) },
            { ...axis, size: 66, values: (_, ticks) => ticks.map(say) },
          ],
          series: [{ label: "step" }, ...series()],
          hooks: { setSelect: [selected], setCursor: [pointed] },
        },
        joined(),
        canvas,
      );
      told();
    };

    const plot = {
      figure,
      title,
      set(next, part = null) {
        const same = drawn && part === range && next.every((each, at) => Boolean(each?.smooth) === Boolean(data[at]?.smooth) && (data[at]?.steps.length || 0) >= 3);
        data = next;
        range = part;
        if (!same) return draw();
        drawn.setData(joined());
        return told();
      },
      show(line, visible) {
        shown[line] = visible;
        if (!drawn) return;
        drawn.setSeries(1 + 2 * line, { show: visible });
        drawn.setSeries(2 + 2 * line, { show: visible });
      },
      redraw: () => drawn && draw(),
      remove() {
        drawn?.destroy();
        figure.remove();
        plots.delete(plot);
      },
    };
    plots.add(plot);
    return plot;
  };

  const redraw = () => plots.forEach((plot) => plot.redraw());
  new MutationObserver(redraw).observe(document.documentElement, { attributeFilter: ["data-bs-theme"] });
  let resized = null;
  window.addEventListener("resize", () => {
    clearTimeout(resized);
    resized = setTimeout(redraw, 200);
  });

  /* The place of a group's drawings; a group is as wide as it has drawings. Asked once for each of them. */
  studio.plotGroup = (place, key, title) => {
    let section = place.querySelector(`[data-group="${key}"]`);
    if (!section) {
      section = place.appendChild(element("section", "job-curve-group"));
      section.dataset.group = key;
      section.append(element("h3", "", title), element("div", "job-curve-grid"));
    }
    const grid = section.querySelector(".job-curve-grid");
    const count = grid.childElementCount + 1;
    section.style.flex = `${count} 1 ${count * 18}rem`;
    return grid;
  };

  /* A box that switches something of a drawing on and off. */
  studio.plotSwitch = (words, about, changed) => {
    const label = element("label", "form-check job-curve-switch");
    const box = label.appendChild(element("input", "form-check-input"));
    box.type = "checkbox";
    box.setAttribute("aria-label", `${words}: ${about}`);
    label.append(element("span", "form-check-label", words));
    box.addEventListener("change", () => changed(box.checked));
    return label;
  };

  /* The fields "from step", "to step" and "whole run" of a card with drawings. */
  studio.plotRange = (form, zoom) => {
    const from = form.elements.from;
    const to = form.elements.to;
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      if (from.value === "" && to.value === "") return zoom();
      const first = Number(from.value || 0);
      const last = to.value === "" ? Number.MAX_SAFE_INTEGER : Number(to.value);
      return last > first ? zoom(first, last) : to.focus();
    });
    form.querySelector("[data-whole]").addEventListener("click", () => zoom());
    return (range, ends) => {
      from.value = range ? range.from : "";
      to.value = range ? range.to : "";
      from.placeholder = ends ? ends.from : "";
      to.placeholder = ends ? ends.to : "";
      form.querySelector("[data-whole]").hidden = !range;
    };
  };
})();

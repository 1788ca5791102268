/* The page of a loop: its parts are drawn anew while it runs, and a stage that is clicked opens beside the drawing. */
"use strict";

(() => {
  const root = document.querySelector("[data-evolution]");
  const parts = root.querySelector("[data-live-parts]");
  const EVERY = 1500;
  let seq = Number(root.dataset.seq);
  let chosen = decodeURIComponent(location.hash.replace(/^#stage-/, "")) || null;
  if (!location.hash.startsWith("#stage-")) chosen = null;
  let timer = null;

  const get = async (url, headers = {}) => {
    const answer = await fetch(url, { headers: { ...headers, Accept: "text/html" }, credentials: "same-origin" });
    return answer.ok && !answer.redirected ? answer.text() : null;
  };

  // --- a stage ------------------------------------------------------------------------------------------------------

  const panel = () => root.querySelector("[data-stage-panel]");
  const node = (name) => root.querySelector(`[data-graph] [data-key="${CSS.escape(name)}"]`);
  const mark = () => {
    for (const each of root.querySelectorAll("[data-graph] [data-key]")) {
      const on = each.dataset.key === chosen;
      each.classList.toggle("graph-current", on);
      if (on) each.setAttribute("aria-current", "true");
      else each.removeAttribute("aria-current");
    }
  };
  const open = async (name, focus) => {
    const link = node(name);
    if (!link) return;
    const html = await get(link.getAttribute("href"), { "X-Part": "1" }).catch(() => null);
    if (html === null) return;
    chosen = name;
    const place = panel();
    place.innerHTML = html;
    place.hidden = false;
    mark();
    history.replaceState(null, "", `#stage-${encodeURIComponent(name)}`);
    if (focus) {
      place.focus({ preventScroll: true });
      place.scrollIntoView({ block: "nearest" });
    }
  };
  const close = () => {
    const name = chosen;
    chosen = null;
    panel().hidden = true;
    panel().textContent = "";
    mark();
    history.replaceState(null, "", location.pathname + location.search);
    if (name) node(name)?.focus();
  };

  root.addEventListener("click", (event) => {
    if (event.target.closest("[data-stage-close]")) return close();
    if (event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    const link = event.target.closest("[data-graph] a[data-key]");
    if (!link) return;
    event.preventDefault();
    open(link.dataset.key, true);
  });
  root.addEventListener("keydown", (event) => {
    if (event.key === "Escape" && chosen && panel().contains(document.activeElement)) close();
  });

  // --- live ---------------------------------------------------------------------------------------------------------

  const draw = async () => {
    timer = null;
    const html = await get(root.dataset.parts).catch(() => null);
    if (html === null) return;
    const opened = [...parts.querySelectorAll("details")].map((each) => each.open);
    const active = document.activeElement;
    const held = active?.closest?.("[data-graph] [data-key]")?.dataset.key;
    const kept = chosen && panel() && !panel().hidden ? panel() : null;
    const inside = kept !== null && kept.contains(active);
    const scroll = parts.querySelector(".graph")?.scrollLeft || 0;
    const fresh = document.createElement("template");
    fresh.innerHTML = html;
    if (kept) fresh.content.querySelector("[data-stage-panel]").replaceWith(kept);
    parts.replaceChildren(fresh.content);
    [...parts.querySelectorAll("details")].forEach((each, at) => {
      if (opened[at]) each.open = true;
    });
    const graph = parts.querySelector(".graph");
    if (graph) graph.scrollLeft = scroll;
    mark();
    if (held) node(held)?.focus({ preventScroll: true });
    if (inside) active.focus({ preventScroll: true });
    // What somebody is at in the panel stays as it is; else it is read anew too.
    if (kept && (!inside || active === kept)) {
      await open(chosen, false);
      if (inside) panel().focus({ preventScroll: true });
    }
  };
  const receive = (message) => {
    const news = message.seq > seq;
    if (news) seq = message.seq;
    if (message.state && message.state !== root.dataset.state) {
      root.dataset.state = message.state;
      for (const ask of document.querySelectorAll("[data-when]")) ask.hidden = !ask.dataset.when.split(" ").includes(message.state);
    }
    if (news && message.parts) timer ??= setTimeout(draw, EVERY);
  };
  studio.follow(root.dataset.evolution, { opening: () => `after=${seq}`, receive });
  if (chosen) open(chosen, false);
})();

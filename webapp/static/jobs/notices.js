/* On every page: says when one of the person's own jobs has ended. Not where that very job is on the page. */
"use strict";

(() => {
  const place = document.querySelector("[data-notices]");
  if (!place) return;
  const STAYS = 15000;
  const TONES = { succeeded: "success", failed: "danger", cancelled: "secondary" };
  let since = new Date().toISOString();

  const show = (message) => {
    const toast = document.createElement("div");
    toast.className = "toast show notice";
    const line = document.createElement("div");
    line.className = "toast-body d-flex gap-2 align-items-start";
    const dot = document.createElement("span");
    dot.className = `status-dot bg-${TONES[message.state]} mt-1`;
    dot.setAttribute("aria-hidden", "true");
    const text = document.createElement("div");
    text.className = "flex-fill";
    const link = document.createElement("a");
    link.href = message.url;
    link.textContent = message.title;
    text.append(link, ` ${message.said}`);
    const close = document.createElement("button");
    close.type = "button";
    close.className = "btn-close";
    close.setAttribute("aria-label", "Dismiss");
    close.addEventListener("click", () => toast.remove());
    line.append(dot, text, close);
    toast.append(line);
    place.append(toast);
    // What failed stays until it is dismissed.
    if (message.state !== "failed") setTimeout(() => toast.remove(), STAYS);
  };

  studio.follow(place.dataset.notices, {
    quiet: true,
    opening: () => `since=${encodeURIComponent(since)}`,
    receive: (message) => {
      if (message.ended > since) since = message.ended;
      if (message.type === "end" && location.pathname !== message.url) show(message);
    },
  });
})();

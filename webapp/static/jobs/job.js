/* The page of one job: its socket sends the parts that changed and the events after the last one that is here. */
"use strict";

(() => {
  const root = document.querySelector("[data-live-job]");
  const list = root.querySelector("[data-events]");
  let seq = Number(root.dataset.seq);

  const receive = (message) => {
    for (const [name, html] of Object.entries(message.parts || {})) studio.put(root.querySelector(`[data-part="${name}"]`), html);
    if (message.events) {
      const fresh = document.createElement("template");
      fresh.innerHTML = message.events; // oldest first
      for (const row of [...fresh.content.querySelectorAll("li")]) {
        if (Number(row.dataset.seq) > seq) list.prepend(row);
      }
    }
    if (message.seq > seq) seq = message.seq;
    root.dataset.seq = seq;
    if (message.state && message.state !== root.dataset.state) {
      root.dataset.state = message.state;
      for (const ask of document.querySelectorAll("[data-when]")) ask.hidden = !ask.dataset.when.split(" ").includes(message.state);
      document.dispatchEvent(new CustomEvent("job:state", { detail: message.state }));
    }
    if (message.metrics) document.dispatchEvent(new CustomEvent("job:metrics"));
    if (message.attempt) document.dispatchEvent(new CustomEvent("job:attempt", { detail: message.attempt }));
  };

  studio.follow(root.dataset.liveJob, { opening: () => `after=${seq}`, receive });

  // --- the log: its end, and what is added while it is open -------------------------------------------------------

  const RUNNING = ["running", "pausing", "cancelling"];
  const LOG_EVERY = 2000;
  const LONGEST = 400000; // characters that stay on the page
  const card = root.querySelector("[data-log]");
  const shown = card.querySelector("#log-text");
  const text = card.querySelector("pre");
  const opener = card.querySelector("[data-log-open]");
  const follow = card.querySelector("[data-log-follow]");
  let choice = card.querySelector("#log-attempt");
  let attempt = choice ? Number(choice.value) : 0;
  let latest = attempt || 1;
  let offset = null;
  let timer = null;

  const read = async () => {
    clearTimeout(timer);
    if (shown.hidden) return;
    const query = offset === null ? "" : `?offset=${offset}`;
    try {
      const answer = await fetch(`${card.dataset.log}${attempt || latest}/${query}`, { headers: { Accept: "application/json" } });
      if (answer.ok && answer.headers.get("Content-Type").includes("json")) {
        const part = await answer.json();
        if (offset !== null && part.offset < offset) text.textContent = ""; // it grew too long and began anew
        if (part.text) {
          const kept = (text.textContent + part.text).slice(-LONGEST);
          text.textContent = kept;
          if (follow.checked) text.scrollTop = text.scrollHeight;
        } else if (offset === null) text.textContent = "Nothing is written yet.\n";
        offset = part.size ? part.next : null;
        if (part.next < part.size) return read();
      }
    } catch {
      // the next look may do better
    }
    if (RUNNING.includes(root.dataset.state)) timer = setTimeout(read, LOG_EVERY);
  };
  const begin = () => {
    offset = null;
    text.textContent = "";
    read();
  };
  opener.addEventListener("click", () => {
    shown.hidden = !shown.hidden;
    opener.setAttribute("aria-expanded", String(!shown.hidden));
    opener.textContent = shown.hidden ? "Show the log" : "Hide the log";
    begin();
  });
  if (choice) {
    choice.addEventListener("change", () => {
      attempt = Number(choice.value);
      begin();
    });
  }
  document.addEventListener("job:attempt", (event) => {
    if (event.detail === latest) return;
    latest = event.detail;
    if (!choice || Number(choice.value) === latest - 1) {
      attempt = latest;
      if (choice) choice.prepend(new Option(`Attempt ${latest}`, latest, true, true));
      if (!shown.hidden) begin();
    }
  });
  document.addEventListener("job:state", read);
})();

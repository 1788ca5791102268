/* The work page: joins keys and buttons, the session, the outbox and the tabs. */
"use strict";

(() => {
  const root = document.querySelector("[data-work]");
  if (!root) return;
  const { work, outbox } = window.studio;
  const STORED = "meds3-work-at-once";
  const find = (selector) => root.querySelector(selector);

  const view = new work.View(root);
  const watch = new work.Watch();
  const keys = new work.Keys(
    [...document.querySelectorAll("[data-action][data-key]")].map(({ dataset }) => ({ name: dataset.action, label: dataset.words, key: dataset.key })),
  );
  const dialogs = Object.fromEntries([...document.querySelectorAll("[data-dialog]")].map((each) => [each.dataset.dialog, each]));
  const help = new work.Help(dialogs.help, keys);
  const server = new work.Server(root.dataset);
  const switched = find("[data-at-once]");
  const session = new work.Session({ server, view, watch, atOnce: () => switched.checked, unread: (number) => unread(number), shows: () => renewed() });
  const tabs = new work.Tabs(root.dataset.queue, { yielded: () => session.yielded() });
  work.showCaps(keys);

  // --- what can be done ------------------------------------------------------------------------------------------------

  const opened = (place) => {
    if (session.open()) document.querySelector(place)?.focus();
  };
  const acts = {
    errors: () => opened("[data-kind]"),
    correction: () => opened("[data-text=correction]"),
    comment: () => opened("[data-text=comment]"),
    undo: () => session.undo(),
    next: () => (session.phase === "shown" ? session.next() : session.phase === "judging" && session.commit()),
    help: () => help.open(),
    instructions: () => instructions(),
  };
  for (const button of root.querySelectorAll(".work-verdict")) acts[button.dataset.action] = () => session.verdict(button.dataset.action);
  for (const button of root.querySelectorAll("[data-kind]")) acts[button.dataset.kind] = () => session.mark(button.dataset.kind);
  for (const button of root.querySelectorAll("[data-severity]")) acts[button.dataset.severity] = () => session.grade(button.dataset.severity);

  // --- instructions: those that came with the page, and those that are written while somebody works ----------------------

  const texts = dialogs.instructions.querySelector("[data-instructions]");
  const version = () => Number(texts.querySelector("[data-number]")?.dataset.number || 0);
  let newest = version();
  const instructions = () => dialogs.instructions.showModal();
  const unread = (number) => (newest = Math.max(newest, number));
  const renewed = async () => {
    if (newest <= version() || dialogs.instructions.open) return;
    const text = await server.instructions();
    if (!text) return;
    texts.innerHTML = text; // made by our server, which lets no HTML of its writers through
    newest = version();
    dialogs.instructions.dataset.unread = "";
    dialogs.instructions.querySelector("[data-instructions-close]").textContent = "I have read this";
    instructions();
  };

  const on = (selector, act) => {
    for (const each of document.querySelectorAll(selector)) each.addEventListener("click", (event) => act(event));
  };
  root.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-action]");
    if (button && !button.disabled) acts[button.dataset.action]();
  });
  on("[data-more-open]", () => opened("[data-kind]"));
  on("[data-hand-back]", () => session.handBack());
  on("[data-look-again]", () => session.start());
  on("[data-take-over]", () => take());
  on("[data-last-reveal]", () => session.revealLast());
  on("[data-leave]", () => session.leave());
  on("[data-close]", (event) => event.target.closest("dialog").close());
  for (const field of root.querySelectorAll("[data-text]")) {
    field.addEventListener("input", () => session.write(field.dataset.text, field.value));
  }

  document.addEventListener("keydown", (event) => {
    if (event.defaultPrevented || document.querySelector("dialog[open]")) return;
    const { target } = event;
    if (work.isField(target)) {
      if (event.key === "Escape") find(".work-this")?.focus({ preventScroll: true });
      else if (event.key !== "Enter" || !(event.ctrlKey || event.metaKey)) return;
      else acts.next();
      event.preventDefault();
      return;
    }
    if (event.key === "Enter" && !event.repeat && !event.ctrlKey && !event.metaKey && !event.altKey) {
      if (target.closest("a, button, summary, input, label")) return;
      event.preventDefault();
      acts.next();
      return;
    }
    const action = keys.actionOf(event);
    if (!action) return;
    event.preventDefault();
    if (!event.repeat) acts[action.name]?.();
  });

  // --- how it stands ---------------------------------------------------------------------------------------------------

  outbox.on("state", ({ line, words, waiting, apart }) => {
    const kept = `${work.plural(waiting, "judgement")} kept here`;
    view.closed(line === "closed" ? words : "");
    if (line === "closed") view.line("closed", waiting ? kept : "Signed out");
    else if (line === "down" || !navigator.onLine) view.line("down", waiting ? `Offline: ${kept}` : "Offline", words);
    else if (waiting > apart) view.line("waiting", "Saving …");
    else if (apart) view.line("waiting", `Saved here; of another team ${kept}`);
    else view.line("up", "All saved");
    outbox.refused().then((entries) => view.refused(entries));
    outbox.lasts().then((lasts) => (find("[data-unlasting]").hidden = lasts));
    session.settled();
  });
  on("[data-refused-read]", async () => {
    for (const entry of await outbox.refused()) await outbox.forget(entry.id);
  });
  window.addEventListener("offline", () => view.line("down", "Offline"));
  outbox.lasts().then((lasts) => (find("[data-unlasting]").hidden = lasts));

  try {
    switched.checked = localStorage.getItem(STORED) === "yes";
  } catch {
    // no memory: as it stands
  }
  switched.addEventListener("change", () => {
    try {
      localStorage.setItem(STORED, switched.checked ? "yes" : "no");
    } catch {
      // for this visit
    }
    if (!switched.checked) view.last("");
  });

  // --- beginning -------------------------------------------------------------------------------------------------------

  const take = () => {
    tabs.take();
    session.start();
  };
  dialogs.instructions.addEventListener("close", () => {
    if (dialogs.instructions.dataset.unread === undefined) return;
    delete dialogs.instructions.dataset.unread;
    server.read(version());
  });
  tabs.alone().then((alone) => {
    if (!alone) {
      session.to("elsewhere");
      return;
    }
    take();
    if (dialogs.instructions.dataset.unread !== undefined) instructions();
  });
})();

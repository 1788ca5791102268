/* Judgements on their way: kept on the device (studio.kept) under ids made here until the server has them, so that a lost
   line, a closed page or a reload loses nothing, and sending one twice is one judgement. What somebody has begun to write
   about a step (a draft) is kept in the same way. Loaded by every page: each sends what an earlier one could not.

   studio.outbox
     id()                          a new id (UUID version 4; crypto.randomUUID needs https, hospitals' networks are plain)
     put(entry)                    { id, item, url, title, body, … }: to be sent; those of one item in their order
                                   otherwise  where it goes if the server says that it stands already, or not any more
                                   settled    codes of refusals after which there is nothing left to do
     recall(id)                    take back what is on its way: "never" sent, "tried" (the server may have it), or "gone"
     waiting()                     entries that wait, oldest first; refused()  those that the server did not take
     forget(id)                    a refused one, once its owner has read why
     flush()                       send what waits; gives how many wait still
     draft(key), keep(key, value)  what was begun; keep(key, null) removes it
     on(name, listener)            "saved" (entry, answer), "refused" (entry, words),
                                   "state" ({ line, words, waiting, refused, apart }; apart: of them, other teams' that wait)

   Emptied on save, at sign-out, and of what is older than a day. */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const { kept } = studio;
  const KEPT = 24 * 3600 * 1000;
  const FIRST_WAIT = 1000;
  const LONGEST_WAIT = 30000;
  const PATIENCE = 20000; // for one answer
  const LEAVING = { server: 5000, device: 2000 }; // what signing out waits for
  const SMALL = 15000; // characters
  const TURNED = ["already-judged", "nothing-said"]; // refusals after which an entry goes where it says `otherwise`
  const STOPPED = [502, 503, 504, 408, 429]; // the server as a whole: nothing else will fare better now
  const person = () => document.body.dataset.person || "";
  const teamOf = (path) => /\/t\/[^/]+\//.exec(path)?.[0] || "";
  const listeners = { saved: [], refused: [], state: [] };
  const state = { line: "up", words: "", apart: 0 }; // up | down | closed: signed out, or not allowed any more
  let wait = FIRST_WAIT;
  let timer = null;
  let sending = Promise.resolve(0);
  let flying = null;
  let latest = 0;

  const mine = async (store) => (await kept.all(store)).filter((each) => each.person === person());
  const tell = (name, ...details) => listeners[name].forEach((listener) => listener(...details));
  const tellState = async () => {
    const entries = await mine("entries");
    const refused = entries.filter((each) => each.refused);
    tell("state", { ...state, waiting: entries.length - refused.length, refused: refused.length });
  };

  /* Of everybody: what is older than a day goes, whoever is signed in. */
  const purge = async () => {
    const edge = Date.now() - KEPT;
    for (const store of ["entries", "drafts"]) {
      for (const each of await kept.all(store)) if (each.at < edge) await kept.take(store, each.id);
    }
  };

  const wipe = async () => {
    for (const store of ["entries", "drafts"]) for (const each of await mine(store)) await kept.take(store, each.id);
  };

  const token = () =>
    JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] ||
    document.querySelector("[name=csrfmiddlewaretoken]")?.value ||
    "";

  /* One entry to the server. Gives { what, words }:
       done     saved, refused with words, or taken back meanwhile
       stuck    the server fails at this one: later ones of the same item wait
       barred   not allowed, or not there, in this team: those of other teams go on
       closed   signed out        down   nobody answers, or somebody else does */
  const send = async (entry) => {
    if (!(await kept.change("entries", entry.id, (each) => ({ ...each, tried: true })))) return { what: "done" };
    const body = JSON.stringify(entry.body);
    let answer;
    try {
      answer = await fetch(entry.url, {
        method: "POST",
        credentials: "same-origin",
        keepalive: body.length < SMALL, // goes on when the page is closed; browsers refuse that to long ones
        redirect: "manual",
        signal: AbortSignal.timeout(PATIENCE),
        headers: { "Content-Type": "application/json", Accept: "application/json", "X-CSRFToken": token() },
        body,
      });
    } catch {
      return { what: "down", words: "" };
    }
    const said = (await answer.json().catch(() => null)) || {};
    if (answer.ok && typeof said.repeated !== "boolean") {
      // The sign-in page of a guest network, a proxy's note: 200, and not from our server.
      return { what: "down", words: "Something else answers in the server’s place, perhaps the network’s own sign-in page." };
    }
    if (answer.ok || (entry.settled || []).includes(said.code)) {
      await kept.take("entries", entry.id);
      if (answer.ok) tell("saved", entry, said);
      return { what: "done" };
    }
    const words = typeof said.detail === "string" ? said.detail : "";
    if (answer.type === "opaqueredirect" || answer.status === 401) return { what: "closed", words: words || "You are signed out." };
    if (STOPPED.includes(answer.status)) return { what: "down", words };
    if (answer.status >= 500) return { what: "stuck", words };
    if (answer.status === 403 || !words) return { what: "barred", words: words || "You may not judge here any more, or you signed in anew." };
    if (entry.otherwise && TURNED.includes(said.code)) {
      const turned = await kept.change("entries", entry.id, ({ otherwise, ...each }) => ({ ...each, url: otherwise }));
      return turned ? send(turned) : { what: "done" };
    }
    const refused = await kept.change("entries", entry.id, (each) => ({ ...each, refused: words }));
    if (refused) tell("refused", refused, words);
    return { what: "done" };
  };

  const again = (milliseconds) => {
    clearTimeout(timer);
    timer = setTimeout(() => flush(), milliseconds);
  };

  const round = async () => {
    const stuck = new Set(); // items and teams whose other entries wait
    const found = { line: "up", words: "", apart: 0 };
    const here = teamOf(location.pathname);
    let waits = false;
    for (const entry of await studio.outbox.waiting()) {
      const team = teamOf(entry.url);
      if (stuck.has(team)) found.apart += team === here ? 0 : 1;
      if (stuck.has(team) || stuck.has(entry.item)) continue;
      flying = entry.id;
      const { what, words } = await send(entry);
      flying = null;
      if (what === "done") {
        wait = FIRST_WAIT;
      } else if (what === "closed") {
        Object.assign(found, { line: "closed", words });
        break;
      } else if (what === "barred") {
        stuck.add(team);
        if (here && team !== here) found.apart += 1;
        else Object.assign(found, { line: "closed", words });
      } else {
        waits = true;
        if (found.line === "up") Object.assign(found, { line: "down", words });
        if (what === "down") break;
        stuck.add(entry.item);
      }
    }
    if (waits) {
      again(wait * (0.75 + Math.random() / 2));
      wait = Math.min(wait * 2, LONGEST_WAIT);
    }
    Object.assign(state, found);
    await tellState();
    return (await studio.outbox.waiting()).length;
  };

  /* One after the other: what is put while a round runs is sent by the next. */
  const flush = () => {
    clearTimeout(timer);
    sending = sending.catch(() => 0).then(round);
    return sending;
  };

  studio.outbox = {
    id() {
      const bytes = crypto.getRandomValues(new Uint8Array(16));
      bytes[6] = (bytes[6] & 0x0f) | 0x40;
      bytes[8] = (bytes[8] & 0x3f) | 0x80;
      const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
      return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
    },
    async put(entry) {
      latest = Math.max(Date.now(), latest + 1); // none at the same moment: their order counts
      await kept.put("entries", { at: latest, ...entry, person: person() });
      await tellState();
    },
    async recall(id) {
      if (flying === id) await sending;
      const found = await kept.take("entries", id);
      await tellState();
      if (!found) return "gone";
      return found.tried ? "tried" : "never";
    },
    waiting: async () => (await mine("entries")).filter((each) => !each.refused).sort((first, second) => first.at - second.at),
    refused: async () => (await mine("entries")).filter((each) => each.refused),
    async forget(id) {
      await kept.take("entries", id);
      await tellState();
    },
    flush,
    async draft(key) {
      const found = await kept.one("drafts", `${person()}:${key}`);
      return found?.person === person() ? found.value : null;
    },
    keep: (key, value) =>
      value === null
        ? kept.take("drafts", `${person()}:${key}`)
        : kept.put("drafts", { id: `${person()}:${key}`, person: person(), at: Date.now(), value }),
    on: (name, listener) => listeners[name].push(listener),
    lasts: kept.lasts,
  };

  /* What comes in time, or `otherwise`: whoever signs out is not kept here by a slow line or a broken disk. */
  const within = (time, promise, otherwise) =>
    Promise.race([promise.catch(() => otherwise), new Promise((done) => setTimeout(done, time, otherwise))]);

  /* Signing out empties this device. What has not been sent is tried once more, and not thrown away unasked. */
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form[data-sign-out]") || form.dataset.emptied || !person()) return;
    event.preventDefault();
    await within(LEAVING.server, flush(), 0);
    const left = await within(LEAVING.device, mine("entries").then((entries) => entries.length), 0);
    const [has, them] = left === 1 ? ["judgement has", "it"] : ["judgements have", "them"];
    const question = `${left} ${has} not reached the server. Signing out removes ${them} from this device. Sign out all the same?`;
    if (left && !window.confirm(question)) return;
    await within(LEAVING.device, wipe(), null);
    form.dataset.emptied = "yes";
    form.requestSubmit();
  });

  const hurry = () => {
    if (!person() || document.visibilityState !== "visible") return;
    wait = FIRST_WAIT;
    flush();
  };
  window.addEventListener("online", hurry);
  window.addEventListener("pageshow", hurry);
  document.addEventListener("visibilitychange", () => {
    if (!person()) return;
    if (document.visibilityState === "hidden") flush(); // it may never come back
    else hurry();
  });
  if (person()) purge().then(() => flush());
})();

/* Judgements on their way: kept in IndexedDB under ids made here until the server has them, so that a lost line, a closed
   page or a reload loses nothing, and sending one twice is one judgement. What somebody has begun to write about a step
   (a draft) is kept in the same way. Loaded by every page: each sends what an earlier one could not.

   studio.outbox
     id()                          a new id (UUID version 4; crypto.randomUUID needs https, hospitals' networks are plain)
     put(entry)                    { id, url, body, … }: to be sent
     recall(id)                    take back what has not been sent; says whether it was still here
     waiting()                     entries that wait, oldest first; refused()  those that the server did not take
     forget(id)                    a refused one, once its owner has read why
     flush()                       send what waits; gives how many wait still
     draft(key), keep(key, value)  what was begun; keep(key, null) removes it
     on(name, listener)            "saved" (entry, answer), "refused" (entry, words), "state" ({ waiting, refused, line, words })

   Emptied on save, at sign-out, and of what is older than a day. */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const KEPT = 24 * 3600 * 1000;
  const FIRST_WAIT = 1000;
  const LONGEST_WAIT = 30000;
  const PATIENCE = 20000; // for one answer
  const SMALL = 15000; // characters
  const person = () => document.body.dataset.person || "";
  const listeners = { saved: [], refused: [], state: [] };
  const state = { line: "up", words: "" }; // up | down | closed: signed out, or not allowed any more
  let wait = FIRST_WAIT;
  let timer = null;
  let sending = Promise.resolve(0);
  let flying = null;

  /* Where a browser keeps nothing (some private windows), the page's memory stands in for the time it is open. */
  const memory = { entries: new Map(), drafts: new Map() };
  let opened = null;
  const database = () => {
    opened ??= new Promise((done) => {
      let request;
      try {
        request = indexedDB.open("meds3-judgements", 1);
      } catch {
        done(null);
        return;
      }
      request.onupgradeneeded = () => {
        request.result.createObjectStore("entries", { keyPath: "id" });
        request.result.createObjectStore("drafts", { keyPath: "id" });
      };
      request.onsuccess = () => {
        request.result.onversionchange = () => request.result.close();
        done(request.result);
      };
      request.onerror = () => done(null);
    });
    return opened;
  };

  const ask = async (store, mode, act) => {
    const base = await database();
    if (!base) return null;
    return new Promise((done, failed) => {
      const transaction = base.transaction(store, mode);
      const request = act(transaction.objectStore(store));
      transaction.oncomplete = () => done(request?.result);
      transaction.onerror = transaction.onabort = () => failed(transaction.error);
    });
  };
  const write = async (store, record) => {
    try {
      if (await database()) await ask(store, "readwrite", (rows) => rows.put(record));
      else memory[store].set(record.id, record);
    } catch {
      memory[store].set(record.id, record); // the disk is full: at least while the page is open
    }
  };
  const drop = async (store, id) => {
    memory[store].delete(id);
    await ask(store, "readwrite", (rows) => rows.delete(id));
  };
  const all = async (store) => {
    const kept = (await ask(store, "readonly", (rows) => rows.getAll())) || [];
    return [...kept, ...memory[store].values()].filter((each) => each.person === person());
  };
  const one = async (store, id) => {
    const found = (await ask(store, "readonly", (rows) => rows.get(id))) || memory[store].get(id);
    return found && found.person === person() ? found : null;
  };

  const tell = (name, ...details) => listeners[name].forEach((listener) => listener(...details));
  const tellState = async () => {
    const entries = await all("entries");
    const refused = entries.filter((each) => each.refused);
    tell("state", { ...state, waiting: entries.length - refused.length, refused: refused.length });
  };

  /* Of everybody: what is older than a day goes, whoever is signed in. */
  const purge = async () => {
    const edge = Date.now() - KEPT;
    for (const store of ["entries", "drafts"]) {
      const kept = (await ask(store, "readonly", (rows) => rows.getAll())) || [];
      for (const each of kept) if (each.at < edge) await drop(store, each.id);
    }
  };

  const wipe = async () => {
    for (const store of ["entries", "drafts"]) for (const each of await all(store)) await drop(store, each.id);
  };

  const token = () =>
    JSON.parse(document.body.getAttribute("hx-headers") || "{}")["X-CSRFToken"] ||
    document.querySelector("[name=csrfmiddlewaretoken]")?.value ||
    "";

  /* One entry to the server: "saved", "refused", "later" (the line, or the server, is down) or "closed". */
  const send = async (entry) => {
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
      Object.assign(state, { line: "down", words: "" });
      return "later";
    }
    const said = await answer.json().catch(() => ({}));
    if (answer.ok) {
      Object.assign(state, { line: "up", words: "" });
      await drop("entries", entry.id);
      tell("saved", entry, said);
      return "saved";
    }
    const words = said.detail || "";
    if (answer.type === "opaqueredirect" || answer.status === 401 || answer.status === 403) {
      Object.assign(state, { line: "closed", words: words || "You are signed out." });
      return "closed";
    }
    if (answer.status >= 500 || answer.status === 429 || answer.status === 408) {
      Object.assign(state, { line: "down", words: "" });
      return "later";
    }
    Object.assign(state, { line: "up", words: "" });
    const refused = { ...entry, refused: words || `the server did not take it (${answer.status})` };
    await write("entries", refused);
    tell("refused", refused, refused.refused);
    return "refused";
  };

  const again = (milliseconds) => {
    clearTimeout(timer);
    timer = setTimeout(() => flush(), milliseconds);
  };

  const round = async () => {
    for (const entry of await studio.outbox.waiting()) {
      if (!(await one("entries", entry.id))) continue; // recalled, or sent by another tab
      flying = entry.id;
      const outcome = await send(entry);
      flying = null;
      if (outcome === "closed") break;
      if (outcome === "later") {
        again(wait * (0.75 + Math.random() / 2));
        wait = Math.min(wait * 2, LONGEST_WAIT);
        break;
      }
      wait = FIRST_WAIT;
    }
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
      await write("entries", { at: Date.now(), ...entry, person: person() });
      await tellState();
    },
    async recall(id) {
      if (flying === id) await sending;
      if (!(await one("entries", id))) return false;
      await drop("entries", id);
      await tellState();
      return true;
    },
    waiting: async () => (await all("entries")).filter((each) => !each.refused).sort((first, second) => first.at - second.at),
    refused: async () => (await all("entries")).filter((each) => each.refused),
    async forget(id) {
      await drop("entries", id);
      await tellState();
    },
    flush,
    draft: async (key) => (await one("drafts", `${person()}:${key}`))?.value ?? null,
    keep: (key, value) =>
      value === null
        ? drop("drafts", `${person()}:${key}`)
        : write("drafts", { id: `${person()}:${key}`, person: person(), at: Date.now(), value }),
    on: (name, listener) => listeners[name].push(listener),
    lasts: async () => Boolean(await database()),
  };

  /* Signing out empties this device. What has not been sent is tried once more, and not thrown away unasked. */
  document.addEventListener("submit", async (event) => {
    const form = event.target;
    if (!form.matches("form[data-sign-out]") || form.dataset.emptied || !person()) return;
    event.preventDefault();
    const left = (await flush()) + (await studio.outbox.refused()).length;
    const [has, them] = left === 1 ? ["judgement has", "it"] : ["judgements have", "them"];
    const question = `${left} ${has} not reached the server. Signing out removes ${them} from this device. Sign out all the same?`;
    if (left && !window.confirm(question)) return;
    await wipe();
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

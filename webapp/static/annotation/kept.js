/* What this device keeps between pages: records with an `id` in IndexedDB, in the stores "entries" and "drafts".

   studio.kept
     put(store, record)         change(store, id, make)   make(record) in its place; gives the new one, or null: it is gone
     take(store, id)            remove it; gives what was there, or null
     all(store), one(store, id) lasts()                   whether what is kept outlives the page

   Nothing here fails. A connection that the browser has closed (storage was short, another version was opened, it was
   idle for long) is opened again; where nothing can be written the page's memory stands in for the time it is open. */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const NAME = "meds3-judgements";
  const STORES = ["entries", "drafts"];
  const PATIENCE = 5000; // some browsers never answer an opening
  const PAUSE = 30000; // until it is tried again where there is none
  const memory = { entries: new Map(), drafts: new Map() };
  const gone = new Set(); // removed, though the database could not be told
  let opening = null;
  let base = null;
  let lasting = true;

  const close = (which) => {
    which.close();
    if (base === which) base = opening = null;
  };

  const open = () =>
    new Promise((done) => {
      let request;
      try {
        request = indexedDB.open(NAME, 1);
      } catch {
        done(null);
        return;
      }
      const timer = setTimeout(() => done(null), PATIENCE);
      request.onupgradeneeded = () => {
        for (const store of STORES) request.result.createObjectStore(store, { keyPath: "id" });
      };
      request.onsuccess = () => {
        clearTimeout(timer);
        const made = request.result;
        made.onversionchange = made.onclose = () => close(made);
        done(made);
      };
      request.onerror = () => {
        clearTimeout(timer);
        done(null);
      };
    });

  const database = () => {
    opening ??= open().then((made) => {
      base = made;
      if (!made) setTimeout(() => (opening = null), PAUSE);
      return made;
    });
    return opening;
  };

  /* What `act` answers once its transaction is done; null where there is no database. */
  const ask = async (store, mode, act, again = true) => {
    const where = await database();
    if (!where) return null;
    try {
      return await new Promise((done, failed) => {
        const transaction = where.transaction(store, mode); // throws where the connection is closed
        const answer = act(transaction.objectStore(store));
        transaction.oncomplete = () => done(answer());
        transaction.onerror = transaction.onabort = () => failed(transaction.error);
      });
    } catch (error) {
      if (!again || error?.name === "QuotaExceededError") throw error;
      close(where);
      return ask(store, mode, act, false);
    }
  };
  const asked = (request) => () => request.result;

  const remember = (store, record) => {
    lasting = false;
    memory[store].set(record.id, record);
  };

  const put = async (store, record) => {
    gone.delete(record.id);
    try {
      const written = await ask(store, "readwrite", (rows) => asked(rows.put(record)));
      if (written === null) throw new Error("no database");
      memory[store].delete(record.id);
      lasting = true;
    } catch {
      remember(store, record);
    }
  };

  const one = async (store, id) => {
    if (gone.has(id)) return null;
    if (memory[store].has(id)) return memory[store].get(id);
    return (await ask(store, "readonly", (rows) => asked(rows.get(id))).catch(() => null)) || null;
  };

  const all = async (store) => {
    const kept = (await ask(store, "readonly", (rows) => asked(rows.getAll())).catch(() => null)) || [];
    const found = new Map(kept.map((each) => [each.id, each]));
    for (const [id, each] of memory[store]) found.set(id, each); // newer than what could not be overwritten
    return [...found.values()].filter((each) => !gone.has(each.id));
  };

  /* In one transaction: whoever takes a record in another tab meanwhile does not get it back. */
  const change = async (store, id, make) => {
    if (gone.has(id)) return null;
    const held = memory[store].get(id);
    if (held) {
      memory[store].set(id, make(held));
      return memory[store].get(id);
    }
    try {
      return await ask(store, "readwrite", (rows) => {
        let made = null;
        const request = rows.get(id);
        request.onsuccess = () => {
          if (!request.result) return;
          made = make(request.result);
          rows.put(made);
        };
        return () => made;
      });
    } catch {
      const found = await one(store, id);
      if (found) remember(store, make(found));
      return found && make(found);
    }
  };

  const take = async (store, id) => {
    const held = memory[store].get(id);
    memory[store].delete(id);
    if (gone.has(id)) return null;
    try {
      const found = await ask(store, "readwrite", (rows) => {
        const request = rows.get(id);
        request.onsuccess = () => request.result && rows.delete(id);
        return asked(request);
      });
      return held || found || null;
    } catch {
      const found = held || (await one(store, id));
      gone.add(id);
      return found;
    }
  };

  studio.kept = { put, change, take, all, one, lasts: async () => Boolean(await database()) && lasting };
})();

/* Which key does what on the work page: a table of actions, changed by whoever sits there and kept on this device.

   studio.work.Keys(actions): actions = [{ name, label, key, group }]
     of(name)              the key that does it now
     actionOf(event)       the action that a key press asks for, or null
     change(name, key)     "" or why not; reset()
   Keys say nothing while somebody types, but for Escape, which leaves the field. */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const work = (studio.work = studio.work || {});
  const STORED = "meds3-work-keys";
  const TAKEN = ["Tab", "Escape", "Enter", " ", "ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight", "Shift", "Control", "Alt", "Meta", "CapsLock", "AltGraph", "Dead", "Process", "Unidentified"];
  const SHOWN = { PageUp: "Page up", PageDown: "Page down", Backspace: "⌫", Delete: "Del" };

  const norm = (key) => (key.length === 1 ? key.toLowerCase() : key);
  const isField = (element) => element?.matches?.("input:not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]");

  work.isField = isField;
  work.keyWord = (key) => SHOWN[key] || (key.length === 1 ? key.toUpperCase() : key);

  work.Keys = class {
    constructor(actions) {
      this.actions = actions;
      let stored = {};
      try {
        stored = JSON.parse(localStorage.getItem(STORED) || "{}");
      } catch {
        // unreadable: the usual keys
      }
      this.own = stored && typeof stored === "object" ? stored : {};
    }

    of(name) {
      const action = this.actions.find((each) => each.name === name);
      return typeof this.own[name] === "string" ? this.own[name] : action?.key || "";
    }

    /* Digits count by their place as well: some keyboards need a shift for them. */
    actionOf(event) {
      if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
      const pressed = norm(event.key);
      const place = /^(?:Digit|Numpad)(\d)$/.exec(event.code || "")?.[1];
      const found = (key) => this.actions.find((action) => this.of(action.name) === key) || null;
      return found(pressed) || (place && !event.shiftKey ? found(place) : null);
    }

    change(name, key) {
      const wanted = norm(key);
      if (TAKEN.includes(key)) return `${key === " " ? "The space bar" : key} has its own use on every page. Press another key.`;
      const holder = this.actions.find((action) => action.name !== name && this.of(action.name) === wanted);
      if (holder) return `${work.keyWord(wanted)} is taken: ${holder.label}.`;
      this.own = { ...this.own, [name]: wanted };
      this.store();
      return "";
    }

    reset() {
      this.own = {};
      this.store();
    }

    store() {
      try {
        localStorage.setItem(STORED, JSON.stringify(this.own));
      } catch {
        // kept while the page is open
      }
    }
  };
})();

/* The dialog of keys: what each does, and another key for it. Built from the page's own table of actions. */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const work = (studio.work = studio.work || {});

  /* The key caps of the page, [data-cap="action"], show the keys as they are now. */
  work.showCaps = (keys) => {
    for (const cap of document.querySelectorAll("[data-cap]")) cap.textContent = work.keyWord(keys.of(cap.dataset.cap));
    for (const named of document.querySelectorAll("[data-shortcut]")) {
      named.setAttribute("aria-keyshortcuts", keys.of(named.dataset.shortcut));
    }
  };

  work.Help = class {
    constructor(dialog, keys) {
      this.dialog = dialog;
      this.keys = keys;
      this.said = dialog.querySelector("[data-keys-said]");
      this.waits = null;
      const rows = dialog.querySelector("[data-keys]");
      const row = dialog.querySelector("template").content.firstElementChild;
      this.buttons = new Map();
      for (const action of keys.actions) {
        const line = rows.appendChild(row.cloneNode(true));
        line.querySelector("[data-label]").textContent = action.label;
        line.querySelector("kbd").dataset.cap = action.name;
        const button = line.querySelector("button");
        button.setAttribute("aria-label", `Another key for: ${action.label}`);
        button.addEventListener("click", () => this.wait(action));
        this.buttons.set(action.name, button);
      }
      dialog.querySelector("[data-keys-reset]").addEventListener("click", () => {
        keys.reset();
        work.showCaps(keys);
        this.tell("The usual keys are back.");
      });
      dialog.addEventListener("keydown", (event) => this.pressed(event), true);
      dialog.addEventListener("close", () => this.stop());
    }

    open() {
      this.tell("");
      this.dialog.showModal();
    }

    wait(action) {
      this.stop();
      this.waits = action;
      this.buttons.get(action.name).textContent = "Press a key …";
      this.tell(`Press the key for “${action.label}”, or Escape to leave it as it is.`);
    }

    stop() {
      if (this.waits) this.buttons.get(this.waits.name).textContent = "Change";
      this.waits = null;
    }

    pressed(event) {
      if (!this.waits || ["Shift", "Control", "Alt", "Meta"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      const action = this.waits;
      if (event.key === "Escape") {
        this.tell("");
        this.stop();
        return;
      }
      const trouble = this.keys.change(action.name, event.key);
      if (trouble) {
        this.tell(trouble);
        return;
      }
      this.stop();
      work.showCaps(this.keys);
      this.tell(`“${action.label}” is now on ${work.keyWord(this.keys.of(action.name))}.`);
    }

    tell(text) {
      this.said.textContent = text;
    }
  };
})();

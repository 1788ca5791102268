// Sends files in chunks and goes on after a cut: the server says how far a file is, and is asked again after an error.
// A file that was begun before, here or elsewhere, is known again by its name, size and time stamp.

const root = document.getElementById("uploads");
const list = document.getElementById("upload-list");
const section = document.getElementById("upload-section");
const template = document.getElementById("upload-row");
const zone = root.querySelector("[data-drop]");
const input = document.getElementById("files");
const said = document.getElementById("upload-said");
const token = root.querySelector("[name=csrfmiddlewaretoken]").value;
const { api, page, into } = root.dataset;
const chunkSize = Number(root.dataset.chunk);
const limit = Number(root.dataset.limit);
const TRIES = 8;

class Refused extends Error {}
class Stopped extends Error {}

function size(bytes) {
  const units = ["bytes", "KB", "MB", "GB"];
  let at = 0;
  while (bytes >= 1024 && at < units.length - 1) {
    bytes /= 1024;
    at += 1;
  }
  return `${at ? bytes.toFixed(1) : bytes} ${units[at]}`;
}

async function ask(path, options = {}) {
  let answer;
  try {
    answer = await fetch(path, {
      credentials: "same-origin",
      ...options,
      headers: { "X-CSRFToken": token, Accept: "application/json", ...options.headers },
    });
  } catch (error) {
    if (error.name === "AbortError") throw new Stopped();
    throw error; // the line was cut
  }
  const body = answer.status === 204 ? {} : await answer.json().catch(() => ({}));
  if (answer.status === 409) return { conflict: true, received: body.received };
  if (answer.status >= 500 || answer.status === 429) throw new Error("busy");
  if (!answer.ok) throw new Refused(body.detail || "The server refused this.");
  return body;
}

const pause = (seconds) => new Promise((done) => setTimeout(done, seconds * 1000));

class Row {
  constructor(file) {
    this.file = file;
    this.stop = new AbortController();
    this.element = template.content.firstElementChild.cloneNode(true);
    this.find(".upload-name").textContent = file.name;
    this.find(".upload-size").textContent = size(file.size);
    this.bar = this.find("progress");
    this.bar.max = file.size || 1;
    this.bar.setAttribute("aria-label", file.name);
    this.find("[data-again]").addEventListener("click", () => this.run());
    this.find("[data-stop]").addEventListener("click", () => this.discard());
    this.find("[data-stop]").setAttribute("aria-label", `Discard ${file.name}`);
    list.prepend(this.element);
    section.hidden = false;
  }

  find(what) {
    return this.element.querySelector(what);
  }

  note(text, wrong = false) {
    const note = this.find(".upload-note");
    note.textContent = text;
    note.classList.toggle("is-wrong", wrong);
    if (wrong) said.textContent = `${this.file.name}: ${text}`;
  }

  async run() {
    this.find("[data-again]").hidden = true;
    try {
      if (this.file.size === 0) throw new Refused("The file is empty.");
      if (this.file.size > limit) throw new Refused(`The file has ${size(this.file.size)}; at most ${size(limit)} are taken.`);
      await this.begin();
      await this.send();
      await this.finish();
      return true;
    } catch (error) {
      if (error instanceof Stopped) return false;
      this.note(error instanceof Refused ? error.message : "The connection was lost. What was sent is kept.", true);
      this.find("[data-again]").hidden = error instanceof Refused; // it would be refused again
      return false;
    }
  }

  async begin() {
    if (this.id) {
      const status = await this.patiently(() => ask(`${api}/${this.id}`));
      this.received = status.files[0].received;
      return;
    }
    const known = begunBefore(this.file);
    if (known) {
      this.id = known.dataset.upload;
      this.fileId = known.dataset.file;
      known.remove();
      const status = await this.patiently(() => ask(`${api}/${this.id}`));
      this.received = status.files[0].received;
      return;
    }
    this.note("Beginning…");
    const announced = { name: this.file.name, size: this.file.size, modified: this.file.lastModified };
    const key = crypto.randomUUID ? crypto.randomUUID() : String(Math.random()).slice(2) + Date.now();
    const made = await this.patiently(() =>
      ask(api, {
        method: "POST",
        headers: { "Content-Type": "application/json", "Idempotency-Key": key },
        body: JSON.stringify({ purpose: "dataset", files: [announced] }),
      }),
    );
    this.id = made.id;
    this.fileId = made.files[0].id;
    this.received = 0;
  }

  async send() {
    const begun = performance.now();
    const from = this.received;
    this.progress(begun, from);
    while (this.received < this.file.size) {
      const answer = await this.patiently(() => this.chunk());
      this.received = answer.received;
      if (answer.conflict) await pause(0.5);
      this.progress(begun, from);
    }
  }

  chunk() {
    const part = this.file.slice(this.received, this.received + chunkSize);
    return ask(`${api}/files/${this.fileId}?offset=${this.received}`, {
      method: "PUT",
      headers: { "Content-Type": "application/octet-stream" },
      body: part,
      signal: this.stop.signal,
    });
  }

  progress(begun, from) {
    this.bar.value = this.received;
    const seconds = (performance.now() - begun) / 1000;
    const rate = (this.received - from) / seconds;
    const left = rate > 0 && seconds > 1 ? `, ${Math.ceil((this.file.size - this.received) / rate)} s left` : "";
    this.note(`${size(this.received)} of ${size(this.file.size)}${left}`);
  }

  async finish() {
    this.note("Checking…");
    let state;
    do state = (await this.patiently(() => ask(`${api}/${this.id}/complete`, { method: "POST" }))).state;
    while (state !== "complete");
    const link = this.find("a");
    link.href = this.place();
    link.hidden = false;
    link.setAttribute("aria-label", `Map the columns of ${this.file.name}`);
    this.find("[data-stop]").hidden = true;
    this.note("Sent.");
    said.textContent = `${this.file.name} was sent.`;
  }

  place() {
    return `${page}${this.id}/${into ? `?into=${into}` : ""}`;
  }

  // Try again for about two minutes; what the server refuses is not tried again.
  async patiently(act) {
    for (let tried = 1; ; tried += 1) {
      if (this.stop.signal.aborted) throw new Stopped();
      try {
        return await act();
      } catch (error) {
        if (error instanceof Refused || error instanceof Stopped || tried >= TRIES) throw error;
        this.note("The connection is interrupted; trying again…");
        await pause(Math.min(30, 2 ** (tried - 1)));
      }
    }
  }

  async discard() {
    this.stop.abort();
    try {
      if (this.id) await ask(`${api}/${this.id}`, { method: "DELETE" });
      this.element.remove();
      section.hidden = !list.children.length;
      input.focus();
    } catch (error) {
      this.note(error instanceof Refused ? error.message : "It could not be discarded; it goes by itself later.", true);
    }
  }
}

function begunBefore(file) {
  return [...list.querySelectorAll("[data-upload]")].find(
    (row) =>
      row.dataset.state === "receiving" &&
      row.dataset.name === file.name &&
      Number(row.dataset.size) === file.size &&
      Number(row.dataset.modified) === file.lastModified,
  );
}

async function take(files) {
  const rows = [...files].map((file) => new Row(file));
  let sent = 0;
  for (const row of rows) sent += await row.run(); // one after the other: the line is shared anyway
  if (rows.length === 1 && sent === 1) location.assign(rows[0].place());
}

input.addEventListener("change", () => {
  const chosen = [...input.files];
  input.value = "";
  take(chosen);
});
zone.addEventListener("dragover", (event) => {
  event.preventDefault();
  zone.classList.add("is-over");
});
zone.addEventListener("dragleave", (event) => {
  if (!zone.contains(event.relatedTarget)) zone.classList.remove("is-over");
});
zone.addEventListener("drop", (event) => {
  event.preventDefault();
  zone.classList.remove("is-over");
  take([...event.dataTransfer.files]);
});
// A file that misses the field must not take the page's place.
for (const kind of ["dragover", "drop"]) window.addEventListener(kind, (event) => event.preventDefault());

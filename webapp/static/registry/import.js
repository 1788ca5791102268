// Sends the files of a model, or one of judgements, in parts of 8 MiB, goes on where an earlier transfer stopped, then
// submits the form with the upload's id. Without an answer a part is sent again a few times, more slowly each time.
const PART = 8 * 1024 * 1024;
const TRIES = 6;

const form = document.getElementById("import-form");
const chosen = document.getElementById("files");
const base = form.dataset.uploads;
const purpose = form.dataset.purpose || "model";
const token = form.querySelector("[name=csrfmiddlewaretoken]").value;
const held = form.querySelector("[name=upload]");
const sending = document.getElementById("sending");
const bar = document.getElementById("sent");
const text = document.getElementById("sending-text");
const refused = document.getElementById("refused");
const button = form.querySelector(".form-actions button");

class Refused extends Error {}

const pause = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds));

async function ask(method, path, body) {
  const headers = { "X-CSRFToken": token };
  if (body && !(body instanceof Blob)) {
    headers["Content-Type"] = "application/json";
    body = JSON.stringify(body);
  }
  for (let attempt = 1; ; attempt += 1) {
    let answer = null;
    try {
      answer = await fetch(base + path, { method, headers, body, credentials: "same-origin" });
    } catch (error) {
      if (attempt === TRIES) throw new Refused("The connection broke. Choose the same files again to go on.");
    }
    if (answer) {
      const content = await answer.json().catch(() => ({}));
      if (answer.ok) return content;
      const waits = answer.status >= 500 || answer.status === 429;
      if (answer.status === 409) {
        await pause(500); // another part of the file is being stored, or a part arrived whose answer was lost
        return content;
      }
      if (!waits || attempt === TRIES) throw new Refused(content.detail || "The server refused the files.");
    }
    await pause(500 * 2 ** attempt);
  }
}

const keyOf = (file) => `${file.name} ${file.size} ${file.modified ?? file.lastModified}`;

async function begun(files) {
  const wanted = files.map(keyOf).sort().join("\n");
  const known = await ask("GET", "?limit=50");
  const same = (each) => each.files.map(keyOf).sort().join("\n") === wanted;
  const earlier = (known.items || []).find((each) => each.purpose === purpose && each.state === "receiving" && same(each));
  if (earlier) return earlier;
  const announced = files.map(({ name, size, lastModified }) => ({ name, size, modified: lastModified }));
  return ask("POST", "", { purpose, files: announced });
}

async function send(files) {
  const upload = await begun(files);
  const all = files.reduce((sum, file) => sum + file.size, 0);
  let before = 0;
  for (const file of files) {
    const place = upload.files.find((each) => each.name === file.name);
    if (!place) throw new Refused(`${file.name}: a file name that the server does not take.`);
    let at = place.received;
    while (at < file.size) {
      tell(before + at, all, `Sending ${file.name}`);
      const answer = await ask("PUT", `/files/${place.id}?offset=${at}`, file.slice(at, at + PART));
      at = answer.received;
    }
    before += file.size;
  }
  tell(all, all, "Comparing what arrived");
  let state = upload.state;
  while (state !== "complete") state = (await ask("POST", `/${upload.id}/complete`)).state;
  return upload.id;
}

function tell(done, all, words) {
  sending.hidden = false;
  bar.max = all || 1;
  bar.value = done;
  text.textContent = `${words}: ${Math.floor((100 * done) / (all || 1))}%`;
}

form.addEventListener("submit", async (event) => {
  if (held.value) return;
  event.preventDefault();
  refused.hidden = true;
  button.disabled = true;
  try {
    const files = [...chosen.files];
    if (!files.length) throw new Refused(purpose === "model" ? "Choose the model's files first." : "Choose a file first.");
    held.value = await send(files);
    form.submit();
  } catch (error) {
    document.getElementById("refused-text").textContent =
      error instanceof Refused ? error.message : "Something broke while the files were sent. Try again.";
    refused.hidden = false;
    sending.hidden = true;
    button.disabled = false;
  }
});
chosen.addEventListener("change", () => {
  held.value = "";
});

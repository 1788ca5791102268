/* What the work page shows. It is told everything and decides nothing; texts are put in as text.

   new studio.work.View(root)
     item(item, answers, position)   the question, the steps, the one to judge; answers: what was said of the ones before it
     draft(draft, { open })          which buttons are pressed, what is written, whether the details are open
     phase(name, words)              loading | judging | shown | empty | down | elsewhere
     reveal(held), revealLast(held)  what was hidden until it was judged
     progress({ share, words }), line(state, words), refused(entries), closed(words), last(words), say(text), hint(text) */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const work = (studio.work = studio.work || {});
  const MARKS = { good: "Good", neutral: "Neutral", bad: "Bad", "cant-tell": "Can’t tell" };
  work.verdictWord = (verdict) => MARKS[verdict] || verdict;

  const plural = (count, one, many = `${one}s`) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
  work.plural = plural;
  const digits = (value) => value.toFixed(2);

  work.View = class {
    constructor(root) {
      this.root = root;
      this.stage = this.find("[data-stage]");
      this.standing = this.find("[data-standing]");
    }

    find(selector) {
      return this.root.querySelector(selector);
    }

    all(selector) {
      return this.root.querySelectorAll(selector);
    }

    fresh(name) {
      return this.find(`template[data-template="${name}"]`).content.firstElementChild.cloneNode(true);
    }

    say(text) {
      const place = this.find("[data-said]");
      place.textContent = place.textContent === text ? `${text}\u00a0` : text; // the same words are read out again
    }

    phase(name, { title = "", words = "" } = {}) {
      this.root.dataset.phase = name;
      const works = name === "judging" || name === "shown";
      this.stage.hidden = !works;
      this.standing.hidden = works;
      for (const each of this.standing.querySelectorAll("[data-when]")) each.hidden = each.dataset.when !== name;
      if (title) this.find("[data-standing-title]").textContent = title;
      for (const place of this.standing.querySelectorAll("[data-standing-words]")) place.textContent = words;
    }

    item(item, answers, position) {
      const asked = item.options.length ? { text: item.question, options: item.options } : split(item.question);
      this.find("[data-question]").textContent = asked.text;
      const options = this.find("[data-options]");
      options.replaceChildren(...asked.options.map((option) => this.option(option, item)));
      options.hidden = !asked.options.length;
      const inOptions = asked.options.some((option) => isGold(option, item.gold));
      this.find("[data-gold-line]").hidden = !item.gold || inOptions;
      this.find("[data-gold]").textContent = item.gold;
      const steps = this.find("[data-steps]");
      const before = [...item.prefix, ...item.steps.slice(0, position)];
      steps.replaceChildren(
        ...before.map((body, number) => this.step(body, number, answers[number - item.prefix.length])),
        this.judged(item, position, before.length),
      );
      this.find("[data-path-title]").textContent = before.length === 1 ? "How it begins" : "Steps so far";
      this.siblings(position === 0 ? item.siblings : []);
    }

    option(option, item) {
      const line = document.createElement("li");
      const letter = line.appendChild(document.createElement("strong"));
      letter.textContent = option.letter;
      line.appendChild(document.createElement("span")).textContent = option.text;
      if (isGold(option, item.gold)) {
        line.classList.add("is-gold");
        const words = line.children[1].appendChild(document.createElement("span"));
        words.className = "visually-hidden";
        words.textContent = " (the right answer)";
      }
      return line;
    }

    step(body, number, answer) {
      const line = this.fresh("step");
      line.querySelector(".work-number").textContent = number;
      line.querySelector("[data-spoken]").textContent = `Step ${number}: `;
      line.querySelector("[data-body]").textContent = body;
      if (answer?.verdict) {
        const mark = line.querySelector(".work-text").appendChild(document.createElement("span"));
        mark.className = "badge bg-secondary-lt work-mark";
        mark.textContent = `You: ${work.verdictWord(answer.verdict)}`;
      }
      return line;
    }

    judged(item, position, number) {
      const line = this.fresh("judged");
      const many = item.steps.length > 1;
      line.querySelector("[data-place]").textContent = many ? `Step ${number} · ${position + 1} of ${item.steps.length} to judge` : `Step ${number}`;
      line.querySelector("[data-body]").textContent = item.steps[position];
      return line;
    }

    siblings(texts, facts = []) {
      const place = this.find("[data-others]");
      place.hidden = !texts.length;
      this.find("[data-others-words]").textContent = `${plural(texts.length, "other step")} ${texts.length === 1 ? "was" : "were"} tried here`;
      this.find("[data-siblings]").replaceChildren(
        ...texts.map((text, place_) => {
          const line = this.fresh("sibling");
          line.querySelector("[data-body]").textContent = text;
          const value = facts[place_]?.value;
          line.querySelector("[data-value]").textContent = typeof value === "number" ? `value ${digits(value)}` : "";
          return line;
        }),
      );
    }

    /* The step in question comes into view: whole where it fits above the buttons, else from its beginning. */
    bring({ focus = true } = {}) {
      const step = this.find(".work-this");
      if (focus) step.focus({ preventScroll: true });
      window.scrollTo({ top: 0, behavior: "instant" }); // Bootstrap glides, and what glides cannot be measured
      const judge = this.find(".work-judge");
      const below = getComputedStyle(judge).bottom === "0px" ? judge.getBoundingClientRect().height : 0;
      const top = this.find(".work-bar").getBoundingClientRect().height + 8;
      const bottom = window.innerHeight - below - 12;
      const box = step.getBoundingClientRect();
      if (box.bottom > bottom) window.scrollTo({ top: Math.min(box.bottom - bottom, box.top - top), behavior: "instant" });
    }

    draft(draft, { open, locked = false, ready = false, next = "Save", undo = null } = {}) {
      for (const button of this.all(".work-verdict")) {
        button.setAttribute("aria-pressed", String(button.dataset.action === draft.verdict));
        button.disabled = locked;
      }
      for (const button of this.all("[data-kind]")) {
        button.setAttribute("aria-pressed", String(draft.errors.includes(button.dataset.kind)));
        button.disabled = locked;
      }
      for (const button of this.all("[data-severity]")) {
        button.setAttribute("aria-pressed", String(draft.severity === button.dataset.severity));
        button.disabled = locked;
      }
      for (const field of this.all("[data-text]")) {
        if (field.value !== draft[field.dataset.text]) field.value = draft[field.dataset.text];
        field.readOnly = locked;
      }
      const more = this.find("[data-more]");
      const unfolded = Boolean(open) && !locked;
      this.unfolds ||= more.hidden && unfolded;
      more.hidden = !unfolded;
      this.find(".work-judge").classList.toggle("is-open", unfolded);
      const opener = this.find("[data-more-open]");
      opener.setAttribute("aria-expanded", String(unfolded));
      opener.hidden = unfolded || locked;
      this.find("[data-hand-back]").hidden = locked;
      this.find("[data-action=next]").disabled = !ready;
      this.find("[data-next-words]").textContent = next;
      this.find("[data-action=undo]").disabled = !undo;
      this.find("[data-undo-words]").textContent = undo || "Undo";
    }

    /* Errors and severity in the words of their buttons. */
    named(draft) {
      const words = [...draft.errors, draft.severity].filter(Boolean);
      return words.map((word) => this.find(`[data-action="${word}"]`)?.dataset.words || word).join(", ");
    }

    /* The last word about a draft: what unfolded may now hide the step. */
    hint(text) {
      this.find("[data-hint]").textContent = text;
      if (this.unfolds) this.bring({ focus: false });
      this.unfolds = false;
    }

    /* What was hidden: below the step that was judged, and beside the steps around it. */
    reveal(held) {
      const { said, work: item, position } = { said: held.facts, work: held.work.content, position: held.position };
      this.facts(this.find(".work-this [data-shown]"), work.revealed(held));
      this.bring({ focus: false });
      if (position === 0) this.siblings(item.siblings, said.siblings || []);
      const lines = [...this.all("[data-steps] > li")].slice(item.prefix.length - 1, -1);
      [said.before, ...(said.steps || []).slice(0, position)].forEach((facts, place) => {
        if (lines[place] && typeof facts?.value === "number") {
          const mark = lines[place].querySelector(".work-text").appendChild(document.createElement("span"));
          mark.className = "work-value";
          mark.textContent = ` value ${digits(facts.value)}`;
        }
      });
    }

    revealLast(held) {
      this.facts(this.find("[data-last-shown]"), work.revealed(held));
      this.find("[data-last-reveal]").hidden = true;
    }

    facts(place, { title, rows }) {
      const block = this.fresh("shown");
      block.querySelector("[data-title]").textContent = title;
      const list = block.querySelector("dl");
      for (const [name, text, { meter = null, wide = false } = {}] of rows) {
        const fact = this.fresh("fact");
        fact.classList.toggle("is-wide", wide);
        fact.querySelector("dt").textContent = name;
        const value = fact.querySelector("dd");
        if (meter !== null) {
          const drawn = value.appendChild(document.createElement("meter"));
          Object.assign(drawn, { min: 0, max: 1, value: meter });
          drawn.setAttribute("aria-label", name);
          value.append(" ");
        }
        value.append(text);
        list.append(fact);
      }
      place.replaceChildren(block);
    }

    progress({ share, words }) {
      this.find("[data-progress]").value = share;
      this.find("[data-progress-words]").textContent = words;
    }

    line(name, words, why = "") {
      this.find(".work-line").dataset.line = name;
      this.find(".work-line").title = why;
      const place = this.find("[data-line-words]");
      if (place.textContent !== words) place.textContent = words;
    }

    refused(entries) {
      this.find("[data-refused]").hidden = !entries.length;
      this.find("[data-refused-list]").replaceChildren(
        ...entries.map((entry) => {
          const line = document.createElement("li");
          line.append(`${entry.title}: ${entry.refused}`);
          const said = (entry.body.answers || []).flatMap((each) => [work.verdictWord(each.verdict), each.correction, each.comment]);
          const words = said.filter(Boolean).join(" · ");
          if (words) line.appendChild(document.createElement("div")).textContent = `You said: ${words}`;
          return line;
        }),
      );
    }

    closed(words) {
      this.find("[data-closed]").hidden = !words;
      this.find("[data-closed-words]").textContent = words;
    }

    /* When somebody goes on at once: what they said last, and what was hidden of it for who asks. */
    last(words) {
      this.find("[data-last]").hidden = !words;
      this.find("[data-last-words]").textContent = words;
      this.find("[data-last-shown]").replaceChildren();
      this.find("[data-last-reveal]").hidden = false;
    }

    undoEmpty(is) {
      this.find("[data-undo-empty]").hidden = !is;
    }
  };

  /* Options that a question spells out at its end, "A. …" line by line, are shown as a list like others. */
  const split = (question) => {
    const lines = question.trimEnd().split("\n");
    const options = [];
    while (lines.length > 1) {
      const found = /^\s*([A-Z])[.)]\s+(.+)$/.exec(lines.at(-1));
      if (!found || (options.length && found[1].charCodeAt(0) !== options[0].letter.charCodeAt(0) - 1)) break;
      options.unshift({ letter: found[1], text: found[2] });
      lines.pop();
    }
    const whole = options.length > 1 && options[0].letter === "A";
    return whole ? { text: lines.join("\n").trimEnd(), options } : { text: question, options: [] };
  };

  /* The right answer is a letter, a letter with its text, or the text. */
  const isGold = (option, gold) =>
    gold === option.letter || gold === option.text || (gold.startsWith(option.letter) && /^[\s.:)]/.test(gold.slice(option.letter.length)));
})();

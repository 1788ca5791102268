/* What an item kept back, in words: for who has judged it. Pure. */
"use strict";

(() => {
  const studio = (window.studio = window.studio || {});
  const work = (studio.work = studio.work || {});

  const RULES = {
    flagged: "somebody asked for it",
    drop: "the value falls at this step",
    disagreement: "the reward model and the rollouts say different things",
    "bad-in-right": "it looks bad, yet the answer is right",
    reflection: "it takes back what was said before",
    uncertain: "the reward model does not know",
    random: "drawn by chance, to check the others by",
  };
  const share = (value) => value.toFixed(2);
  const known = (value) => typeof value === "number";

  /* { title, rows: [[name, text, { meter, wide }]] } of the step that was judged last. */
  work.revealed = (held) => {
    const { facts: said, position, answers } = held;
    const step = said.steps?.[position] || {};
    const rows = [];
    if (said.is_control) {
      const answer = said.known?.find((each) => each.position === position);
      if (answer) {
        const agrees = answer.verdict === answers[position].verdict;
        const words = `${work.verdictWord(answer.verdict)}. ${agrees ? "You say the same." : `You said ${work.verdictWord(answers[position].verdict).toLowerCase()}.`}`;
        rows.push(["A planted step; its answer is known", words, { wide: true }]);
        if (answer.comment) rows.push(["Why", answer.comment, { wide: true }]);
      }
    }
    if (known(step.value)) {
      const lost = known(step.drop) && Math.abs(step.drop) >= 0.005 ? `, ${step.drop > 0 ? "lost" : "gained"} ${share(Math.abs(step.drop))}` : "";
      rows.push(["Value by search", `${share(step.value)}${lost}`, { meter: step.value }]);
    }
    if (step.rollouts) rows.push(["Rollouts from here", `${step.right} of ${step.rollouts} right`]);
    for (const [name, score] of Object.entries(step.scores || {})) rows.push([name, share(score), { meter: score }]);
    if (typeof step.verdict === "boolean") rows.push(["The answer it states", step.verdict ? "right" : "wrong"]);
    const why = (said.rules?.length ? said.rules : [said.rule]).filter(Boolean).map((rule) => RULES[rule] || rule);
    if (why.length) rows.push(["Why you were asked", why.join("; "), { wide: true }]);
    if (said.policy) rows.push(["Written by", said.policy]);
    return { title: rows.length ? "What was hidden" : "Nothing was hidden: no machine has an opinion of this step", rows };
  };
})();

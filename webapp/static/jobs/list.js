/* Lists of jobs (a team's list, home): rows that changed are drawn anew, new jobs come on top of the newest page. */
"use strict";

(() => {
  const root = document.querySelector("[data-live-jobs]");
  if (!root) return;

  const bodies = () => root.querySelectorAll("[data-job-rows]");
  const seqs = () =>
    [...root.querySelectorAll("tr[data-job]")].map((row) => `${row.dataset.job.replaceAll("-", "")}.${row.dataset.seq}`).join(",");

  const fits = (body, row) =>
    (!body.dataset.states || body.dataset.states.split(" ").includes(row.dataset.state)) &&
    (!body.dataset.kind || body.dataset.kind === row.dataset.kind);

  const receive = (message) => {
    for (const html of message.rows || []) {
      const drawn = document.createElement("template");
      drawn.innerHTML = html;
      const row = drawn.content.querySelector("tr");
      for (const body of bodies()) {
        const present = body.querySelector(`tr[data-job="${row.dataset.job}"]`);
        if (present) {
          if (Number(present.dataset.seq) <= Number(row.dataset.seq)) present.replaceWith(row.cloneNode(true));
        } else if ("newest" in body.dataset && fits(body, row)) {
          // Ids sort by age, and so does the list.
          const most = Number(body.dataset.most || 50);
          const rows = [...body.querySelectorAll("tr[data-job]")];
          const older = rows.find((each) => each.dataset.job < row.dataset.job);
          if (!older && rows.length >= most) continue;
          body.insertBefore(row.cloneNode(true), older || null);
          if (rows.length >= most) rows.at(-1).remove();
          body.closest("[hidden]")?.removeAttribute("hidden");
          root.querySelector("[data-no-jobs]")?.remove();
          root.querySelector("#jobs > .empty")?.remove();
        }
      }
    }
    for (const [word, count] of Object.entries(message.counts || {})) {
      const place = root.querySelector(`[data-count="${word}"]`);
      if (place) place.textContent = count >= 1000 ? "1,000+" : count;
    }
  };

  studio.follow(root.dataset.liveJobs, { opening: () => `have=${seqs()}`, receive });
})();

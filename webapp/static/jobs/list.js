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
        } else if ("newest" in body.dataset && fits(body, row) && !message.old) {
          // Ids sort by age: a row that is older than the first one belongs to another page.
          const first = body.querySelector("tr[data-job]");
          if (first && row.dataset.job < first.dataset.job) continue;
          const copy = row.cloneNode(true);
          body.prepend(copy);
          const most = Number(body.dataset.most || 50);
          while (body.querySelectorAll("tr[data-job]").length > most) body.lastElementChild.remove();
          body.closest("[hidden]")?.removeAttribute("hidden");
          root.querySelector("#jobs > .empty")?.remove();
        }
      }
    }
    if (message.counts !== undefined) studio.put(root.querySelector("#counts"), message.counts);
  };

  studio.follow(root.dataset.liveJobs, { opening: () => `have=${seqs()}`, receive });
})();

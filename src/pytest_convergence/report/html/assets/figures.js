// Numbers and verdicts as people read them.

function figure(value, digits = 2) {
  if (value === null || value === undefined) return "–";
  return value.toFixed(digits).replace(/^-(0\.?0*)$/, "$1").replace("-", "−");
}

function spanned(interval) {
  return interval ? `[${figure(interval.low)}, ${figure(interval.high)}]` : "";
}

function counted(count, noun) {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}

function share(value) {
  return value === null || value === undefined ? "–" : `${Math.round(value * 100)} %`;
}

function money(dollars) {
  return dollars === null || dollars === undefined ? "–" : `$${dollars.toFixed(dollars < 1 ? 4 : 2)}`;
}

const SIGNS = { passed: "✓", failed: "✗", open: "?", reported: "·" };

// What alone makes an entry fail where what was asserted holds: the baseline, or a swap.
function failedBeside(entry) {
  const held = [undefined, null, "met", { converges: "converged", diverges: "diverged" }[entry.direction]].includes(entry.verdict);
  return held && entry.passed === false ? entry.gate?.status ?? entry.swap?.verdict : undefined;
}

function standing(entry) {
  if (failedBeside(entry)) return "failed";
  if (entry.verdict === null || entry.verdict === undefined) return "reported";
  if (["incomplete", "inconclusive", "undefined"].includes(entry.verdict)) return "open";
  return entry.passed ? "passed" : "failed";
}

function verdictWord(entry) {
  const beside = failedBeside(entry);
  if (beside) return beside;
  if (!entry.verdict) return "reported";
  const unsettled = ["converged", "diverged", "met", "missed"].includes(entry.verdict) && !entry.settled;
  return unsettled ? `${entry.verdict} (unsettled)` : entry.verdict;
}

// Never by colour alone: a sign, a word, and for readers whether it is what was asserted.
function badge(entry) {
  const state = standing(entry);
  const meant = { passed: "as asserted", failed: "not as asserted", open: "not settled, fails", reported: "nothing was asserted" };
  return h(
    "span",
    { class: `badge ${state}`, title: meant[state] },
    h("span", { "aria-hidden": "true" }, SIGNS[state]),
    verdictWord(entry),
    h("span", { class: "unseen" }, `, ${meant[state]}`),
  );
}

function asserted(entry) {
  if (entry.threshold === null || entry.threshold === undefined) return "nothing was asserted";
  const way = { converges: "at least", at_least: "at least", diverges: "below", at_most: "at most" }[entry.direction];
  return `${entry.quantity} ${way} ${figure(entry.threshold)}`;
}

function absences(missing) {
  return Object.entries(missing)
    .sort((a, b) => b[1] - a[1])
    .map(([kind, count]) => `${count} ${kind}`)
    .join(", ");
}

function shownDate(created) {
  return created.replace("T", " ").replace(/\+00:00$/, " UTC");
}

function simulatedNote(view) {
  return h("span", { class: "tag" }, view.simulated === "all" ? "simulated models" : `${counted(view.simulated, "model")} simulated`);
}

function simulatedMark(model) {
  return model.simulated ? h("span", { class: "tag" }, "simulated") : null;
}

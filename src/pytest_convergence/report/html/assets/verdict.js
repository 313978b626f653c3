// The verdict: how many of what, what changed, how it was run.

const ORDER = ["diverged", "missed", "inconclusive", "undefined", "incomplete", "converged", "met", "reported"];
const ALWAYS = ["converged", "diverged", "inconclusive", "undefined", "incomplete"];

function tiles(view) {
  const tile = (number, word, note) => h("li", { class: `tile ${number ? "" : "none"}` }, h("b", {}, number.toLocaleString("en")), h("span", {}, word), h("small", {}, note));
  const judged = ORDER.map((verdict) => {
    const { groups, cases, checks } = view.counts;
    const told = [counted(groups[verdict], "group"), counted(cases[verdict], "case")];
    if (checks[verdict]) told.push(counted(checks[verdict], "check"));
    return tile(groups[verdict] + cases[verdict] + checks[verdict], verdict, told.join(", "));
  }).filter((_, position) => ALWAYS.includes(ORDER[position]) || Object.values(view.counts).some((counts) => counts[ORDER[position]]));
  return h("ul", { class: "tiles", "aria-label": "Verdicts" }, judged, tile(view.missing, "missing", `of ${counted(view.responses, "response")}`));
}

function servedNames(models) {
  const changed = models.filter((model) => Object.keys(model.served).length);
  if (!changed.length) return null;
  return h("ul", { class: "plain" }, changed.map((model) => h("li", {}, model.name, " served as ", Object.entries(model.served).map(([name, count], position) => `${position ? ", " : ""}${name} (${count})`).join(""))));
}

function howItWasRun(view) {
  const groups = view.groups;
  const distinct = (name) => [...new Set(groups.map((group) => group[name]))].join(", ");
  const settings = view.settings;
  const decoding = Object.entries(settings.decoding ?? {}).map(([name, value]) => `${name} = ${JSON.stringify(value)}`).join(", ");
  const costs = view.models.map((model) => model.usage.cost).filter(present);
  const sampled = view.sampling?.models ? Object.values(view.sampling.models).reduce((sum, model) => sum + (model.cost ?? 0), 0) : null;
  const tokens = view.models.reduce((sum, model) => sum + (model.usage.input_tokens ?? 0) + (model.usage.output_tokens ?? 0), 0);
  return h(
    "details",
    { class: "card" },
    h("summary", {}, "How it was run"),
    terms([
      ["Command", h("code", {}, view.command)],
      ["Date", shownDate(view.created)],
      ["Models", `${view.models.map((model) => model.name).join(", ")}`],
      ["Simulated", view.simulated === "all" ? "all models are simulated" : view.simulated ? view.models.filter((model) => model.simulated).map((model) => model.name).join(", ") : "none"],
      ["Served versions", servedNames(view.models)],
      ["Decoding", decoding || "as each provider does by default"],
      ["Samples", `${distinct("samples") || settings.samples} of each model and prompt`],
      ["Metric", distinct("metric")],
      ["Embedder", groups.some((group) => group.metric === "embedding") ? settings.embedder : "none was needed"],
      ["Responses", settings.responses ? `read from ${settings.responses}` : settings.record === "none" ? "replayed from recordings; nothing was sampled" : `recorded (${settings.record})`],
      ["Confidence", settings.confidence ? `the bound at ${share(settings.confidence)} decides` : "the estimate decides; intervals are at 95 %"],
      ["Tokens", tokens ? tokens.toLocaleString("en") : null],
      ["Cost", sampled !== null ? `${money(sampled)} in this run` : costs.length ? `${money(costs.reduce((a, b) => a + b, 0))} as recorded` : "not reported"],
      ...Object.entries(view.extra).map(([name, value]) => [name, typeof value === "string" ? value : JSON.stringify(value)]),
    ]),
  );
}

function againstBaseline(view) {
  const compared = [...view.groups, ...view.checks].filter((one) => one.gate);
  const vanished = view.gate?.vanished ?? [];
  if (!compared.length && !vanished.length) return h("p", { class: "note" }, "Not compared with a baseline.");
  const moved = compared.filter((group) => group.gate.status !== "unchanged" || group.gate.models?.some((model) => model.changed));
  const told = moved.length + vanished.length ? `Against the baseline: ${moved.length + vanished.length} of ${counted(compared.length + vanished.length, "group")} changed` : `Against the baseline: ${counted(compared.length, "group")} unchanged`;
  const rows = [...moved.map(changedRow), ...vanished.map((id) => [id, "vanished", "–", "–", "–", "in the baseline, no longer collected or asked"])];
  return h(
    "div",
    { class: "card" },
    h("h3", {}, told),
    rows.length ? table("What changed", ["Group", "Decision", "Before", "After", "Difference", "Why"], rows) : null,
    moved.map(changeDetail),
  );
}

function comparedName(one) {
  return one.gate.quantity === "rate" ? `${one.name}: rate${one.gate.counted ? ` of ${one.gate.counted}` : ""}` : one.name;
}

function changedRow(group) {
  const { status, failed, before, after, difference, low, high, reason, pvalue } = group.gate;
  const apart = present(difference) ? `${difference > 0 ? "+" : ""}${figure(difference)} ${spanned({ low, high })}` : "–";
  return [comparedName(group), h("b", { class: failed ? "bad" : "" }, status), figure(before), figure(after), apart, reason ?? (present(pvalue) ? `p = ${figure(pvalue, 4)}` : "")];
}

// Which models and prompts moved, and old answers beside new ones.
function changeDetail(group) {
  const { models = [], moved = [], examples = [], notes = [] } = group.gate;
  if (!models.length && !moved.length && !examples.length) return null;
  const shift = (one) => `${figure(one.before)} → ${figure(one.after)}`;
  return h(
    "details",
    { open: group.gate.failed },
    h("summary", {}, `${comparedName(group)}: what moved`),
    notes.map((note) => h("p", {}, note)),
    models.length ? table(group.gate.quantity === "rate" ? "Models" : "Models, similarity to the others", ["Model", "Before → after", "State"], models.map((model) => [model.name, shift(model), model.changed ? "recorded anew, its answers changed" : model.redrawn ? "recorded anew" : "same recordings"])) : null,
    moved.length ? table("Prompts that moved (none is judged by itself)", ["Prompt", "Before → after"], moved.map((prompt) => [prompt.prompt_id, shift(prompt)])) : null,
    examples.map((one) => h("div", {}, h("h4", {}, `${one.model} on ${one.prompt_id}`), h("div", { class: "answers" }, oldAnswers("before", one.before, one.labels_before), oldAnswers("now", one.after, one.labels_after)))),
  );
}

function oldAnswers(when, texts, labels) {
  const cards = (texts ?? []).map((text) => h("article", { class: "answer" }, h("div", { class: "said", dir: "auto" }, text)));
  return h("section", { class: "column" }, h("h4", {}, when, labels ? h("span", { class: "faint said short" }, ` ${labels}`) : null), cards.length ? cards : h("p", { class: "faint" }, "no usable answer"));
}

function fillVerdict(view) {
  const place = document.getElementById("verdict");
  place.classList.add(view.failed ? "failed" : "passed");
  const problems = view.problems.map((problem) => h("li", {}, problem));
  place.append(
    ...[
      h("p", { class: "under" }, `${shownDate(view.created)} · ${counted(view.models.length, "model")} · ${counted(view.groups.length, "group")} · ${counted(view.cases.length, "case")} · ${counted(view.responses, "response")}`, view.simulated ? simulatedNote(view) : null),
      problems.length ? h("ul", { class: "problems" }, problems) : null,
      tiles(view),
      wrongTogether(view),
      againstBaseline(view),
      howItWasRun(view),
    ].filter(Boolean),
  );
}

// Agreement is not correctness.
function wrongTogether(view) {
  const wrong = view.cases.map((one, number) => [one, number]).filter(([one]) => one.wrong);
  if (!wrong.length) return null;
  return h(
    "div",
    { class: "warning" },
    h("p", {}, h("b", {}, `Converged and wrong: ${counted(wrong.length, "case")}. `), "The models agree, and most of their answers are known to be wrong."),
    h("p", {}, wrong.slice(0, 8).map(([one], position) => [position ? ", " : "", caseLink(one)]), wrong.length > 8 ? ` and ${wrong.length - 8} more` : ""),
  );
}

function caseLink(one) {
  return h("a", { href: `#case=${encodeURIComponent(wellFormed(one.id))}` }, one.prompt_id);
}

function wellFormed(text) {
  return text.toWellFormed ? text.toWellFormed() : text.replace(/[\ud800-\udfff]/g, "\ufffd");
}

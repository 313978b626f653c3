// What stands beside a similarity: agreement in label and in error, confounds, judges, groups.

const COMMON_LABELS = 5;

function agreementTerms(found) {
  if (!found) return [];
  const corrected = (one) => (present(one?.corrected) ? figure(one.corrected) : "undefined");
  const labels = Object.entries(found.prevalence).sort((a, b) => b[1] - a[1]);
  const more = labels.length > COMMON_LABELS ? ` and ${labels.length - COMMON_LABELS} more` : "";
  const wrong = present(found.both_wrong)
    ? `both ${figure(found.both_wrong)}, with the same wrong answer ${figure(found.same_wrong)}; agreement when both are wrong ${present(found.when_both_wrong) ? figure(found.when_both_wrong) : "never"}`
    : null;
  return [
    ["Labels", h("span", { class: "said short" }, labels.slice(0, COMMON_LABELS).map(([label, part]) => `${label} ${share(part)}`).join(", ") + more)],
    ["Agreement", `${figure(found.raw)}; corrected for chance: Conger’s κ ${corrected(found.conger)}, Fleiss’ κ ${corrected(found.fleiss)}, Gwet’s AC1 ${corrected(found.gwet_ac1)}`],
    ["Wrong", wrong],
  ];
}

// Pairs of models on questions with known answers, those that are wrong alike most often first.
function mistakes(found) {
  const pairs = Object.entries(found?.overlap ?? {}).filter(([, one]) => one.questions);
  if (!pairs.length) return null;
  pairs.sort((a, b) => b[1].same_wrong - a[1].same_wrong || compare(a[0], b[0]));
  const rows = pairs.map(([pair, one]) => [pair, figure(one.both_right), figure(one.same_wrong), figure(one.different_wrong), figure(one.when_both_wrong), String(one.questions)]);
  const body = h("div", {});
  return h("details", { on: { toggle: () => body.childElementCount || body.append(table("Right and wrong together, by pair", ["Pair", "Both right", "Same wrong answer", "Different ones", "Same when both wrong", "Questions"], rows)) } }, h("summary", {}, "Mistakes by pair of models"), body);
}

function confoundTerm(found) {
  if (!found) return null;
  const format = present(found.format) ? `, format ${share(found.format)}` : "";
  return `of the differences in similarity within prompts, length explains ${share(found.length)}${format}, both ${share(found.together)}`;
}

function settlementTerm(entry) {
  const found = entry.settlement;
  if (!found || (entry.settled && entry.passed)) return null;
  const ways = [present(found.more_families) ? `${found.more_families} more prompts like these` : null, present(found.samples) ? `${found.samples} samples a prompt` : null].filter(Boolean);
  return `smallest detectable difference ${figure(found.smallest_difference, 3)}; to settle it: ${ways.join(" or ") || "no number of prompts or samples: it lies on the threshold"}`;
}

function judgesTables(found) {
  if (!found) return null;
  const said = Object.entries(found.shares).map(([judge, shares]) => [judge, h("span", { class: "said short" }, Object.entries(shares).map(([label, part]) => `${label} ${share(part)}`).join(", ") || "nothing"), String(found.failed[judge] ?? 0)]);
  const pairs = Object.entries(found.pairs).sort((a, b) => (a[1] ?? 2) - (b[1] ?? 2)).map(([pair, agreed]) => [pair, figure(agreed), String(found.common[pair] ?? 0)]);
  return [table("What each judge says", ["Judge", "Labels", "Failed"], said), pairs.length ? table("Agreement of judges, least first", ["Judges", "Agreement", "Answers both judged"], pairs) : null];
}

// A vote of each judge, where several gave the label.
function votesLine(votes) {
  const told = Object.entries(votes ?? {});
  if (!told.length) return null;
  return h("span", { class: "faint said short" }, `votes: ${told.map(([judge, label]) => `${judge} ${label ?? "failed"}`).join(", ")}`);
}

// Under .6 a group is not to be believed, above .85 it is stable (Hennig 2007).
function stabilityWord(value) {
  if (!present(value)) return "–";
  return `${figure(value)} ${value < 0.6 ? "(not to be believed)" : value > 0.85 ? "(stable)" : "(doubtful)"}`;
}

function checkDetail(check) {
  const groups = check.found?.groups;
  const rates = Object.entries(check.rates ?? {});
  return [
    groups ? table("Groups of models that go together", ["Models", "Mean similarity", "Stability"], groups.map((group) => [group.members.join(", "), figure(group.cohesion), stabilityWord(group.stability)])) : null,
    rates.length ? table("Rate of each model", ["Model", "Rate [interval]", "Prompts", "Verdict"], rates.map(([model, one]) => [model, `${figure(one.rate)} ${spanned(one.interval)}`, String(one.prompts), check.verdicts?.[model] ?? "reported"])) : null,
    judgesTables(check.judges),
    settlementTerm(check) ? h("p", {}, settlementTerm(check)) : null,
  ].flat().filter(Boolean);
}

// Responses: folded where they are the same, gathered into clusters, set against one another.

const PALETTE = 8;
const SHOWN = 4000;
// Where more of a long text than this is different, marking it says nothing.
const MOSTLY = 0.75;
const LONG = 200;
const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

// Every response with its model, its sample and the cluster it falls into.
function allAnswers(texts) {
  const answers = texts.responses.flatMap(({ model, said }, place) =>
    said.map((one, sample) => ({ ...one, model, place, sample, point: texts.places?.[model]?.[sample] ?? null })),
  );
  const key = clusterKey(answers);
  for (const answer of answers) answer.cluster = answer.missing ? null : key(answer);
  const sizes = new Map();
  for (const { cluster } of answers) if (cluster !== null) sizes.set(cluster, (sizes.get(cluster) ?? 0) + 1);
  const ranked = [...sizes.keys()].sort((a, b) => sizes.get(b) - sizes.get(a) || compare(a, b));
  return { answers, clusters: ranked.map((cluster, rank) => ({ cluster, rank, size: sizes.get(cluster) })) };
}

// By label where a labeller spoke, else by place among the vectors, else by the text itself.
function clusterKey(answers) {
  if (answers.some((answer) => present(answer.label))) return (answer) => answer.label ?? null;
  if (answers.some((answer) => answer.point)) return (answer) => (answer.point ? `like ${answer.point[2]}` : null);
  return (answer) => answer.text;
}

function clusterName(told, cluster) {
  const found = told.clusters.find((one) => one.cluster === cluster);
  return found ? (LETTERS[found.rank] ?? String(found.rank + 1)) : "–";
}

function clusterColour(told, cluster) {
  const found = told.clusters.find((one) => one.cluster === cluster);
  return found && found.rank < PALETTE ? `var(--cluster-${found.rank})` : "var(--faint)";
}

// The same text once, with who said it how often.
function folded(answers) {
  const byText = new Map();
  for (const answer of answers) {
    const key = JSON.stringify([answer.missing?.kind ?? "", answer.missing?.reason ?? "", answer.label ?? "", answer.text]);
    if (!byText.has(key)) byText.set(key, []);
    byText.get(key).push(answer);
  }
  return [...byText.values()].sort((a, b) => b.length - a.length);
}

function textNode(text, full) {
  return full || text.length <= SHOWN ? text : `${text.slice(0, SHOWN)}…`;
}

// A text, its words that the reference lacks marked, and those it lacks struck through.
function compared(text, reference) {
  if (reference === null || reference === text) return [text];
  const parts = vendor.diffWordsWithSpace(reference, text, { timeout: 40, maxEditLength: 1000 });
  const length = (kept) => parts.filter(kept).reduce((sum, part) => sum + part.value.length, 0);
  if (!parts || (text.length > LONG && length((part) => part.added) > MOSTLY * text.length)) return [text, h("p", { class: "faint small other" }, "Next to nothing in common with the marked answer.")];
  return parts.map((part) => (part.added ? h("ins", {}, part.value) : part.removed ? h("del", {}, part.value) : part.value));
}

function answerText(answer, reference) {
  const place = h("div", { class: "said", dir: "auto" });
  const fill = (full) => {
    const told = reference === null ? null : textNode(reference, false);
    place.replaceChildren(...(full ? [answer.text] : compared(textNode(answer.text, false), told)));
  };
  fill(false);
  if (answer.text.length <= SHOWN) return place;
  const more = h("button", { type: "button", class: "quiet", on: { click: () => { fill(true); more.remove(); } } }, `Show all ${answer.text.length.toLocaleString("en")} characters`);
  return [place, more];
}

function whoSaid(answers, byCluster) {
  const counts = new Map();
  for (const answer of answers) {
    const samples = counts.get(answer.model) ?? [];
    samples.push(answer.sample + 1);
    counts.set(answer.model, samples);
  }
  if (!byCluster) {
    const [samples] = counts.values();
    return samples.length > 1 ? `× ${samples.length}, samples ${samples.join(", ")}` : `sample ${samples[0]}`;
  }
  return [...counts].map(([model, samples]) => `${model}${samples.length > 1 ? ` × ${samples.length}` : ""}`).join(", ");
}

function answerCard(told, answers, reference, byCluster) {
  const [answer] = answers;
  const card = h(
    "article",
    { class: `answer ${answer.missing ? "lacking" : ""}` },
    h(
      "header",
      {},
      answer.cluster === null ? null : h("span", { class: "cluster", title: "cluster" }, clusterName(told, answer.cluster)),
      h("span", { class: "faint" }, whoSaid(answers, byCluster)),
      reference !== null && answer.text === reference && !answer.missing ? h("span", { class: "tag" }, "compared with this") : null,
    ),
    answer.missing ? h("p", { class: "absent" }, h("b", {}, `missing: ${answer.missing.kind}`), h("span", { class: "said short" }, answer.missing.reason)) : null,
    answer.text ? answerText(answer, answer.missing ? null : reference) : h("p", { class: "faint" }, "no text"),
    labelLine(answer),
  );
  card.style.setProperty("--cluster", clusterColour(told, answer.cluster));
  return card;
}

function labelLine(answer) {
  const votes = votesLine(answer.votes);
  if (!present(answer.label) && !answer.why && !present(answer.correct) && !votes) return null;
  const right = present(answer.correct) ? h("b", { class: answer.correct ? "good" : "bad" }, answer.correct ? "✓ right " : "✗ wrong ") : null;
  return h("footer", {}, right, present(answer.label) ? ["label ", h("b", { class: "said short" }, answer.label), " "] : null, answer.why ? h("span", { class: "faint said short" }, answer.why) : null, votes);
}

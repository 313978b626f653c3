// One case: every model's responses side by side, how they lie to each other, labels and why.

function casePanel(view, number, place) {
  const one = view.cases[number];
  place.append(h("p", { class: "faint", role: "status" }, "Opening…"));
  unpackCase(number).then(
    (texts) => place.replaceChildren(...caseBody(view, one, texts)),
    () => place.replaceChildren(h("p", { class: "bad" }, "This browser cannot unpack the responses (it lacks DecompressionStream).")),
  );
}

function caseBody(view, one, texts) {
  const told = allAnswers(texts);
  const facts = [
    `${asserted(one)}`,
    one.metric && `metric ${one.metric}`,
    present(one.within) && `within ${figure(one.within)}`,
    one.reason,
  ].filter(Boolean);
  return [
    h("h3", {}, "Prompt"),
    h("div", { class: "said prompt", dir: "auto" }, texts.prompt),
    one.verdict ? h("p", {}, badge(one), " ", facts.join(" · ")) : null,
    one.wrong ? h("p", { class: "warning" }, "The models agree, and most of their answers are known to be wrong.") : null,
    clusterList(told),
    h("div", { class: "beside even" }, responseMap(told, texts), caseMatrix(texts)),
    answersView(told, texts, new Set(view.models.filter((model) => model.simulated).map((model) => model.name))),
    h("p", { class: "faint small" }, h("code", {}, one.id)),
  ].filter(Boolean);
}

function clusterList(told) {
  const { clusters } = told;
  if (!clusters.length) return null;
  const byLabel = told.answers.some((answer) => present(answer.label));
  const byPoint = !byLabel && told.answers.some((answer) => answer.point);
  const heading = byLabel ? "Labels" : byPoint ? "Clusters of responses alike" : "Distinct responses";
  if (!byLabel && !byPoint && clusters.length > 12) return h("p", {}, `${counted(clusters.length, "distinct response")}.`);
  return h(
    "ul",
    { class: "legend clusters", "aria-label": heading },
    clusters.slice(0, 12).map(({ cluster, size }) => {
      const item = h("li", {}, h("span", { class: "cluster" }, clusterName(told, cluster)), byLabel ? h("b", { class: "said short" }, cluster) : "", ` ${counted(size, "response")}`);
      item.style.setProperty("--cluster", clusterColour(told, cluster));
      return item;
    }),
    clusters.length > 12 ? h("li", {}, `and ${clusters.length - 12} more`) : null,
  );
}

// Responses that lie on one spot are one dot, as large as they are many.
function spots(placed) {
  const bySpot = new Map();
  for (const answer of placed) {
    const key = `${answer.point[0]} ${answer.point[1]}`;
    if (!bySpot.has(key)) bySpot.set(key, []);
    bySpot.get(key).push(answer);
  }
  return [...bySpot.values()].map((answers) => {
    const models = [...new Set(answers.map((answer) => answer.place + 1))];
    const label = models.length > 4 ? `${models.slice(0, 3).join(",")}…` : models.join(",");
    return { x: answers[0].point[0], y: answers[0].point[1], answers, label, size: 7 + 1.6 * Math.sqrt(answers.length) };
  });
}

// Both directions to one scale: a map that stretched one of them would lie about distances.
function square(dots) {
  const span = (values) => [Math.min(...values), Math.max(...values)];
  const [x, y] = [span(dots.map((dot) => dot.x)), span(dots.map((dot) => dot.y))];
  const half = Math.max(x[1] - x[0], y[1] - y[0], 0.02) / 2;
  const around = ([low, high]) => [(low + high) / 2 - half, (low + high) / 2 + half];
  return { x: around(x), y: around(y) };
}

function spotTold(dot) {
  const [answer] = dot.answers;
  const said = [...new Set(dot.answers.map((one) => `${one.model} #${one.sample + 1}`))];
  const text = answer.text.length > 90 ? `${answer.text.slice(0, 90)}…` : answer.text;
  return `${said.slice(0, 4).join(", ")}${said.length > 4 ? ` and ${said.length - 4} more` : ""}\n${text}`;
}

function responseMap(told, texts) {
  const placed = told.answers.filter((answer) => answer.point);
  if (placed.length < 3) return null;
  const dots = spots(placed);
  const domain = square(dots);
  const drawing = chart(`Map of ${counted(placed.length, "response")}: close together means alike; the responses themselves stand below`, (width) => {
    const side = Math.min(width, 340);
    return plotted({
      width: side,
      height: side,
      margin: 22,
      x: { axis: null, domain: domain.x },
      y: { axis: null, domain: domain.y },
      r: { type: "identity" },
      marks: [
        vendor.dot(dots, { x: "x", y: "y", r: "size", fill: (dot) => clusterColour(told, dot.answers[0].cluster), fillOpacity: 0.85, stroke: "var(--surface)" }),
        vendor.text(dots.filter((dot) => dot.label.length < 3), { x: "x", y: "y", text: "label", fill: "var(--on-cluster)", fontSize: 10, fontWeight: "bold" }),
        vendor.text(dots.filter((dot) => dot.label.length > 2), { x: "x", y: "y", text: "label", fill: INK, fontSize: 10, textAnchor: "start", dx: 16 }),
        vendor.tip(dots, vendor.pointer({ x: "x", y: "y", title: spotTold, lineWidth: 26, fill: "var(--raised)", stroke: "var(--line)" })),
      ],
    });
  });
  return h(
    "figure",
    {},
    h("figcaption", {}, "Map of the responses"),
    drawing,
    h("p", { class: "faint small" }, "Two main directions of the responses' vectors, to one scale; close together means alike. Numbers are the models'", texts.pairs ? "." : `: ${texts.responses.map(({ model }, place) => `${place + 1} ${model}`).join(" · ")}`),
  );
}

function caseMatrix(texts) {
  const models = texts.present;
  if (!models || !texts.pairs || models.length < 2) return null;
  const group = { present: models, pairs: { similarity: texts.pairs } };
  const order = models.map((_, place) => place);
  return h(
    "figure",
    {},
    h("figcaption", {}, "Similarity of pairs; on the diagonal a model with itself"),
    chart("Similarity of pairs of models on this prompt; the table below has its numbers", heatMap(group, order, "similarity", [], null), { class: "chart heat" }),
    h("details", {}, h("summary", {}, "The same as a table"), table("Similarity of pairs", ["Model", ...models], models.map((model, row) => [model, ...texts.pairs[row].map((value) => figure(value))]))),
  );
}

function answersView(told, texts, simulated) {
  const folds = folded(told.answers.filter((answer) => !answer.missing));
  let reference = folds.length > 1 ? 0 : null;
  let by = "model";
  let removed = false;
  const grid = h("div", { class: "answers" });
  const draw = () => {
    const text = reference === null ? null : folds[reference][0].text;
    grid.classList.toggle("without-removed", !removed);
    fillGradually(grid, by === "model" ? byModel(told, texts, text, simulated) : byCluster(told, text));
  };
  draw();
  const shorten = (text) => text.replace(/\s+/g, " ").slice(0, 50);
  const references = [["", "nothing"], ...folds.map((fold, number) => [number, `${number || fold.length === 1 ? "" : "the commonest: "}${fold[0].model} #${fold[0].sample + 1}${fold.length > 1 ? ` (× ${fold.length})` : ""}: ${shorten(fold[0].text)}`])];
  const strike = h("input", { type: "checkbox", on: { change: () => { removed = strike.checked; draw(); } } });
  return h(
    "section",
    { "aria-label": "Responses" },
    h(
      "div",
      { class: "controls" },
      choice("Side by side", [["model", "by model"], ["cluster", "by cluster"]], by, (value) => { by = value; draw(); }),
      folds.length > 1 ? choice("Mark differences from", references, reference ?? "", (value) => { reference = value === "" ? null : Number(value); draw(); }) : null,
      folds.length > 1 ? h("label", { class: "choice" }, strike, h("span", {}, "and words left out")) : null,
    ),
    grid,
  );
}

function byModel(told, texts, reference, simulated) {
  return texts.responses.map(({ model }, place) => () => {
    const own = told.answers.filter((answer) => answer.place === place);
    return column([h("span", { class: "faint" }, `${place + 1} `), model, simulatedMark({ simulated: simulated.has(model) })], folded(own).map((fold) => answerCard(told, fold, reference, false)));
  });
}

function byCluster(told, reference) {
  const columns = told.clusters.map(({ cluster, size }) => () => {
    const own = told.answers.filter((answer) => answer.cluster === cluster);
    return column([`${clusterName(told, cluster)} `, h("span", { class: "faint" }, counted(size, "response"))], folded(own).map((fold) => answerCard(told, fold, reference, true)));
  });
  const lacking = told.answers.filter((answer) => answer.cluster === null);
  return lacking.length ? [...columns, () => column(["Missing"], folded(lacking).map((fold) => answerCard(told, fold, null, true)))] : columns;
}

function column(heading, cards) {
  return h("section", { class: "column" }, h("h4", {}, heading), cards);
}

// The page, from top to bottom.

async function start() {
  document.getElementById("theme").append(themeSwitch());
  const view = await unpack("overview");
  fillVerdict(view);
  const main = document.getElementById("main");
  const sections = [groupsSection, checksSection, panelSection, modelsSection, casesSection, trendSection];
  for (const make of sections) {
    const made = make(view);
    if (!made) continue;
    // Whoever scrolls past the verdict, or prints one page, still reads it.
    if (view.simulated) made.querySelector("h2").append(simulatedNote(view));
    main.append(made);
  }
  const links = [...document.querySelectorAll("main > section")].map((part) => h("a", { href: `#${part.id}` }, part.id === "verdict" ? "Verdict" : part.querySelector("h2").firstChild.textContent));
  document.getElementById("sections").append(...links);
  document.documentElement.dataset.ready = "yes";
  performance.mark("ready");
}

// On paper nothing can be unfolded: how it was run belongs to what it found.
addEventListener("beforeprint", () => {
  for (const folded of document.querySelectorAll("#verdict details")) folded.open = true;
});

start().catch((problem) => {
  const told = typeof DecompressionStream === "undefined" ? "This browser is too old for this page: it lacks DecompressionStream." : `The page could not be built: ${problem.message}`;
  document.getElementById("main").append(h("p", { class: "bad", role: "alert" }, told));
});

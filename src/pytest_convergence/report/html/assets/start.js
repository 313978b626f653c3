// The page, from top to bottom.

async function start() {
  document.getElementById("theme").append(themeSwitch());
  const view = await unpack("overview");
  fillVerdict(view);
  const main = document.getElementById("main");
  const sections = [groupsSection, checksSection, panelSection, modelsSection, casesSection, trendSection];
  for (const make of sections) {
    const made = make(view);
    if (made) main.append(made);
  }
  const links = [...document.querySelectorAll("main > section")].map((part) => h("a", { href: `#${part.id}` }, part.id === "verdict" ? "Verdict" : part.querySelector("h2").textContent));
  document.getElementById("sections").append(...links);
  document.documentElement.dataset.ready = "yes";
  performance.mark("ready");
}

start().catch((problem) => {
  const told = typeof DecompressionStream === "undefined" ? "This browser is too old for this page: it lacks DecompressionStream." : `The page could not be built: ${problem.message}`;
  document.getElementById("main").append(h("p", { class: "bad", role: "alert" }, told));
});

// What people do, and how the page begins.

for (const [name, chart] of Object.entries(charts)) {
  listen(chart, {
    zoomed(isStep) {
      state[name] = formatView(chart);
      showReset();
      if (isStep) writeAddress(true);
      else writeAddressSoon();
    },
    picked(node) {
      const key = chart.tree.key[node];
      if (node && state.view === "graph" && made.keys[key].kind !== "process") change(nameKey(key));
      say(chart, node);
    },
    opened(node) {
      const key = chart.tree.key[node];
      if (!NO_FUNCTIONS.has(made.keys[key].kind))
        change({ ...nameKey(key), view: "sandwich" }, true);
    },
    pointed: (node, event) => point(chart, node, event),
    moved: (node) => say(chart, node),
  });
}

function reset() {
  for (const chart of shown()) {
    const { left, right } = chart.whole();
    chart.look(left, right);
  }
  change({}, true);
}

function openSandwich() {
  const chart = Object.values(charts).find((each) => each.canvas === document.activeElement);
  const key = chart && chart.cursor > 0 ? chart.tree.key[chart.cursor] : made.selected;
  const isFunction = key >= 0 && !NO_FUNCTIONS.has(made.keys[key].kind);
  change({ ...(isFunction ? nameKey(key) : {}), view: "sandwich" }, true);
}

async function copyName() {
  if (made.selected < 0) return;
  await copy(made.keys[made.selected].label);
  find("said").textContent = "copied";
  find("copy").textContent = "Copied";
  setTimeout(() => {
    find("copy").textContent = "Copy name";
  }, 1200);
}

function onClick(id, act) {
  find(id).addEventListener("click", act);
}

function listenToControls() {
  for (const [id, name] of [
    ["views", "view"],
    ["orders", "order"],
    ["panels", "panel"],
    ["weighings", "weighing"],
  ]) {
    find(id).addEventListener("click", (event) => {
      const { value } = event.target.dataset;
      if (value) change({ [name]: value }, true);
    });
  }
  find("panels").addEventListener("keydown", (event) => {
    if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
    change({ panel: state.panel === "run" ? "functions" : "run" }, true);
    find(`tab-${state.panel}`).focus();
  });
  for (const name of ["kernel", "modules", "offsets", "collapse"]) {
    find(name).addEventListener("change", (event) =>
      change({ [name]: event.target.checked }, true),
    );
  }
  find("group").addEventListener("change", (event) => change({ group: event.target.value }, true));
  for (const name of ["search", "filter"]) {
    find(name).addEventListener("input", (event) => {
      show({ ...state, [name]: event.target.value });
      writeAddressSoon();
    });
    find(name).addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      event.preventDefault();
      change({ [name]: "" });
      event.target.blur();
    });
  }
  onClick("reset", reset);
  onClick("open", openSandwich);
  onClick("copy", copyName);
  onClick("theme", switchTheme);
  onClick("help", () => find("keys").showModal());
  onClick("close-keys", () => find("keys").close());
  onClick("quality", () => change({ panel: "run" }, true));
  onClick("download-folded", () => download("profile.folded", "text/plain", makeFolded(profile)));
  onClick("download-speedscope", () =>
    download("speedscope.json", "application/json", makeSpeedscope(profile)),
  );
  find("downloads").addEventListener("click", (event) => {
    if (event.target.tagName === "BUTTON") find("downloads").open = false;
  });
  document.addEventListener("click", (event) => {
    if (!find("downloads").contains(event.target)) find("downloads").open = false;
  });
}

const ORDER_KEYS = { 1: "flame", 2: "icicle", 3: "heavy" };
const PAGE_KEYS = {
  "/": () => find("search").focus(),
  f: () => {
    change({ panel: "functions" });
    find("filter").focus();
  },
  g: () => change({ view: "graph" }, true),
  s: openSandwich,
  c: copyName,
  k: () => {
    if (!find("kernel").closest("label").hidden) change({ kernel: !state.kernel }, true);
  },
  t: switchTheme,
  0: reset,
  Escape: reset,
  "?": () => find("keys").showModal(),
};

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || find("keys").open) return;
  if (event.target.matches("input[type=search], select")) return;
  const order = ORDER_KEYS[event.key];
  const act = order ? () => change({ view: "graph", order }, true) : PAGE_KEYS[event.key];
  if (!act) return;
  event.preventDefault();
  act();
});

// On paper the page is light, and the graph as high as it is deep.
const MOST_PRINTED_PX = 3000;
let unprinted = null;

addEventListener("beforeprint", () => {
  unprinted = document.documentElement.dataset.theme;
  setTheme("light");
  table.printed = true;
  table.draw();
  for (const chart of shown()) {
    const depth = chart.tree.rows.length - chart.hidden;
    chart.element.style.height = `${Math.min(depth * ROW_PX, MOST_PRINTED_PX)}px`;
    chart.resize();
    chart.draw();
  }
});
addEventListener("afterprint", () => {
  table.printed = false;
  for (const chart of Object.values(charts)) chart.element.style.height = "";
  setTheme(unprinted);
  table.draw();
});

followTheme();
document.documentElement.classList.add("has-scripts");
restore();
showRun();
listenToControls();
addEventListener("popstate", restore);

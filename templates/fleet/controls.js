// What people do, and how the page begins.

function listenToControls() {
  for (const name of ["filter", "functions", "search"]) {
    find(name).addEventListener("input", (event) => {
      show({ ...state, [name]: event.target.value });
      writeAddressSoon();
    });
    find(name).addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      event.preventDefault();
      change({ [name]: "" });
      event.target.blur();
    });
  }
  find("status").addEventListener("change", (event) => change({ status: event.target.value }, true));
  find("differs").addEventListener("change", (event) =>
    change({ differs: event.target.checked }, true),
  );
  find("theme").addEventListener("click", switchTheme);
  find("reset").addEventListener("click", resetZoom);
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key !== "/" || event.target.matches("input[type=search], select")) return;
    event.preventDefault();
    find("filter").focus();
  });
}

function listenToGraph(chart) {
  listen(chart, {
    zoomed(isStep) {
      state.zoom = formatView(chart);
      showReset();
      if (isStep) writeAddress(true);
      else writeAddressSoon();
    },
    picked: (node) => say(chart, node),
    opened() {},
    pointed: (node, event) => point(chart, node, event),
    moved: (node) => say(chart, node),
  });
  chart.canvas.addEventListener("keydown", (event) => {
    if (event.key === "Escape" || event.key === "0") resetZoom();
  });
  // The page scrolls over a graph that nobody has turned to.
  const isAlone = (event) => document.activeElement !== chart.canvas && !event.ctrlKey;
  chart.element.addEventListener(
    "wheel",
    (event) => {
      if (isAlone(event)) event.stopPropagation();
    },
    { capture: true },
  );
}

function resetZoom() {
  const { left, right } = charts.zoom.whole();
  charts.zoom.look(left, right);
  change({ zoom: "" }, true);
}

function offerStatuses() {
  const counts = new Map();
  for (const { status } of hosts) counts.set(status, (counts.get(status) ?? 0) + 1);
  find("status").replaceChildren(
    make("option", { value: "" }, "any status"),
    ...[...counts].map(([status, many]) =>
      make("option", { value: status }, `${status} (${number(many)})`),
    ),
  );
}

// On paper the page is light.
let unprinted = null;
addEventListener("beforeprint", () => {
  unprinted = document.documentElement.dataset.theme;
  setTheme("light");
  charts.zoom?.draw();
});
addEventListener("afterprint", () => setTheme(unprinted));

// The graph is as high as it is deep.
const FEWEST_ROWS = 8;
const HIGHEST_PX = 480;

followTheme();
document.documentElement.classList.add("has-scripts");
offerStatuses();
// What there is nothing of is not shown.
find("groups").hidden = !fleet.groups.length;
find("merged").hidden = !profile;
find("hottest").hidden = !hottest.length;
if (profile) {
  const depth = Math.max(made.tree.rows.length, FEWEST_ROWS);
  charts.zoom.element.style.height = `${Math.min(depth * ROW_PX, HIGHEST_PX)}px`;
  charts.zoom.show(made.tree, made.keys, true);
  listenToGraph(charts.zoom);
}
showOutliers(hosts);
restore();
listenToControls();
addEventListener("popstate", restore);

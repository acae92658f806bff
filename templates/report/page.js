// The page: one state, which says what is to be seen, and everything that follows from it.

const find = (id) => document.getElementById(id);
const ORDER_KEYS = { 1: "flame", 2: "icicle", 3: "heavy" };
const GROUP_NAMES = { name: "by name", process: "by process", thread: "by thread", host: "by host", none: "together" };
const SETTLE_MS = 250; // until a view that moves is put into the address

const profile = loadProfile();
profile.roots = rootsOf(profile);
const groups = groupsOf(profile);
let state = null;
let made = {}; // keys, tree and figures of the state
let settling = 0;

const graph = new Chart(document.querySelector("#graph .chart"));
const callers = new Chart(find("callers"), { rising: true, hideRoot: true });
const callees = new Chart(find("callees"), { hideRoot: true });
const charts = { zoom: graph, callers, callees };
const table = new FunctionTable(document.querySelector(".table"), {
  chosen: (key) => change(nameKey(key)),
  opened: (key) => change({ ...nameKey(key), view: "sandwich" }, true),
  sorted: (sort) => change({ sort, up: sort === state.sort && !state.up }),
});

// ---- state

function change(changes, isStep = false) {
  show({ ...state, ...changes });
  writeAddress(isStep);
}

function writeAddress(isStep) {
  clearTimeout(settling);
  const hash = formatState(state);
  if (hash === (location.hash || "#")) return;
  history[isStep ? "pushState" : "replaceState"](null, "", hash);
}

// For what changes many times a second: browsers limit how often an address does.
function writeAddressSoon() {
  clearTimeout(settling);
  settling = setTimeout(() => writeAddress(false), SETTLE_MS);
}

function restore() {
  clearTimeout(settling);
  show(parseState(location.hash, groups), true);
}

function nameKey(key) {
  const { name, kind, label } = made.keys[key];
  return { name, kind, label: label === name ? "" : label };
}

function findKey({ name, kind, label }) {
  if (!kind) return -1;
  const exact = made.keys.findIndex((key) => key.name === name && key.kind === kind && (!label || key.label === label));
  return exact >= 0 || !label ? exact : findKey({ name, kind, label: "" });
}

// Brings the page from the state that it shows to the next. `isRestored`: zooms are as the state
// says; else they are kept where the tree stays, and followed by name where it changes.
function show(next, isRestored = false) {
  const before = state ?? {};
  state = next;
  const differs = (...names) => names.some((name) => before[name] !== state[name]);
  const isNewTree = differs("kernel", "modules", "offsets", "collapse", "group");
  const wasHeavy = before.order === "heavy";
  const isNewOrder = isNewTree || wasHeavy !== (state.order === "heavy");
  if (isNewTree) growAll();
  if (isNewOrder || differs("order")) showGraph(isNewOrder, isRestored);
  if (isNewTree || differs("search")) search();
  made.selected = findKey(state);
  if (state.view === "sandwich" && made.selected < 0 && made.heaviest >= 0) {
    Object.assign(state, nameKey(made.heaviest));
    made.selected = made.heaviest;
  }
  find("graph").hidden = state.view !== "graph";
  find("sandwich").hidden = state.view !== "sandwich";
  showSandwich(isNewTree);
  if (isRestored) zoomAsTold();
  if (isNewTree) table.show(made, made.tree.total[0] || 1);
  if (isNewTree || differs("sort", "up", "filter")) arrange();
  table.mark(made.matches, made.selected);
  for (const chart of shown()) chart.mark(made.matches, made.selected);
  for (const [name, chart] of Object.entries(charts)) if (chart.tree) state[name] = formatView(chart);
  showControls();
  showChosen();
}

function shown() {
  return state.view === "graph" ? [graph] : [callers, callees].filter((chart) => chart.tree);
}

// ---- what is made of a state

function growAll() {
  const { keys, keyOf } = makeKeys(profile, state);
  const grown = growTree(profile, keys, keyOf, state);
  const tree = layOut(grown, state.order === "heavy");
  made = { keys, tree, isHeavy: state.order === "heavy", ...weighKeys(tree, keys) };
  made.heaviest = keys.reduce((best, { kind }, key) =>
    (!NO_FUNCTIONS.has(kind) && made.total[key] && (best < 0 || made.own[key] > made.own[best]) ? key : best), -1);
}

function showGraph(isNewTree, isRestored) {
  const isHeavy = state.order === "heavy";
  if (isHeavy !== made.isHeavy) {
    made.tree = layOut(made.tree, isHeavy);
    made.isHeavy = isHeavy;
  }
  const { view } = graph;
  const path = !isRestored && graph.tree && isNewTree && graph.isZoomed() ? zoomedPath() : null;
  graph.show(made.tree, made.keys, state.order === "flame");
  if (path) follow(path);
  else if (!isRestored && !isNewTree) graph.look(view.left, view.right);
}

// The names on the way to what the graph is zoomed to, and the way by the same names elsewhere.
function zoomedPath() {
  const { tree, view } = graph;
  const end = (node) => tree.start[node] + tree.total[node];
  const path = [];
  for (let node = 0; node >= 0; ) {
    if (node) path.push(graph.keys[tree.key[node]]);
    if (tree.start[node] >= view.left && end(node) <= view.right) break;
    node = childWhere(tree, node, (child) => tree.start[child] <= view.left && end(child) >= view.right);
  }
  return path;
}

function follow(path) {
  const { tree, keys } = made;
  let node = 0;
  for (const { name, kind } of path) {
    const next = childWhere(tree, node, (child) => keys[tree.key[child]].name === name && keys[tree.key[child]].kind === kind);
    if (next < 0) break;
    node = next;
  }
  graph.lookAt(node);
}

function childWhere(tree, node, wanted) {
  for (let child = node + 1; child < tree.end[node]; child = tree.end[child]) if (wanted(child)) return child;
  return -1;
}

function showSandwich(isNewTree) {
  if (state.view !== "sandwich" || made.selected < 0) return;
  if (made.sandwich === made.selected && !isNewTree) return;
  made.sandwich = made.selected;
  callers.show(layOut(growCallers(made.tree, made.selected), true), made.keys);
  callees.show(layOut(growCallees(made.tree, made.selected), true), made.keys);
}

function zoomAsTold() {
  for (const [name, chart] of Object.entries(charts)) {
    if (!chart.tree) continue;
    const view = parseView(state[name]) ?? chart.whole();
    chart.look(view.left, view.right);
  }
}

function search() {
  made.matches = null;
  const field = find("search");
  const told = find("matched");
  let pattern;
  try {
    pattern = state.search ? new RegExp(state.search) : null;
  } catch (error) {
    told.textContent = error.message.replace(/^.*: /s, ""); // the pattern stands beside it
    told.className = "bad";
    field.setAttribute("aria-invalid", "true");
    return;
  }
  told.className = "";
  field.removeAttribute("aria-invalid");
  told.textContent = "";
  if (!pattern) return;
  made.matches = Uint8Array.from(made.keys, ({ label }) => Number(pattern.test(label)));
  const found = made.matches.reduce((sum, match, key) => sum + (match && made.total[key] ? 1 : 0), 0);
  const weight = weighMatches(made.tree, made.matches);
  told.textContent = `${count(found, "match", "matches")}, ${percent(weight / (made.tree.total[0] || 1))}`;
  told.title = `${number(weight)} ${profile.unit}`;
}

function arrange() {
  table.arrange(state);
  const { rows, all } = table;
  find("count").textContent = rows.length === all.length ? number(all.length) : `${number(rows.length)} of ${number(all.length)}`;
}

const number = (value) => value.toLocaleString("en-US");
const count = (value, one, many) => `${number(value)} ${value === 1 ? one : many}`;

// ---- what the page says

function showControls() {
  press("views", state.view);
  press("orders", state.order);
  find("orders").hidden = state.view !== "graph";
  for (const name of ["kernel", "modules", "offsets", "collapse"]) find(name).checked = state[name];
  find("group").value = state.group;
  for (const name of ["search", "filter"]) if (find(name).value !== state[name]) find(name).value = state[name];
  for (const tab of find("panels").children) {
    const isOpen = tab.dataset.value === state.panel;
    tab.setAttribute("aria-selected", isOpen);
    tab.tabIndex = isOpen ? 0 : -1;
    find(tab.dataset.value).hidden = !isOpen;
  }
  showReset();
}

function press(group, value) {
  for (const button of find(group).children) button.setAttribute("aria-pressed", button.dataset.value === value);
}

function showReset() {
  find("reset").disabled = !shown().some((chart) => chart.isZoomed());
}

function showChosen() {
  const key = made.selected;
  const isNone = key < 0 || !made.total[key];
  find("copy").disabled = find("open").disabled = isNone;
  find("chosen-name").textContent = isNone ? (state.kind ? `${printable(state.name)} is not in this view` : "No function is chosen") : made.keys[key].label;
  find("chosen-name").title = isNone ? "" : made.keys[key].label;
  find("chosen-figures").textContent = isNone ? "click a frame or a row" : figures(key).join(" · ");
  find("open").hidden = state.view === "sandwich";
}

function figures(key) {
  const whole = made.tree.total[0] || 1;
  const share = (weight) => `${percent(weight / whole)} (${number(weight)})`;
  return [origin(key), `self ${share(made.own[key])}`, `total ${share(made.total[key])}`];
}

function origin(key) {
  const { kind, modules } = made.keys[key];
  const some = [...modules].slice(0, 3).map(printable).join(", ");
  return [kind, some + (modules.size > 3 ? ", …" : "")].filter(Boolean).join(" · ");
}

function describe(chart, node) {
  const { tree } = chart;
  const total = tree.total[node];
  const above = tree.parent[node];
  const lines = [`${number(total)} ${profile.unit}, ${percent(total / (made.tree.total[0] || 1))} of all`];
  if (above >= chart.hidden && above >= 0) lines.push(`${percent(total / (tree.total[above] || 1))} of the ${chart === callers ? "function below" : "caller"}`);
  lines.push(`self ${number(tree.own[node])}, ${percent(tree.own[node] / (made.tree.total[0] || 1))} of all`);
  if (chart === callers) lines.pop(); // the weight that ends in a caller is no self weight
  return { title: chart.label(node), origin: node ? origin(tree.key[node]) : "", lines };
}

function point(chart, node, event) {
  const tip = find("tooltip");
  tip.hidden = node < 0;
  if (node < 0) return;
  const { title, origin: from, lines } = describe(chart, node);
  tip.replaceChildren(make("b", {}, title), ...[from, ...lines].filter(Boolean).map((line) => make("div", {}, line)));
  const { offsetWidth: width, offsetHeight: height } = tip;
  const x = Math.max(4, Math.min(event.clientX + 14, innerWidth - width - 4));
  const y = event.clientY + 18 + height > innerHeight ? event.clientY - height - 12 : event.clientY + 18;
  tip.style.transform = `translate(${x}px, ${Math.max(4, y)}px)`;
}

function say(chart, node) {
  const { title, lines } = describe(chart, node);
  find("said").textContent = [title, ...lines].join(", ");
}

// ---- what does not change

function showRun() {
  document.title = `${printable(profile.title) || "profile"} · flame graph`;
  find("quality").dataset.grade = profile.grade;
  find("quality").firstElementChild.textContent = profile.grade;
  find("quality").lastElementChild.textContent =
    printable(profile.reason + (profile.remedy ? ". Next step: " + profile.remedy : ""));
  const list = (id, pairs) => find(id).replaceChildren(...pairs.flatMap(([name, value]) => [make("dt", {}, printable(name)), make("dd", {}, printable(value))]));
  list("figures", profile.figures);
  list("facts", profile.facts);
  find("facts-known").hidden = !profile.facts.length;
  find("problems-found").hidden = !profile.problems.length;
  find("problems").replaceChildren(...profile.problems.map(([severity, what, evidence, fix]) => {
    const item = make("li", { class: severity });
    item.append(make("b", {}, severity), make("span", {}, printable(what)));
    if (evidence) item.append(make("div", { class: "evidence" }, printable(evidence)));
    if (fix) item.append(make("div", {}, `→ ${printable(fix)}`));
    return item;
  }));
  const kinds = new Map(made.keys.map(({ kind, colour }) => [kind, colour]));
  find("legend").replaceChildren(...profile.kinds.filter((kind) => kinds.has(kind)).map((kind) => {
    const item = make("li");
    const swatch = make("span", { class: "swatch", "aria-hidden": "true" });
    swatch.style.background = kinds.get(kind);
    item.append(swatch, kind);
    return item;
  }));
  // What the profile does not have is not offered.
  const offer = (id, has) => { find(id).closest("label").hidden = !has; };
  offer("kernel", profile.isKernel.some(Boolean));
  offer("modules", Boolean(profile.frames.module));
  offer("offsets", Boolean(profile.frames.offset));
  offer("group", groups.length > 1);
  find("group").replaceChildren(...groups.map((group) => make("option", { value: group }, GROUP_NAMES[group])));
  find("group").value = state.group;
  if (!made.tree.total[0]) find("graph").append(make("p", { class: "empty" }, `There are no ${profile.unit} in this profile.`));
}

// ---- what people do

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
      if (!NO_FUNCTIONS.has(made.keys[key].kind)) change({ ...nameKey(key), view: "sandwich" }, true);
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
  setTimeout(() => { find("copy").textContent = "Copy name"; }, 1200);
}

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  find("theme").textContent = theme === "dark" ? "Light" : "Dark";
  for (const chart of Object.values(charts)) chart.changed();
}

function switchTheme() {
  const theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  setTheme(theme);
  try {
    localStorage.setItem("remote-prof-theme", theme);
  } catch {
    // A browser may keep nothing for files; the system's theme comes back then.
  }
}

function knownTheme() {
  try {
    return localStorage.getItem("remote-prof-theme");
  } catch {
    return null;
  }
}

function onClick(id, act) {
  find(id).addEventListener("click", act);
}

function listenToControls() {
  for (const [id, name] of [["views", "view"], ["orders", "order"], ["panels", "panel"]]) {
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
    find(name).addEventListener("change", (event) => change({ [name]: event.target.checked }, true));
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
  onClick("download-speedscope", () => download("speedscope.json", "application/json", makeSpeedscope(profile)));
  find("downloads").addEventListener("click", (event) => {
    if (event.target.tagName === "BUTTON") find("downloads").open = false;
  });
  document.addEventListener("click", (event) => {
    if (!find("downloads").contains(event.target)) find("downloads").open = false;
  });
}

const PAGE_KEYS = {
  "/": () => find("search").focus(),
  f: () => { change({ panel: "functions" }); find("filter").focus(); },
  g: () => change({ view: "graph" }, true),
  s: openSandwich,
  c: copyName,
  k: () => { if (!find("kernel").closest("label").hidden) change({ kernel: !state.kernel }, true); },
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

setTheme(knownTheme() ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light"));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", ({ matches }) => {
  if (!knownTheme()) setTheme(matches ? "dark" : "light");
});
document.documentElement.classList.add("has-scripts");
restore();
showRun();
listenToControls();
addEventListener("popstate", restore);

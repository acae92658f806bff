// What is to be seen: one state, and everything that is made of it.

const profile = readProfile(takeData("profile"));
const changes = new Changes(profile.compared);
profile.roots = rootsOf(profile);
const groups = groupsOf(profile);
let state = null;
let made = {}; // keys, tree and figures of the state

const graph = new Chart(document.querySelector("#graph .chart"));
const callers = new Chart(find("callers"), { rising: true, hideRoot: true });
const callees = new Chart(find("callees"), { hideRoot: true });
const charts = { zoom: graph, callers, callees };
const columns = profile.compared ? CHANGE_COLUMNS : SHARE_COLUMNS;
const table = new FunctionTable(document.querySelector(".table"), columns, {
  chosen: (key) => change(nameKey(key)),
  opened: (key) => change({ ...nameKey(key), view: "sandwich" }, true),
  sorted: (sort) => change({ sort, up: sort === table.column(state).name && !state.up }),
});

function change(changes, isStep = false) {
  show({ ...state, ...changes });
  writeAddress(isStep);
}

function restore() {
  clearTimeout(settling);
  show(parseState(location.hash, { ...CHOICES, group: groups }), true);
}

function nameKey(key) {
  const { name, kind, label } = made.keys[key];
  return { name, kind, label: label === name ? "" : label };
}

function findKey({ name, kind, label }) {
  if (!kind) return -1;
  const exact = made.keys.findIndex(
    (key) => key.name === name && key.kind === kind && (!label || key.label === label),
  );
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
  if (isNewTree || differs("sort", "up", "filter", "weighing")) arrange();
  table.mark(made.matches, made.selected);
  for (const chart of shown()) chart.mark(made.matches, made.selected);
  for (const [name, chart] of Object.entries(charts))
    if (chart.tree) state[name] = formatView(chart);
  showControls();
  showChosen();
}

function shown() {
  return state.view === "graph" ? [graph] : [callers, callees].filter((chart) => chart.tree);
}

function growAll() {
  const { keys, keyOf } = makeKeys(profile, state);
  const grown = growTree(profile, keys, keyOf, state);
  const tree = layOut(grown, state.order === "heavy");
  made = { keys, tree, isHeavy: state.order === "heavy", ...weighKeys(tree, keys) };
  made.sides = tree.sides.map((side) => weighKeys(tree, keys, side));
  made.heaviest = keys.reduce(
    (best, { kind }, key) =>
      !NO_FUNCTIONS.has(kind) && made.total[key] && (best < 0 || made.own[key] > made.own[best])
        ? key
        : best,
    -1,
  );
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
  for (let node = 0; node >= 0;) {
    if (node) path.push(graph.keys[tree.key[node]]);
    if (tree.start[node] >= view.left && end(node) <= view.right) break;
    node = childWhere(
      tree,
      node,
      (child) => tree.start[child] <= view.left && end(child) >= view.right,
    );
  }
  return path;
}

function follow(path) {
  const { tree, keys } = made;
  let node = 0;
  for (const { name, kind } of path) {
    const next = childWhere(
      tree,
      node,
      (child) => keys[tree.key[child]].name === name && keys[tree.key[child]].kind === kind,
    );
    if (next < 0) break;
    node = next;
  }
  graph.lookAt(node);
}

function childWhere(tree, node, wanted) {
  for (let child = node + 1; child < tree.end[node]; child = tree.end[child])
    if (wanted(child)) return child;
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

function arrange() {
  table.arrange(state);
  const { rows, all } = table;
  find("count").textContent =
    rows.length === all.length
      ? number(all.length)
      : `${number(rows.length)} of ${number(all.length)}`;
}

// What is to be seen: one state, and everything that is made of it.

const DEFAULTS = Object.freeze({
  filter: "",
  status: "",
  differs: false, // those that differ alone
  sort: "", // the name of a column, else as the page has them: the urgent first
  up: false, // sorted the other way
  open: "", // the host whose detail is open
  functions: "", // filter of the hottest functions
  order: "", // their column
  orderUp: false,
  groupOrder: "",
  groupOrderUp: false,
  search: "",
  zoom: "",
});

const hosts = readHosts();
const hottest = readHottest();
const callers = null; // there is no sandwich here
const profile = fleet.merged && readProfile(fleet.merged);
const changes = new Changes(null);
const made = profile ? growGraph() : null;
const charts = profile ? { zoom: new Chart(document.querySelector("#merged .chart")) } : {};
let state = null;

const hostTable = new SortedTable(document.querySelector("#hosts table"), HOST_COLUMNS, {
  sorted: (column) => change(sortedBy(column, "sort", "up"), true),
  toggled: (host) => change({ open: state.open === host.name ? "" : host.name }, true),
  detail: hostDetail,
  filled: filledHost,
});
const hotTable = new SortedTable(document.querySelector("#hottest table"), HOT_COLUMNS, {
  sorted: (column) => change(sortedBy(column, "order", "orderUp"), true),
});
const groupTable = new SortedTable(document.querySelector("#groups table"), GROUP_COLUMNS, {
  sorted: (column) => change(sortedBy(column, "groupOrder", "groupOrderUp"), true),
  toggled: (group) => groupTable.open(groupTable.opened === group ? null : group),
  detail: groupDetail,
});

function growGraph() {
  profile.roots = new Map(); // stacks are shown as they are
  const options = { group: "name", kernel: true, modules: false, offsets: false, collapse: false };
  const { keys, keyOf } = makeKeys(profile, options);
  const tree = layOut(growTree(profile, keys, keyOf, options), false);
  return { keys, tree, ...weighKeys(tree, keys) };
}

function sortedBy(column, order, up) {
  return { [order]: column, [up]: state[order] === column && !state[up] };
}

function change(changes, isStep = false) {
  show({ ...state, ...changes });
  writeAddress(isStep);
}

function restore() {
  clearTimeout(settling);
  show(parseState(location.hash, { status: ["", ...new Set(hosts.map(({ status }) => status))] }));
  if (!profile) return;
  const { left, right } = parseView(state.zoom) ?? charts.zoom.whole();
  charts.zoom.look(left, right);
  showReset();
}

function show(next) {
  const before = state ?? {};
  state = next;
  const differs = (...names) => names.some((name) => before[name] !== state[name]);
  if (differs("filter", "status", "differs", "sort", "up")) showHosts();
  if (differs("open")) hostTable.open(hosts.find(({ name }) => name === state.open) ?? null);
  if (differs("functions", "order", "orderUp")) showHottest();
  if (differs("groupOrder", "groupOrderUp"))
    groupTable.show(fleet.groups, { sort: state.groupOrder, up: state.groupOrderUp });
  if (profile && differs("search")) {
    search();
    charts.zoom.mark(made.matches, -1);
  }
  showControls();
}

function showHosts() {
  const wanted = state.filter.toLowerCase();
  const found = hosts.filter(
    ({ text, status, differs }) =>
      text.includes(wanted) &&
      (!state.status || status === state.status) &&
      (differs || !state.differs),
  );
  hostTable.show(found, state);
  find("count").textContent =
    found.length === hosts.length
      ? count(hosts.length, fleet.noun, `${fleet.noun}s`)
      : `${number(found.length)} of ${number(hosts.length)}`;
}

function showHottest() {
  const wanted = state.functions.toLowerCase();
  const found = hottest.filter(({ text }) => text.includes(wanted));
  hotTable.show(found, { sort: state.order, up: state.orderUp }, MOST_SHOWN);
  const all = fleet.functions_in_all;
  const left = all > hottest.length ? `; ${number(all)} in all` : "";
  find("functions-count").textContent =
    `${number(hotTable.items.length)} of ${number(found.length)}${left}`;
}

function showControls() {
  for (const name of ["filter", "functions", "search"])
    if (find(name).value !== state[name]) find(name).value = state[name];
  find("status").value = state.status;
  find("differs").checked = state.differs;
  showReset();
}

function showReset() {
  find("reset").disabled = !charts.zoom?.isZoomed();
}

// The state of the view, and its form in the address behind the #: what differs from the defaults.

const DEFAULTS = Object.freeze({
  view: "graph", // or sandwich
  order: "flame", // or icicle, heavy
  zoom: "", // parts of the whole width, in weight: left-right
  callers: "",
  callees: "",
  search: "",
  kernel: true,
  modules: false,
  offsets: false,
  collapse: false,
  group: "name",
  name: "", // of the chosen function,
  kind: "", // its kind,
  label: "", // and how it is shown, where that is more than the name
  panel: "functions", // or run
  filter: "",
  weighing: "self", // or total: what a comparison's table is of
  sort: "", // the name of a column, else the first
  up: false, // sorted the other way
});

const CHOICES = {
  view: ["graph", "sandwich"],
  order: ["flame", "icicle", "heavy"],
  panel: ["functions", "run"],
  weighing: ["self", "total"],
};

// Whatever stands in an address makes a state: it may be anybody's.
function parseState(hash, groups) {
  const state = { ...DEFAULTS };
  for (const [name, text] of new URLSearchParams(hash.slice(1))) {
    if (!Object.hasOwn(DEFAULTS, name)) continue;
    const allowed = name === "group" ? groups : CHOICES[name];
    if (typeof DEFAULTS[name] === "boolean") state[name] = text === "1";
    else if (!allowed || allowed.includes(text)) state[name] = text;
  }
  return state;
}

function formatState(state) {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(state)) {
    if (value !== DEFAULTS[name])
      given.set(name, typeof value === "boolean" ? String(Number(value)) : value);
  }
  return `#${given}`;
}

function formatView(chart) {
  const { left, right } = chart.view;
  return chart.isZoomed() ? `${Number(left.toPrecision(12))}-${Number(right.toPrecision(12))}` : "";
}

// Returns the part that a text names, or null where it names none.
function parseView(text) {
  const found = /^(\d[\d.]*(?:e-?\d+)?)-(\d[\d.]*(?:e-?\d+)?)$/.exec(text);
  if (!found) return null;
  const [left, right] = [Number(found[1]), Number(found[2])];
  return left < right && Number.isFinite(right) ? { left, right } : null;
}

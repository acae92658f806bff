// What the view of a report is, and what it is at first.

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

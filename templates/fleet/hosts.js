// The hosts, and what is told of each.

const GRADES = ["sound", "rough", "poor"]; // the worse, the higher
const DISTANCE_HINT =
  "the part of its weight that would have to be in other functions for it to be like the others";

function readHosts() {
  return fleet.hosts.map((told) => {
    const host = {
      name: "",
      status: "",
      groups: [],
      error: "",
      weight: null,
      grade: "",
      reason: "",
      cpu: null,
      bars: [],
      distance: null,
      noise: null,
      differs: false,
      differences: [],
      facts: [],
      problems: [],
      ...told,
    };
    const shown = [...host.bars, ...host.differences].map(([index]) => functions[index].name);
    const words = [host.name, ...host.groups, host.error, ...shown];
    host.text = words.join("\n").toLowerCase();
    return host;
  });
}

const HOST_COLUMNS = [
  {
    name: "name",
    isText: true,
    head: "Host",
    value: ({ name }) => name,
    cell: (host) => openerCell(host, hostLabel(host)),
  },
  {
    name: "status",
    isText: true,
    head: "Status",
    value: ({ status }) => status,
    cell({ status, differs }) {
      const cell = make("td", { class: status === "ok" ? "status" : "status bad" });
      cell.append(make("span", {}, status));
      if (differs) cell.append(" ", differsMark());
      return cell;
    },
  },
  {
    name: "groups",
    isText: true,
    head: "Groups",
    value: ({ groups }) => groups.join(", ") || null,
    cell({ groups }) {
      const text = printable(groups.join(", "));
      return make("td", { title: text }, text);
    },
  },
  {
    name: "distance",
    head: "Distance",
    hint: `${DISTANCE_HINT}; in brackets what chance alone gives`,
    value: ({ distance }) => distance,
    cell: distanceCell,
  },
  {
    name: "weight",
    head: printable(fleet.unit_head),
    value: ({ weight }) => weight,
    cell: ({ weight }) => numberCell(weight === null ? "" : number(weight)),
  },
  {
    name: "grade",
    head: "Quality",
    value: ({ grade }) => (grade ? GRADES.indexOf(grade) : null),
    cell: ({ grade, reason }) =>
      make("td", { class: "grade", "data-grade": grade, title: printable(reason) }, grade),
  },
  {
    name: "cpu",
    head: "CPU time",
    hint: "of the target, while it was sampled",
    value: ({ cpu }) => cpu,
    cell: ({ cpu }) => numberCell(cpu === null ? "" : seconds(cpu)),
  },
  {
    name: "self",
    head: "Self",
    hint: "the self share of its top function",
    value: ({ bars }) => bars[0]?.[1] ?? null,
    cell: ({ bars }) => (bars.length ? shareCell(bars[0][1]) : make("td")),
  },
  {
    name: "top",
    isText: true,
    head: "Top function",
    value: ({ bars }) => (bars.length ? functions[bars[0][0]].name : null),
    cell: ({ bars }) => (bars.length ? named("td", bars[0][0]) : make("td")),
  },
  {
    name: "bars",
    head: "Functions",
    cell({ bars }) {
      const cell = make("td");
      if (bars.length) cell.append(stackedBar(bars));
      return cell;
    },
  },
];
const BEFORE_FIGURES = 3; // columns

const seconds = (time) => `${time.toLocaleString("en-US", { minimumFractionDigits: 1, maximumFractionDigits: 1 })} s`;

function hostLabel({ name, report }) {
  const shown = printable(name);
  const attributes = { class: "name", title: shown };
  return report
    ? make("a", { ...attributes, href: report }, shown)
    : make("span", attributes, shown);
}

function distanceCell({ distance, noise, differs }) {
  const cell = make("td", { class: differs ? "distance differs" : "distance" });
  if (distance === null) return cell;
  cell.append(share(distance));
  if (noise !== null) cell.append(make("small", {}, ` (${share(noise)})`));
  return cell;
}

// A host without a profile has its error in place of the figures.
function filledHost(host) {
  if (host.weight !== null || !host.error) return null;
  const cells = HOST_COLUMNS.slice(0, BEFORE_FIGURES).map(({ cell }) => cell(host));
  const text = printable(host.error);
  const colspan = HOST_COLUMNS.length - BEFORE_FIGURES;
  return [...cells, make("td", { class: "failure", colspan, title: text }, text)];
}

function hostDetail(host) {
  return [
    part("What differs", host.differences.length && differencesTable(host.differences)),
    part("Functions (self)", host.bars.length && functionList(host.bars)),
    part("Host", factList(host)),
    part("Problems", problemList([host.error, ...host.problems].filter(Boolean))),
  ].filter(Boolean);
}

function part(title, content) {
  if (!content) return null;
  const element = make("section");
  element.append(make("h3", {}, title), content);
  return element;
}

function functionList(bars) {
  const list = make("ul");
  list.append(
    ...bars.map(([index, part]) => {
      const item = named("li", index);
      item.append(" ", make("b", {}, share(part)));
      return item;
    }),
  );
  return list;
}

function factList({ status, groups, weight, cpu, grade, reason, facts }) {
  const list = make("dl");
  const told = [
    ["status", status],
    ["groups", groups.join(", ")],
    [fleet.unit, weight === null ? "" : number(weight)],
    ["CPU time", cpu === null ? "" : seconds(cpu)],
    ["quality", [grade, reason].filter(Boolean).join(": ")],
  ];
  for (const [name, value] of [...told, ...facts]) {
    if (value) list.append(make("dt", {}, printable(name)), make("dd", {}, printable(value)));
  }
  return list;
}

function problemList(problems) {
  const list = make("ul", { class: "problems" });
  list.append(...problems.map((problem) => make("li", {}, printable(problem))));
  return list.firstChild && list;
}

// What the page says first: how those differ that do.
const MOST_TOLD = 20;
const MOST_TOLD_FUNCTIONS = 4;

function showOutliers(hosts) {
  const outliers = hosts.filter(({ differs }) => differs);
  find("outliers").hidden = !outliers.length;
  const shown = outliers.slice(0, MOST_TOLD).map((host) => {
    const article = make("article");
    const title = make("h3");
    title.append(hostLabel(host));
    const distance = make("p");
    distance.append(make("strong", {}, `${share(host.distance)} of it elsewhere`));
    if (host.noise !== null)
      distance.append(make("small", {}, ` (chance alone: ${share(host.noise)})`));
    article.append(title, distance);
    const differences = host.differences.slice(0, MOST_TOLD_FUNCTIONS);
    if (differences.length) article.append(differencesTable(differences));
    return article;
  });
  const left = outliers.length - shown.length;
  if (left) shown.push(make("p", {}, `and ${count(left, `more ${fleet.noun}`, `more ${fleet.noun}s`)}, in the table`));
  find("outliers").querySelector(".rows").replaceChildren(...shown);
}

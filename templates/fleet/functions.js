// Functions, their shares, and the table of the hottest.

const fleet = takeData("fleet");

const share = (part) => `${(100 * part).toFixed(1)} %`;

const functions = fleet.functions.name.map((name, index) => ({
  name: printable(name) || "[unknown]",
  kind: fleet.kinds[fleet.functions.kind[index]],
  colour: `#${fleet.functions.colour.slice(6 * index, 6 * index + 6)}`,
}));

function named(tag, index) {
  const { name, kind, colour } = functions[index];
  const element = make(tag, { class: "function", title: name });
  const swatch = make("span", { class: "swatch", "aria-hidden": "true", title: kind });
  swatch.style.background = colour;
  element.append(swatch, name);
  return element;
}

// A host's largest functions beside each other; what is left is the rest. It is one element: of a
// thousand hosts, pieces would be what the browser has most of.
function stackedBar(bars) {
  const lines = bars.map(([index, part]) => `${share(part)} ${functions[index].name}`);
  const element = make("div", { class: "stacked", role: "img", title: lines.join("\n") });
  let end = 0;
  const stops = bars.map(([index, part]) => {
    end += 100 * part;
    const colour = `color-mix(in srgb, ${functions[index].colour} var(--strength), #000)`;
    return `${colour} 0 calc(${end}% - 1px), var(--background) 0 ${end}%`;
  });
  element.style.background = `linear-gradient(to right, ${stops.join(", ")}, var(--narrow) 0)`;
  return element;
}

// Shares here and elsewhere, to the left and to the right of one line.
function differencesTable(differences) {
  const table = make("table", { class: "differences" });
  const head = make("tr");
  head.append(
    make("th", { scope: "col" }, "here"),
    make("td", { "aria-hidden": "true" }),
    make("th", { scope: "col" }, "elsewhere"),
    make("th", { scope: "col" }, "function (self)"),
  );
  const body = make("tbody");
  const most = Math.max(...differences.flatMap(([, here, rest]) => [here, rest]));
  body.append(
    head,
    ...differences.map(([index, here, rest]) => {
      const row = make("tr", {});
      const both = make("td", { class: "both", "aria-hidden": "true" });
      for (const part of [here, rest]) {
        const side = make("span");
        side.style.width = `${(50 * part) / (most || 1)}%`;
        both.append(side);
      }
      both.style.setProperty("--left", `${50 - (50 * here) / (most || 1)}%`);
      row.append(make("td", {}, share(here)), both, make("td", {}, share(rest)), named("td", index));
      return row;
    }),
  );
  table.append(body);
  return table;
}

// Shares that are drawn behind their numbers.
function shareCell(part) {
  const cell = make("td", { class: "number share" }, share(part));
  cell.style.setProperty("--share", `${100 * part}%`);
  return cell;
}

function numberCell(text) {
  return make("td", { class: "number" }, text);
}

const MOST_SHOWN = 50;
const HOT_COLUMNS = [
  ["self", "Self", "its share of all hosts together"],
  ["total", "Total", "with all that it calls"],
  ["hosts", "Hosts", "on how many hosts it was seen"],
  ["least", "Least", "the smallest self share of a host"],
  ["middle", "Median", "the median self share of the hosts"],
  ["most", "Most", "the largest self share of a host"],
].map(([name, head, hint], index) => ({
  name,
  head,
  hint,
  value: ({ figures }) => figures[index],
  cell: ({ figures }) =>
    name === "hosts" ? numberCell(number(figures[index])) : shareCell(figures[index]),
}));
HOT_COLUMNS.push({
  name: "name",
  head: "Function",
  isText: true,
  value: ({ name }) => name,
  cell: ({ index }) => named("td", index),
});

function readHottest() {
  return fleet.hottest.map(([index, ...figures]) => {
    const { name } = functions[index];
    return { index, figures, name, text: name.toLowerCase() };
  });
}

// Groups of hosts, each against the rest.

const GROUP_COLUMNS = [
  {
    name: "name",
    head: "Group",
    value: ({ name }) => name,
    cell: (group) => openerCell(group, make("span", { class: "name" }, printable(group.name))),
  },
  {
    name: "hosts",
    head: "Hosts",
    value: ({ hosts }) => hosts.length,
    cell: ({ hosts }) => make("td", {}, number(hosts.length)),
  },
  HOST_COLUMNS.find(({ name }) => name === "weight"),
  HOST_COLUMNS.find(({ name }) => name === "distance"),
];

function groupDetail({ hosts, differences }) {
  return [
    part("What differs", differences.length && differencesTable(differences)),
    part("Hosts", make("p", {}, printable(hosts.join(", ")))),
  ].filter(Boolean);
}

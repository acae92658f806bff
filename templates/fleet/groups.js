// Groups of hosts, each against the rest.

const GROUP_COLUMNS = [
  {
    name: "name",
    isText: true,
    head: "Group",
    value: ({ name }) => name,
    cell(group) {
      const cell = openerCell(group, make("span", { class: "name" }, printable(group.name)));
      if (group.differs) cell.append(" ", differsMark());
      return cell;
    },
  },
  {
    name: "hosts",
    head: "Hosts",
    value: ({ hosts }) => hosts.length,
    cell: ({ hosts }) => numberCell(number(hosts.length)),
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

// Stacks by host, process or thread.

// What the leading frames of a stack tell of it: the host, the process, the thread. A frame above
// the one that has a pid is its host, one below it is a thread; where there is but one, it bears
// the name of the thread, and the pid of the process.
function rootsOf(profile) {
  const { frame, parent } = profile.tree;
  const told = new Map(); // by node
  for (let node = 1; node < frame.length; node += 1) {
    const number = frame[node];
    const above = parent[node] ? told.get(parent[node]) : NO_ROOTS;
    if (above === undefined || profile.kindOf[number] !== "process") continue;
    const root = { name: profile.nameOf(number), pid: profile.pidOf(number) };
    if (!above.process) told.set(node, { ...above, process: root });
    else if (root.pid >= 0 && above.process.pid < 0)
      told.set(node, { host: above.process, process: root });
    else told.set(node, { ...above, thread: root });
  }
  return told;
}

const NO_ROOTS = Object.freeze({});

// The groups that a profile can be shown by.
function groupsOf(profile) {
  const names = new Map();
  const offered = new Set();
  for (const { host, process, thread } of profile.roots.values()) {
    offered.add("name").add("none");
    if (host) offered.add("host");
    if (thread) offered.add("thread");
    if (process.pid < 0) continue;
    offered.add("process");
    const known = names.get(process.pid);
    if (known !== undefined && known !== process.name) offered.add("thread");
    names.set(process.pid, process.name);
  }
  return ["name", "process", "thread", "host", "none"].filter((group) => offered.has(group));
}

class Groups {
  constructor(profile, keys, group) {
    this.profile = profile;
    this.keys = keys;
    this.group = group;
    this.known = new Map();
    this.processes = group === "process" ? heaviestNames(profile) : null;
  }

  // Returns -2 for a node that is no root, -1 for a root that is not drawn, else the key.
  keyOf(node) {
    const roots = this.profile.roots.get(node);
    if (!roots) return -2;
    const label = this.label(roots);
    if (label === null) return -1;
    let key = this.known.get(label);
    if (key === undefined) {
      key = this.keys.length;
      this.keys.push(makeKey(label, label, "process", "#c6cbd9"));
      this.known.set(label, key);
    }
    return key;
  }

  label({ host, process, thread }) {
    const place = host && this.group !== "host" ? `, ${host.name}` : "";
    const pid = process.pid >= 0 ? ` (${process.pid})` : "";
    if (this.group === "process")
      return (this.processes.get(process.pid) ?? process.name) + pid + place;
    if (this.group === "thread") return (thread ?? process).name + pid + place;
    if (this.group === "host") return host ? host.name : null;
    return null;
  }
}

// A process of many threads goes by the name of those that did most.
function heaviestNames(profile) {
  const { parent, own } = profile.tree;
  const total = addUp({ parent, length: own.length }, own);
  const weights = new Map();
  for (const [node, { process, thread }] of profile.roots) {
    if (thread || process.pid < 0) continue;
    const of = weights.get(process.pid) ?? new Map();
    of.set(process.name, (of.get(process.name) ?? 0) + total[node]);
    weights.set(process.pid, of);
  }
  const heaviest = (of) => [...of].reduce((best, each) => (each[1] > best[1] ? each : best))[0];
  return new Map([...weights].map(([pid, of]) => [pid, heaviest(of)]));
}

// The profile that stands in the page. See remote_prof/render/html.py for its form.

function readProfile(data) {
  const { kinds, modules, functions, frames } = data;
  const isKernel = Uint8Array.from(frames.kernel, Number);
  const kindOf = frames.function.map((number) => kinds[functions.kind[number]]);
  const profile = {
    ...data,
    isKernel,
    kindOf,
    nameOf: (frame) => functions.name[frames.function[frame]],
    moduleOf: (frame) =>
      frames.module && frames.module[frame] >= 0 ? modules[frames.module[frame]] : null,
    offsetOf: (frame) => (frames.offset ? frames.offset[frame] : -1),
    pidOf: (frame) => (frames.pid ? frames.pid[frame] : -1),
    tree: readStacks(data.stacks, data.nodes, data.compared),
  };
  delete profile.stacks;
  return profile;
}

// Stacks become the tree of their prefixes. Node 0 is the root, a caller stands before what it
// calls, and `own` is the weight of the stacks that end in a node. In a comparison `sides` has it
// for both, and `own` is what a node is drawn with: the mean of both shares, or of both counts.
function readStacks(text, nodes, compared) {
  const bytes = atob(text);
  const frame = new Int32Array(nodes + 1);
  const parent = new Int32Array(nodes + 1);
  const own = new Float64Array(nodes + 1);
  const sides = compared ? [own, own].map((array) => ({ own: array.slice() })) : [];
  const drawn = compared ? widthsOf(compared) : null;
  const path = [0];
  let position = 0;
  let node = 0;

  function number() {
    let value = 0;
    let unit = 1;
    for (;;) {
      const byte = bytes.charCodeAt(position++);
      value += (byte & 0x7f) * unit; // not by shifts: weights go beyond 32 bits
      if (byte < 0x80) return value;
      unit *= 128;
    }
  }

  frame[0] = -1;
  parent[0] = -1;
  while (position < bytes.length) {
    let depth = number();
    const last = depth + number();
    while (depth < last) {
      node += 1;
      frame[node] = number();
      parent[node] = path[depth];
      depth += 1;
      path[depth] = node;
    }
    const end = path[depth];
    if (!compared) {
      own[end] += number();
      continue;
    }
    const [before, after] = [number(), number()];
    sides[0].own[end] += before;
    sides[1].own[end] += after;
    own[end] += drawn(before, after);
  }
  return { frame, parent, own, sides };
}

// Whole numbers, so that sums are exact whatever their order.
function widthsOf({ counts, totals: [before, after] }) {
  if (counts) return (one, other) => one + other;
  const grain = Math.max(1, (2 * before * after) / 2 ** 50);
  return (one, other) => Math.round((one * after + other * before) / grain);
}

// Calls `visit` with the frames and the weight of each stack, in their order; `own` is the weight.
function eachStack(tree, own, visit) {
  const stack = [];
  const depth = new Int32Array(tree.frame.length);
  for (let node = 0; node < tree.frame.length; node += 1) {
    if (node) {
      depth[node] = depth[tree.parent[node]] + 1;
      stack.length = depth[node] - 1;
      stack.push(tree.frame[node]);
    }
    if (own[node]) visit(stack, own[node]);
  }
}

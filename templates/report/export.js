// What can be taken from the page: files of the whole profile, and names.

// As remote_prof/profile/folded.py writes names.
const UNWRITABLE =
  /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]|\p{Cs}/gu;
const ENDINGS = { kernel: "_[k]", inlined: "_[i]", jit: "_[j]" };
const UNKNOWN = "[unknown]";
const SPEEDSCOPE_UNITS = {
  us: "microseconds",
  ms: "milliseconds",
  ns: "nanoseconds",
  bytes: "bytes",
};

function makeFolded(profile) {
  const written = profile.kindOf.map((kind, frame) => {
    const offset = profile.offsetOf(frame);
    const name = profile.nameOf(frame) + (offset < 0 ? "" : `+${offset}`);
    const plain = name.replace(UNWRITABLE, "?").replaceAll(";", ":") || UNKNOWN;
    return plain + (ENDINGS[kind] ?? "");
  });
  const { tree } = profile;
  const columns = (tree.sides.length ? tree.sides : [tree]).map(({ own }) => {
    const weights = new Map();
    eachStack(tree, own, (stack, weight) => {
      const line = stack.map((frame) => written[frame]).join(";") || UNKNOWN;
      weights.set(line, (weights.get(line) ?? 0) + weight);
    });
    return weights;
  });
  return [...new Set(columns.flatMap((weights) => [...weights.keys()]))]
    .sort()
    .map((line) => [line, ...columns.map((weights) => weights.get(line) ?? 0)].join(" ") + "\n")
    .join("");
}

function makeSpeedscope(profile) {
  const numbers = new Map();
  const frames = [];
  const numberOf = profile.kindOf.map((_, frame) => {
    const name = profile.nameOf(frame);
    const file = profile.isKernel[frame] ? "[kernel]" : profile.moduleOf(frame);
    const identity = JSON.stringify([name, file]);
    if (!numbers.has(identity)) {
      numbers.set(identity, frames.length);
      frames.push(file === null ? { name } : { name, file });
    }
    return numbers.get(identity);
  });
  const { tree, compared } = profile;
  const all = compared
    ? compared.names.map((name, side) => [name, tree.sides[side].own])
    : [[profile.subtitle || profile.title, tree.own]];
  return JSON.stringify({
    $schema: "https://www.speedscope.app/file-format-schema.json",
    exporter: "remote-prof",
    name: profile.title,
    activeProfileIndex: 0,
    shared: { frames },
    profiles: all.map(([name, own]) => {
      const samples = [];
      const weights = [];
      eachStack(tree, own, (stack, weight) => {
        samples.push(stack.map((frame) => numberOf[frame]));
        weights.push(weight);
      });
      return {
        type: "sampled",
        name,
        unit: SPEEDSCOPE_UNITS[profile.unit] ?? "none",
        startValue: 0,
        endValue: weights.reduce((sum, weight) => sum + weight, 0),
        samples,
        weights,
      };
    }),
  });
}

function download(filename, type, text) {
  const link = make("a", { download: filename });
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
  } catch {
    // Not every browser lets a file's page use the clipboard without this.
    const field = make("textarea", { class: "unseen" });
    field.value = text;
    document.body.append(field);
    field.select();
    document.execCommand("copy");
    field.remove();
  }
}
